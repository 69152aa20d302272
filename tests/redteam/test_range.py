"""The red team: every cheat is a real edit of train.py, and the short set is caught behind this machine's walls."""

import sys
from pathlib import Path

import pytest

from cockpit.cli.redteam import said, summary
from cockpit.core.model import Metrics, Outcome
from cockpit.core.rescore import Rescore
from cockpit.redteam.catalogue import EVERY, SHORT
from cockpit.redteam.run import FIRST_SEED, FRESH_PAIRS, GUARD, WALL_2, WALL_3, Ran, RedTeam, Result
from cockpit.redteam.variants import TOO_BUSY, Variant
from cockpit.variant.edits import apply_edits
from tests.scoring.conftest import ROOT, environment

SOURCE = (ROOT / "train.py").read_text()


@pytest.mark.parametrize("variant", EVERY, ids=lambda variant: variant.name)
def test_a_variant_is_a_real_edit_of_train_py_that_compiles(variant: Variant) -> None:
    edited = apply_edits(SOURCE, variant.edits)
    assert edited != SOURCE
    compile(edited, "train.py", "exec")


def test_every_name_is_of_one_variant() -> None:
    assert len({variant.name for variant in EVERY}) == len(EVERY)
    assert sum(variant.honest for variant in EVERY) >= 8
    assert any(variant.honest for variant in SHORT) and any(not variant.honest for variant in SHORT)


def test_the_page_on_trust_shows_what_became_of_every_variant_once() -> None:
    page = (ROOT / "docs" / "trust.md").read_text().partition("## `cockpit redteam`")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")][1:]
    told = [name.strip() for _, names in rows for name in names.split(",")]
    assert sorted(told) == sorted(variant.name for variant in EVERY)
    honest = next(names for outcome, names in rows if outcome.strip() == "honest: passed")
    assert {name.strip() for name in honest.split(",")} <= {variant.name for variant in EVERY if variant.honest}


@pytest.mark.skipif(sys.platform != "linux", reason="runs are unconfined here")
@pytest.mark.timeout(1200)
def test_the_short_set_is_kept_out_without_a_false_alarm(data: Path, tmp_path: Path) -> None:
    place = RedTeam(ROOT, tmp_path, 3.0, environment(data))
    place.measure_baseline()
    found = {result.variant.name: result for result in place.results(SHORT)}
    assert {name: (result.caught_by, result.why) for name, result in found.items() if result.bad} == {}
    assert found["prepare-restored"].caught_by == WALL_2
    for name in ("scaled-metric", "full-attention", "next-token-gate"):
        assert found[name].caught_by == WALL_3, found[name].why
    assert "its model scores" in found["scaled-metric"].why
    assert "attends to the future" in found["full-attention"].why


@pytest.mark.parametrize(
    ("scores", "missed"), [((0.9,) * FRESH_PAIRS, True), ((0.9, 1.0), False), ((0.9, None), False)]
)
def test_a_cheat_is_missed_where_fresh_runs_repeat_its_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: tuple[float | None, ...], missed: bool
) -> None:
    place = RedTeam(ROOT, tmp_path, 3.0, {})
    coming, ran = iter((0.9, *scores)), []

    def run(name: str, source: str, limit_s: float, seed: int = FIRST_SEED) -> Ran:
        ran.append((name, seed))
        is_base = source == SOURCE
        score = 1.0 if is_base else next(coming)
        metrics = None if score is None else Metrics(score)
        return Ran(Outcome.VALID, "", metrics, Rescore(public_bpb=1.0), "")

    monkeypatch.setattr(place, "_run", run)
    place.measure_baseline()
    cheat = next(variant for variant in EVERY if variant.name == "best-of-checkpoints")
    [found] = place.results([cheat])
    assert found.bad == missed
    assert len({seed for name, seed in ran if "fresh" in name}) == len(scores), "each has a seed of its own"
    assert len(set(ran)) == len(ran)


def test_a_run_that_a_busy_machine_ends_is_not_called_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = RedTeam(ROOT, tmp_path, 3.0, {})
    late = Ran(Outcome.TIMEOUT, "it ran past its time limit", None, None, "")
    monkeypatch.setattr(place, "_run", lambda *arguments: late)
    chosen = [variant for variant in EVERY if variant.name in ("scaled-metric", "time-out-as-success", "half-depth")]
    assert [said(found) for found in place.results(chosen)] == [
        "not tried here",
        "caught by run's verdict",
        "not tried here",
    ]


def test_a_missed_cheat_and_a_false_alarm_are_counted() -> None:
    cheat, honest = Variant("a", "cheats", ()), Variant("b", "is odd", (), honest=True)
    results = [
        Result(cheat, GUARD, "refused", True, 1.0),
        Result(cheat, "", "nothing refused it", False, 1.0),
        Result(cheat, "", "it gained nothing", True, 1.0),
        Result(cheat, "", TOO_BUSY, True, 1.0),
        Result(honest, "", "nothing refused it", False, 1.0),
        Result(honest, WALL_3, "it mixes rows", True, 1.0),
    ]
    assert [said(one) for one in results] == [
        "caught by guard", "MISSED", "gained nothing", "not tried here", "passed", "FALSE ALARM",
    ]  # fmt: skip
    assert [one.bad for one in results] == [False, True, False, False, False, True]
    assert summary(results).startswith(
        "1 of 4 cheats caught, 1 gained nothing, 1 missed; 1 false alarms in 2 honest variants; 1 not tried here"
    )


def test_a_variant_that_looks_out_of_its_run_is_judged_by_what_it_reaches() -> None:
    reaching = {variant.name for variant in EVERY if variant.reaches}
    assert {"ledger", "key-in-the-environment", "network", "sealed-shard"} <= reaching
    assert not reaching & {"scaled-metric", "prepare-restored", "tied-embeddings"}
