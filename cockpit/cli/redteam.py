"""`cockpit redteam`: cheating and honest variants against the walls of this machine."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cockpit.cli.corpora import STDLIB, show_progress
from cockpit.cli.errors import CommandError
from cockpit.cli.locate import repository
from cockpit.read.wording import count
from cockpit.redteam.catalogue import EVERY, NOT_TRIED, SHORT
from cockpit.redteam.run import RedTeam, Result
from cockpit.redteam.variants import Variant
from cockpit.scoring.contract import can_rescore
from cockpit.session import corpus


def redteam(names: Sequence[str], short: bool, seconds: float, as_json: bool) -> int:
    """Run the variants and print what became of each. Returns 1 for a missed cheat or a false alarm."""
    chosen = _chosen(names, short)
    repo = repository(None)
    if not can_rescore(repo):
        raise CommandError(f"{repo} has no train.py with save_model and load_model: the variants edit cockpit's own")
    if not corpus.has_sealed_shard(STDLIB):
        show_progress(f"preparing the corpus {STDLIB}", corpus.run_prepare(repo, STDLIB))
    environment = {"COCKPIT_DATA_DIR": str(corpus.data_folder()), "COCKPIT_CORPUS": STDLIB}
    place = Path(tempfile.mkdtemp(prefix="cockpit-redteam-"))
    results = []
    try:
        team = RedTeam(repo, place, seconds, environment)
        if not as_json:
            print(f"{count(len(chosen), 'variant')}, {seconds:g} s of training each; runs are behind {team.wall}")
        team.measure_baseline()
        for result in team.results(chosen):
            results.append(result)
            if not as_json:
                print(f"{said(result):20} {result.variant.name}: {result.variant.what}; {result.why}", flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if as_json:
        print(json.dumps([_json(result) for result in results], indent=1))
    else:
        print(summary(results))
    return int(any(result.bad for result in results))


def said(result: Result) -> str:
    """Return what became of a variant, in a few words."""
    if result.not_tried:
        return "not tried here"
    if result.variant.honest:
        return "FALSE ALARM" if result.caught_by else "passed"
    if result.caught_by:
        return f"caught by {result.caught_by}"
    return "gained nothing" if result.kept_out else "MISSED"


def summary(results: Sequence[Result]) -> str:
    """Return the counts, and the kinds of cheats that are not tried."""
    cheats = [result for result in results if not result.variant.honest]
    tried = [result for result in results if not result.not_tried]
    honest = sum(result.variant.honest for result in tried)
    caught = sum(bool(result.caught_by) for result in cheats)
    missed = sum(result.bad for result in cheats)
    nothing = sum(not result.bad and not result.caught_by and not result.not_tried for result in cheats)
    alarms = sum(result.bad for result in results) - missed
    return (
        f"{caught} of {len(cheats)} cheats caught, {nothing} gained nothing, {missed} missed; {alarms} false alarms in"
        f" {honest} honest variants; {len(results) - len(tried)} not tried here\nnot tried: {NOT_TRIED}"
    )


def _chosen(names: Sequence[str], short: bool) -> tuple[Variant, ...]:
    if unknown := set(names) - {variant.name for variant in EVERY}:
        listed = ", ".join(variant.name for variant in EVERY)
        raise CommandError(f"there is no variant {sorted(unknown)[0]!r}: choose from {listed}")
    if names:
        return tuple(variant for variant in EVERY if variant.name in names)
    return SHORT if short else EVERY


def _json(result: Result) -> dict[str, object]:
    return {
        "variant": result.variant.name,
        "honest": result.variant.honest,
        "caught_by": result.caught_by,
        "why": result.why,
        "kept_out": result.kept_out,
        "seconds": round(result.seconds, 1),
    }
