"""Which runs have their score computed outside them, and what that says about a would-be keep."""

from cockpit.core.model import Attempt, AttemptKind, Experiment, Metrics
from cockpit.core.rescore import Rescore
from cockpit.core.state import State

RUNS_READ = 32


def is_rescored(state: State, attempt: Attempt) -> bool:
    """Tell if the attempt's score is to be computed outside it.

    With `keeps`, the confirmations are, and one run of the baseline, with which the first keeps are compared.
    """
    if state.session.rescore == "all":
        return True
    if state.session.rescore != "keeps":
        return False
    if attempt.kind is AttemptKind.CONFIRMATION:
        return True
    if attempt.experiment != state.baseline:
        return False
    runs = (state.attempts[name] for name in state.experiments[state.baseline].attempts)
    first = next((run for run in runs if run.outcome is None or _is_good(run)), attempt)
    return first.id == attempt.id


def base_of(state: State, attempt: Attempt) -> tuple[Rescore, Metrics] | None:
    """Return the score from outside of the incumbent, or else the baseline, in the attempt's hardware class."""
    for name in dict.fromkeys((state.incumbent, state.baseline)):
        if name and name != attempt.experiment and (found := _newest(state, name, attempt.hardware)):
            return found
    return None


def no_rescore(attempt: Attempt) -> str:
    """Return why the attempt has no score from outside although one was tried; empty where it has, or none was due."""
    return attempt.rescore.trouble if attempt.rescore else ""


def rescore_problem(state: State, experiment: Experiment) -> str:
    """Return what the scores from outside say against keeping the experiment, in a clause; empty for nothing."""
    if not state.session.rescore or scorer_trouble(state):
        return ""
    runs = (state.attempts[name] for name in experiment.attempts)
    found = [run.rescore for run in runs if run.kind is AttemptKind.CONFIRMATION and run.metrics]
    if failed := next((one.failed for one in found if one and one.failed), ""):
        return f"it {failed}"
    if any(one is not None and not one.trouble for one in found):
        return ""
    trouble = next((one.trouble for one in reversed(found) if one), "its fleet computed none")
    return f"it has no score from outside its run: {trouble}"


def scorer_trouble(state: State) -> str:
    """Return why the scorer cannot be used in this session, in a clause; empty where it can, or has not been tried.

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
    for name in reversed(state.experiments[experiment].attempts[-RUNS_READ:]):
        run = state.attempts[name]
        if run.rescore and run.metrics and _is_good(run) and run.hardware == hardware:
            return run.rescore, run.metrics
    return None


def _is_good(run: Attempt) -> bool:
    return run.rescore is not None and run.rescore.public_bpb > 0 and not run.rescore.failed
