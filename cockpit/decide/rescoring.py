"""Choose the runs to rescore outside them, and check a candidate keep against these scores."""

from itertools import combinations

from cockpit.core.model import Attempt, AttemptKind, Experiment, Metrics
from cockpit.core.rescore import NO_SCORE, SAME_MODEL, Rescore, Scoring, are_same_model
from cockpit.core.state import State
from cockpit.decide.evidence import TEST_KINDS

RUNS_READ = 32


def scoring_of(state: State, attempt: Attempt) -> Scoring:
    """Return how much of the attempt is computed outside it.

    With `keeps`, everything is for the confirmations, and for one run of the baseline in each hardware class, since
    keeps are compared with it; the score with its probes is for every other run of a test, since the test believes
    those too: by its name a run may know a confirmation from another.
    """
    if state.session.rescore == "all":
        return Scoring.WHOLE
    if state.session.rescore != "keeps":
        return Scoring.NONE
    if attempt.kind is AttemptKind.CONFIRMATION:
        return Scoring.WHOLE
    if attempt.experiment != state.baseline:
        tests = attempt.kind in TEST_KINDS and attempt.experiment != state.incumbent
        return Scoring.SCORE if tests else Scoring.NONE
    runs = (state.attempts[name] for name in state.experiments[state.baseline].attempts)
    same = (run for run in runs if run.hardware == attempt.hardware)
    first = next((run for run in same if run.outcome is None or _is_good(run)), attempt)
    return Scoring.WHOLE if first.id == attempt.id else Scoring.NONE


def base_of(state: State, attempt: Attempt) -> tuple[Rescore, Metrics] | None:
    """Return the score from outside of the incumbent, or else the baseline, in the attempt's hardware class."""
    for name in dict.fromkeys((state.incumbent, state.baseline)):
        if name and name != attempt.experiment and (found := _newest(state, name, attempt.hardware)):
            return found
    return None


def baseline_of(state: State, attempt: Attempt) -> tuple[Rescore, Metrics] | None:
    """Return the baseline's score from outside in the attempt's hardware class."""
    if not state.baseline or attempt.experiment == state.baseline:
        return None
    return _newest(state, state.baseline, attempt.hardware)


def no_rescore(attempt: Attempt) -> str:
    """Return why the attempt has no score from outside although one was tried; empty if it has, or none was due."""
    return attempt.rescore.trouble if attempt.rescore else ""


def broken_rule(state: State, experiment: Experiment) -> str:
    """Return the rule that a run of the experiment breaks, in a clause; empty for none.

    One run is enough: no test of the others is worth its time.
    """
    if not state.session.rescore or scorer_trouble(state):
        return ""
    found = (state.attempts[name].rescore for name in experiment.attempts)
    return next((f"it {one.failed}" for one in found if one and one.failed), "")


def rescore_problem(state: State, experiment: Experiment) -> str:
    """Return the objection of the scores from outside to a keep, in a clause; empty for none."""
    if not state.session.rescore or scorer_trouble(state):
        return ""
    runs = [state.attempts[name] for name in experiment.attempts]
    if broken := broken_rule(state, experiment):
        return broken
    if _repeats_itself(state, runs):
        return f"it {SAME_MODEL}"
    found = [run.rescore for run in runs if run.kind is AttemptKind.CONFIRMATION and run.metrics]
    if any(one is not None and not one.trouble for one in found):
        return ""
    trouble = next((one.trouble for one in reversed(found) if one), "its fleet computed none")
    return f"{NO_SCORE}: {trouble}"


def _repeats_itself(state: State, runs: list[Attempt]) -> bool:
    """Return True if two runs with different seeds have left the same model."""
    for one, other in combinations([run for run in runs if run.rescore and run.rescore.marks], 2):
        base = base_of(state, other)
        if one.seed == other.seed or one.hardware != other.hardware or base is None:
            continue
        if one.rescore and other.rescore and are_same_model(one.rescore, other.rescore, base[0]):
            return True
    return False


def scorer_trouble(state: State) -> str:
    """Return why the scorer cannot be used in this session, in a clause; empty if it can, or has not been tried.

    The baseline is code that a person trusts. Where it cannot be scored, or fails a probe, the scorer is at fault.
    """
    baseline = state.experiments.get(state.baseline)
    if baseline is None:
        return ""
    runs = (state.attempts[name] for name in baseline.attempts[:RUNS_READ])
    found = [run.rescore for run in runs if run.rescore]
    if not found or any(one.public_bpb and not one.failed for one in found):
        return ""
    return found[-1].trouble or f"it {found[-1].failed}"


def _newest(state: State, experiment: str, hardware: str) -> tuple[Rescore, Metrics] | None:
    """Return the newest run with a whole score. The baseline's only one may be its first, so both ends are read."""
    names = state.experiments[experiment].attempts
    for name in (*reversed(names[-RUNS_READ:]), *names[:RUNS_READ]):
        run = state.attempts[name]
        if run.rescore and run.rescore.sealed_bpb and run.metrics and _is_good(run) and run.hardware == hardware:
            return run.rescore, run.metrics
    return None


def _is_good(run: Attempt) -> bool:
    return run.rescore is not None and run.rescore.public_bpb > 0 and not run.rescore.failed
