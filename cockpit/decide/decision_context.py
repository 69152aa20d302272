"""The evidence that all decisions on experiments share, and the events that they return."""

import math
from collections import Counter

import msgspec

from cockpit.core.events import Decided, Event, IncumbentSet, Queued
from cockpit.core.metric import Metric
from cockpit.core.model import Attempt, AttemptKind, ClusterState, Estimate, Experiment, ExperimentStatus
from cockpit.core.paired_runs import paired_words
from cockpit.core.state import State
from cockpit.decide.evidence import evidence_of, noise_of, readings_of
from cockpit.decide.schedule import RunSpec, next_attempt
from cockpit.decide.second_metrics import wins_ties
from cockpit.science.compare import Comparison, difference, differences
from cockpit.science.noise import Noise
from cockpit.science.reading import Reading
from cockpit.science.run_variance import Spread
from cockpit.science.shrink import Prior, fit_prior

TIE_SDS = 0.5
"""Simpler code wins ties: it may be worse by this share of a run SD."""
CLUSTERS_APART = 3
"""Clusters that a class needs for tests: replicates run on different clusters."""
UP = (ClusterState.IDLE, ClusterState.BUSY)


class DecisionContext(msgspec.Struct, frozen=True):
    """The evidence of the session, gathered once for all decisions of a moment."""

    now: float
    metric: Metric
    noise: Noise
    incumbent: list[Reading]
    prior: Prior
    better_class: str
    usual_class: str
    """The class of tests: the one with the most clusters that the incumbent was measured on; empty for any."""
    tie_winners: frozenset[str] = frozenset()
    """Undecided experiments that a second metric prefers to the incumbent."""

    def known_mean(self, state: State, experiment: str) -> float:
        """Return its pooled difference to the incumbent over all its runs; 0 if there is none."""
        found = difference(readings_of(state, experiment), self.incumbent, self.noise)
        return found.mean if found else 0.0

    def summary(self, seen: Comparison) -> str:
        """Word a comparison, in values of the metric."""
        one = seen.pooled
        interval = "" if math.isnan(one.mean) else f" {self.metric.span(one.low, one.high)}"
        runs = "1 run" if one.runs == 1 else f"{one.runs} runs"
        flips = ", differently on each class" if seen.flips else ""
        pairs = paired_words(one.runs, one.pairs)
        return f"{self.metric.signed(one.mean)}{interval} against {one.against} in {runs}{pairs}{flips}"

    def discard(self, experiment: Experiment, reason: str, estimate: Estimate | None = None) -> list[Event]:
        return [self.decided(experiment, ExperimentStatus.DISCARDED, reason, estimate)]

    def keep(self, experiment: Experiment, reason: str, estimate: Estimate) -> list[Event]:
        """Keep the experiment and make it the incumbent."""
        incumbent = IncumbentSet(at=self.now, experiment=experiment.id, reason=reason, estimate=estimate)
        return [self.decided(experiment, ExperimentStatus.KEPT, reason, estimate), incumbent]

    def decided(
        self, experiment: Experiment, status: ExperimentStatus, reason: str, estimate: Estimate | None = None
    ) -> Decided:
        return Decided(at=self.now, experiment=experiment.id, status=status, reason=reason, estimate=estimate)

    def queue(self, attempt: Attempt, reason: str, level: float = 0.0) -> Queued:
        return Queued(at=self.now, attempt=attempt, reason=reason, test_level=level)


def clusters_up(state: State) -> int:
    """Count the clusters that take runs."""
    return sum(cluster.state in UP and not cluster.held for cluster in state.clusters.values())


def gather(state: State, now: float) -> DecisionContext:
    noise = noise_of(state)
    incumbent = evidence_of(state, state.incumbent)
    prior = _prior(state, noise, incumbent)
    better, usual = better_class(state, noise), usual_class(state, incumbent)
    metric = state.session.metric
    winners = frozenset(name for name in state.undecided if metric.tie_breaks and wins_ties(state, name))
    return DecisionContext(now, metric, noise, incumbent, prior, better, usual, winners)


def usual_class(state: State, incumbent: list[Reading]) -> str:
    """Return the class of tests, which leaves the better class to validations; empty if it has too few clusters."""
    up = Counter(cluster.hardware for cluster in state.clusters.values() if cluster.state in UP and not cluster.held)
    measured = {one.hardware for one in incumbent}
    most = max((h for h in sorted(up) if h in measured), key=lambda h: up[h], default="")
    return most if len(up) > 1 and up[most] >= CLUSTERS_APART else ""


def better_class(state: State, noise: Noise) -> str:
    """Return the class of validations: the one the fleet names, or one that measures clearly better; empty for none."""
    up = {cluster.hardware for cluster in state.clusters.values() if cluster.state in UP and not cluster.held}
    named = state.session.fleet.validate_hardware
    if named:
        return named if named in up and len(up) > 1 else ""
    offsets = {name: offset for name, offset in noise.classes.items() if name in up and name != noise.reference}
    best = min(offsets, key=lambda name: offsets[name].mean, default="")
    return best if best and offsets[best].mean < -2 * offsets[best].se else ""


def _prior(state: State, noise: Noise, incumbent: list[Reading]) -> Prior:
    """Fit the prior to the newest arms' differences to the incumbent, and to the spread of those tested before."""
    newest = (state.attempts[name] for name in state.recent)
    arms = dict.fromkeys(one.experiment for one in newest if one.kind is AttemptKind.ARM)
    runs = (readings_of(state, arm) for arm in arms)
    found = [one for one in differences(runs, incumbent, noise) if one is not None]
    base_var = noise.variance_of(state.incumbent)
    others = (one for name, one in noise.spreads.items() if name != state.incumbent and name not in arms)
    return fit_prior(found, [Spread(one.squares / base_var, one.df) for one in others])


def margin_of(context: DecisionContext, experiment: Experiment) -> float:
    """Return how much worse than the incumbent a simplification, or a winner of ties, may be and still win."""
    simpler = experiment.lines_removed > experiment.lines_added and experiment.change.edits
    return TIE_SDS * context.noise.run_sd if simpler or experiment.id in context.tie_winners else 0.0


def replicates(
    state: State,
    context: DecisionContext,
    experiment: Experiment,
    runs: int,
    reason: str,
    level: float = 0.0,
    kind: AttemptKind = AttemptKind.REPLICATE,
) -> list[Event]:
    """Queue fresh runs of an experiment; with `level` its test begins with the first of them."""
    last = state.attempts[experiment.attempts[-1]]
    run = RunSpec(experiment.id, kind, last.rule, hardware=context.usual_class, avoid=last.cluster)
    return [context.queue(next_attempt(state, run), reason, 0.0 if number else level) for number in range(runs)]
