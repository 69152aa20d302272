"""Word how runs were confined and scored."""

from collections import Counter

from cockpit.core.model import IMPORTED, Attempt, AttemptKind, Experiment
from cockpit.core.rescore import Rescore
from cockpit.core.state import State
from cockpit.decide.rescoring import scorer_trouble
from cockpit.read.second_metrics import second_words
from cockpit.read.wording import count

UNCHECKED_IMPORT = "imported, unchecked"
BY_COMMAND = "scored after its run by the session's score command"
BY_ITSELF = "scored by its own run"
RESCORED, SELF_SCORED, COMMAND_SCORED, FAILED_PROBE = "rescored", "self-scored", "command-scored", "failed a probe"
UNCONFINED = "unconfined"
ARE_SELF_SCORED = "are self-scored (each prints its own score)"
MARKS = {RESCORED: "✓", COMMAND_SCORED: "✓", SELF_SCORED: "?", FAILED_PROBE: "✗"}
"""The mark of each origin of a score, for tables without room for the word."""


def unchecked(state: State) -> list[str]:
    """Return a sentence for each property that this session does not check; none for a simulated session."""
    session = state.session
    if session.fleet.simulated:
        return []
    if session.fleet.kind == IMPORTED:
        return [f"{UNCHECKED_IMPORT}: the scores are those of a table, and nothing shows what ran, where and how"]
    found = []
    walls = Counter(run.wall for run in state.attempts.values() if run.started_at)
    if open_runs := walls[UNCONFINED] + walls[""]:
        reach = "whatever the person can" if session.fleet.kind == "local" else "all of its cluster"
        runs = f"{open_runs:,} of {count(walls.total(), 'run')}"
        found.append(f"unconfined: {runs} could read and write {reach}")
    if not session.rescore and not session.metric.score_command:
        found.append(f"{SELF_SCORED}: each run printed its own score")
    elif trouble := scorer_trouble(state):
        found.append(f"{SELF_SCORED}: the baseline could not be scored outside its run: {trouble}")
    elif any(run.hardware != "CPU" for run in state.attempts.values() if run.rescore):
        found.append("the scorer has not been tried on a GPU by its makers: compare its score with the printed one")
    return found


def checks_of(state: State, experiment: Experiment) -> str:
    """Return how the experiment's runs were confined and scored, in a clause; empty for a simulated session."""
    runs = [run for run in (state.attempts[name] for name in experiment.attempts) if run.started_at]
    if state.session.fleet.simulated or not runs:
        return ""
    if state.session.fleet.kind == IMPORTED:
        return UNCHECKED_IMPORT
    walls = list(dict.fromkeys(_wall_words(run.wall) for run in runs))
    second = second_words(state, experiment.id)
    return f"{', '.join(walls)}; {_scored(state, runs)}" + (f"; {second}" if second else "")


def _wall_words(wall: str) -> str:
    if not wall:
        return "confinement unchecked"
    return wall if wall == UNCONFINED else f"confined by {wall}"


def origin_of(state: State, experiment: Experiment) -> str:
    """Return how the experiment's score came to be, in a word: `rescored`, `command-scored`, `self-scored`, ….

    Empty before its first run and in a simulated session.
    """
    runs = [run for run in (state.attempts[name] for name in experiment.attempts) if run.started_at]
    if state.session.fleet.simulated or not runs:
        return ""
    if state.session.fleet.kind == IMPORTED:
        return IMPORTED
    newest = _rescore_of(runs)
    checked = FAILED_PROBE if newest and newest.failed else RESCORED
    own_word = COMMAND_SCORED if state.session.metric.score_command else SELF_SCORED
    said = own_word if newest is None or newest.trouble else checked
    return said if all(run.wall not in ("", UNCONFINED) for run in runs) else f"{said}, {UNCONFINED}"


def origin_mark(state: State, experiment: Experiment) -> str:
    """Return the mark of the origin of the experiment's score; empty if `origin_of` is."""
    return MARKS.get(origin_of(state, experiment).partition(",")[0], "")


def _rescore_of(runs: list[Attempt]) -> Rescore | None:
    """Return the score from outside that counts: of the newest confirmation, else of the newest run with one."""
    found = [run for run in runs if run.rescore is not None]
    confirmed = [run for run in found if run.kind is AttemptKind.CONFIRMATION]
    return (confirmed or found)[-1].rescore if found else None


def _scored(state: State, runs: list[Attempt]) -> str:
    if state.session.metric.score_command:
        return BY_COMMAND
    newest = _rescore_of(runs)
    if newest is None:
        return BY_ITSELF
    if newest.trouble:
        return f"{BY_ITSELF}: {newest.trouble}"
    if newest.failed:
        return f"failed a probe: it {newest.failed}"
    values = f"public {newest.public_bpb:.4f}" + (f", sealed {newest.sealed_bpb:.4f}" if newest.sealed_bpb else "")
    return f"scored outside its run: {values}, {count(len(newest.passed), 'probe')} passed"
