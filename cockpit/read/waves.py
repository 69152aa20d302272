"""Word the status of waves and experiments, and find a wave's best arm."""

from collections.abc import Iterable

from cockpit.core.model import Experiment, ExperimentStatus, Wave, WaveStatus
from cockpit.core.state import State
from cockpit.read.scores import Difference, comparison_class, difference_to_base
from cockpit.read.state_words import NOT_RUN

FINISHED = (
    ExperimentStatus.VALID,
    ExperimentStatus.KEPT,
    ExperimentStatus.DISCARDED,
    ExperimentStatus.CRASHED,
    ExperimentStatus.DROPPED,
)
"""The statuses of an arm without a first run to come."""


def wave_word(state: State, wave: Wave) -> str:
    """Return the status of a wave: `proposed`, `stale base`, `held`, `running`, `queued`, `measuring`, `done`,
    `rejected`, `cancelled`, or `not run` where its session ended first.

    A wave is `measuring` once every arm has a result, until its verdict.
    """
    over = bool(state.ended_at)
    match wave.status:
        case WaveStatus.PROPOSED:
            if over:
                return NOT_RUN
            return "stale base" if replaced_base(state, wave) else "proposed"
        case WaveStatus.APPROVED:
            arms = [state.experiments[name].status for name in wave.arms]
            if ExperimentStatus.RUNNING in arms and not over:
                return "running"
            unmeasured = any(status not in FINISHED for status in arms)
            if over:
                return NOT_RUN if unmeasured else "done"
            return "held" if wave.held else "queued" if unmeasured else "measuring"
    return str(wave.status)


def replaced_base(state: State, wave: Wave) -> str:
    """Return the base of a waiting wave that was the incumbent when the wave was made, and is not any more.

    Empty if the base is still the incumbent, and where a person chose another base on purpose.
    """
    if wave.status is not WaveStatus.PROPOSED or not wave.base or wave.base == state.incumbent:
        return ""
    before = [one.experiment for one in state.incumbencies if one.at <= wave.proposed_at][-1:]
    since = [one.experiment for one in state.incumbencies if one.at > wave.proposed_at]
    return wave.base if since and wave.base in (*before, *since) else ""


def is_baseline(state: State, experiment: Experiment) -> bool:
    """Return True if an experiment is the measured baseline, which has the status of a keep and changes nothing."""
    return experiment.id == state.baseline and experiment.status is ExperimentStatus.KEPT


def status_word(state: State, experiment: Experiment) -> str:
    """Return the status of an experiment.

    It is `baseline` for the baseline with a result, and `not run` where the session ended before the first result.
    """
    if is_baseline(state, experiment):
        return "baseline"
    to_come = experiment.status in (ExperimentStatus.QUEUED, ExperimentStatus.RUNNING)
    return NOT_RUN if state.ended_at and to_come else str(experiment.status)


def best_arm(state: State, arms: Iterable[Experiment]) -> tuple[str, Difference | None]:
    """Return the kept arm, else the arm with the best difference to its base. The luckiest arm is not the best.

    Differences in the class that comparisons are made in go first; one in another class is named with its class.
    """
    first = comparison_class(state)
    found = [
        (arm.status is not ExperimentStatus.KEPT, delta.hardware not in (first, "pooled"), delta.mean, arm.id, delta)
        for arm in arms
        if (delta := difference_to_base(state, arm)) is not None
    ]
    best = min(found, key=lambda one: one[:4], default=None)
    return (best[3], best[4]) if best else ("", None)


def class_beside(state: State, difference: Difference) -> str:
    """Return the class to name beside a difference; empty in the class that comparisons are made in."""
    return "" if difference.hardware in (comparison_class(state), "") else difference.hardware
