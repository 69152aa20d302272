"""Scores of experiments. A score always names its hardware class; scores of two classes are never compared."""

from collections.abc import Iterable
from statistics import fmean

import msgspec

from cockpit.core.model import Attempt, Estimate, Experiment, ExperimentStatus, Outcome
from cockpit.core.state import State


class Score(msgspec.Struct, frozen=True):
    """The mean score of an experiment in one hardware class."""

    mean: float
    hardware: str
    runs: int


class Difference(msgspec.Struct, frozen=True):
    """A score less another of the same class; below zero is better."""

    mean: float
    hardware: str
    """`pooled` where the differences of several classes were combined."""
    estimated: bool
    """True for an estimate from a test, False for the plain difference of two means."""


class BestScore(msgspec.Struct, frozen=True):
    """The incumbent's score, its estimated gain, and the baseline's score in the same class where it has one."""

    experiment: str
    score: Score
    estimate: Estimate | None
    baseline: Score | None


def comparison_class(state: State) -> str:
    """Return the class that comparisons are made in: the screening class; without one the class with the most results.

    Ties go to the first by name. Empty before the first result.
    """
    if state.session.fleet.screen_hardware:
        return state.session.fleet.screen_hardware
    return _most_results({name: len(listed) for name, listed in state.best.items()}.items())


def score_of(state: State, name: str, hardware: str = "") -> Score | None:
    """Return the score of an experiment in a class; None if it has no result there.

    Without a class: in the class that comparisons are made in; where it did not run there, in the class it ran most in.
    """
    experiment = state.experiments.get(name)
    if experiment is None or not experiment.scores:
        return None
    if not hardware:
        hardware = comparison_class(state)
        if not experiment.scores.get(hardware):
            hardware = _most_results((name, len(scores)) for name, scores in experiment.scores.items())
    scores = experiment.scores.get(hardware)
    return Score(fmean(scores), hardware, len(scores)) if scores else None


def difference_to_base(state: State, experiment: Experiment) -> Difference | None:
    """Return the experiment's difference to its base; None if the two share no class.

    An estimate counts only if it is against the base.
    """
    estimate = experiment.estimate
    if estimate is not None and estimate.against == experiment.base:
        return Difference(estimate.mean, estimate.hardware, estimated=True)
    own = score_of(state, experiment.id)
    base = score_of(state, experiment.base, own.hardware) if own else None
    return Difference(own.mean - base.mean, own.hardware, estimated=False) if own and base else None


def run_difference(state: State, attempt: Attempt) -> Difference | None:
    """Return one run's score less the mean of its experiment's base in the run's class; None if there is none."""
    if attempt.outcome is not Outcome.VALID or attempt.metrics is None:
        return None
    base = score_of(state, state.experiments[attempt.experiment].base, attempt.hardware)
    return Difference(attempt.metrics.score - base.mean, attempt.hardware, estimated=False) if base else None


def best_steps(state: State, hardware: str) -> list[tuple[float, str, Score]]:
    """Return [(time, experiment, score)] of the incumbents in order, in one class; those without a score there are left
    out, and a repeated one is one step."""
    steps: list[tuple[float, str, Score]] = []
    for incumbency in state.incumbencies:
        score = score_of(state, incumbency.experiment, hardware)
        if score is not None and not (steps and steps[-1][1] == incumbency.experiment):
            steps.append((incumbency.at, incumbency.experiment, score))
    return steps


def kept_experiments(state: State) -> list[str]:
    """Return the experiments other than the baseline that became the incumbent and are still kept, in order."""
    names = dict.fromkeys(incumbency.experiment for incumbency in state.incumbencies)
    return [
        name for name in names if name != state.baseline and state.experiments[name].status is ExperimentStatus.KEPT
    ]


def best_score(state: State) -> BestScore | None:
    """Return the incumbent's score, or the baseline's before there is one; None before the first result."""
    name = state.incumbent or state.baseline
    score = score_of(state, name)
    if score is None:
        return None
    return BestScore(name, score, kept_estimate(state, name), score_of(state, state.baseline, score.hardware))


def kept_estimate(state: State, name: str) -> Estimate | None:
    """Return the estimate that an experiment was last kept on, else its newest one; None if it has none."""
    kept = (step.estimate for step in reversed(state.incumbencies) if step.experiment == name)
    return next(kept, None) or state.experiments[name].estimate


def _most_results(counts: Iterable[tuple[str, int]]) -> str:
    return min(((-count, name) for name, count in counts if count), default=(0, ""))[1]
