"""What decisions about experiments rest on, gathered once for all of them, and the words in which they are told."""

import math
from collections import Counter

import msgspec

from cockpit.core.model import AttemptKind, ClusterState, Experiment
from cockpit.core.state import State
from cockpit.decide import actions as a
from cockpit.decide.evidence import evidence_of, noise_of, readings_of
from cockpit.decide.schedule import another
from cockpit.science.compare import Comparison, difference
from cockpit.science.noise import Noise, Reading
from cockpit.science.shrink import Prior, fit_prior

TIE = 0.5
"""Simpler code wins ties: it may be worse by this share of a run's noise."""
CLUSTERS_APART = 3
"""Replicates differ in cluster: a class with fewer is not enough for them."""
UP = (ClusterState.IDLE, ClusterState.BUSY)


class Case(msgspec.Struct, frozen=True):
    """What a decision rests on, gathered once for all of them."""

    noise: Noise
    incumbent: list[Reading]
    prior: Prior
    better_class: str
    usual_class: str
    """Where tests are run: the class with the most clusters that the incumbent was measured on; empty for any."""

    def known_mean(self, state: State, experiment: str) -> float:
        """Its pooled difference to the incumbent by all its runs; 0 where there is none."""
        found = difference(readings_of(state, experiment), self.incumbent, self.noise)
        return found[0] if found else 0.0


def gather(state: State) -> Case:
    noise = noise_of(state)
    incumbent = evidence_of(state, state.incumbent)
    prior = _prior(state, noise, incumbent)
    return Case(noise, incumbent, prior, better_class(state, noise), usual_class(state, incumbent))


def usual_class(state: State, incumbent: list[Reading]) -> str:
    """The class that tests are run on, so that the better one is free for validations; empty where one is too few."""
    up = Counter(cluster.hardware for cluster in state.clusters.values() if cluster.state in UP and not cluster.held)
    measured = {one.hardware for one in incumbent}
    most = max((h for h in sorted(up) if h in measured), key=lambda h: up[h], default="")
    return most if len(up) > 1 and up[most] >= CLUSTERS_APART else ""


def better_class(state: State, noise: Noise) -> str:
    """The class validation runs on: the fleet's own word, else the one that measures clearly better; empty for none."""
    up = {cluster.hardware for cluster in state.clusters.values() if cluster.state in UP and not cluster.held}
    named = state.session.fleet.validate_hardware
    if named:
        return named if named in up and len(up) > 1 else ""
    offsets = {name: offset for name, offset in noise.classes.items() if name in up and name != noise.reference}
    best = min(offsets, key=lambda name: offsets[name].mean, default="")
    return best if best and offsets[best].mean < -2 * offsets[best].se else ""


def _prior(state: State, noise: Noise, incumbent: list[Reading]) -> Prior:
    """Of the differences to the incumbent that arms have shown lately."""
    means, ses = [], []
    for name in state.recent:
        attempt = state.attempts[name]
        if attempt.kind is AttemptKind.ARM:
            found = difference(readings_of(state, attempt.experiment, AttemptKind.ARM), incumbent, noise)
            if found is not None:
                means.append(found[0])
                ses.append(found[1])
    return fit_prior(means, ses)


def margin_of(case: Case, experiment: Experiment) -> float:
    """What a simplification may cost and still win."""
    simpler = experiment.lines_removed > experiment.lines_added and experiment.change.edits
    return TIE * case.noise.run_sd if simpler else 0.0


def replicates(
    state: State, case: Case, experiment: Experiment, runs: int, reason: str, level: float = 0.0
) -> list[a.Action]:
    last = state.attempts[experiment.attempts[-1]]
    return [
        a.Queue(
            another(
                state,
                experiment.id,
                AttemptKind.REPLICATE,
                rule=last.rule,
                hardware=case.usual_class,
                avoid=last.cluster,
            ),
            reason,
            0.0 if number else level,
        )
        for number in range(runs)
    ]


def said(seen: Comparison) -> str:
    one = seen.pooled
    where = "" if math.isnan(one.mean) else f" [{one.low:+.4f}, {one.high:+.4f}]"
    flips = ", differently on each class" if seen.flips else ""
    return f"{one.mean:+.4f}{where} against {one.against} in {one.runs} run{'s' * (one.runs != 1)}{flips}"
