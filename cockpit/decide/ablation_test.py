"""Test an ablation, the incumbent without one kept change. The change stays unless the test shows that it is not
needed.

It is a test of non-inferiority with an error rate of its own. A change is dropped only where the incumbent without it
is shown to be worse by less than a margin. A change that gains the margin or more is dropped at most at DROPPED_AT. The
margin keeps a share of the gain that the change was kept for, as in trials against an active control (ICH E10, 2000).
"""

import math

from cockpit.core.events import Event
from cockpit.core.model import AttemptKind, Experiment
from cockpit.core.state import WITHOUT, State
from cockpit.decide.decision_context import DecisionContext, replicates
from cockpit.decide.evidence import readings_of
from cockpit.decide.experiment_test import base_runs
from cockpit.science.compare import compare
from cockpit.science.sequential import LOOKS, SPENDING, last_look

ABLATION_LOOKS = LOOKS[:4]
STILL_HELPS_AT = 0.05
"""A kept change stays at once where the incumbent without it is worse at this level, spent over the looks."""
DROPPED_AT = 0.05
"""The rate at which a change that helps by the margin may be dropped."""
DROP_SPENDING = (0.0, 0.0, 0.3, 0.7)
"""The share of that rate that each look spends: few runs cannot show that a change is not needed."""
ABLATION_MARGIN_SDS = 1.0
"""A change may be dropped where the incumbent without it is less than this many run SDs worse, …"""
ABLATION_MARGIN_SHARE = 0.5
"""… and by less than this share of the gain that it was kept for."""


def ablated(state: State, context: DecisionContext, experiment: Experiment) -> list[Event]:
    """Decide on the incumbent without one kept change: discard it, or make it the incumbent.

    An ablation was not selected by its score, so all its runs are evidence.
    """
    without = experiment.levels[WITHOUT]
    if experiment.base != state.incumbent:
        reason = f"{experiment.base}, whose change it drops, is no longer the incumbent"
        return context.discard(experiment, reason)
    runs = readings_of(state, experiment.id)
    look = min(last_look(len(runs)), ABLATION_LOOKS[-1])
    margin = _margin(state, context, str(without))
    seen = compare(runs[:look], context.incumbent, context.noise, margin=margin)
    tries = len(experiment.attempts)
    if look == 0 or seen is None:
        if tries >= 2 * LOOKS[0]:
            return context.discard(experiment, "its runs gave too few results to decide")
        return _more(state, context, experiment, max(1, LOOKS[0] - len(runs)), "to see whether the change still helps")
    index = LOOKS.index(look)
    worse = compare(context.incumbent, runs[:look], context.noise)
    if worse is not None and worse.p_value <= STILL_HELPS_AT * SPENDING[index]:
        reason = f"{context.summary(seen)}: the change of {without} still helps"
        return context.discard(experiment, reason, seen.pooled)
    if seen.p_value <= DROPPED_AT * DROP_SPENDING[index]:
        reason = f"{context.summary(seen)}: the change of {without} no longer helps"
        return context.keep(experiment, reason, seen.pooled)
    if index + 1 < len(ABLATION_LOOKS) and tries < 2 * ABLATION_LOOKS[-1]:
        want = LOOKS[index + 1]
        more = _more(state, context, experiment, want - len(runs), f"{context.summary(seen)}: not settled")
        return [*more, *base_runs(state, context, experiment, want)]
    reason = f"{context.summary(seen)}: the change of {without} is not shown to be of no use, and stays"
    return context.discard(experiment, reason, seen.pooled)


def _margin(state: State, context: DecisionContext, kept: str) -> float:
    """Return how much worse the incumbent may be without this kept change."""
    found = (
        one.estimate for one in reversed(state.incumbencies) if one.experiment == kept and one.estimate is not None
    )
    gain = next((-estimate.mean for estimate in found), math.inf)
    return min(ABLATION_MARGIN_SDS * context.noise.run_sd, max(0.0, ABLATION_MARGIN_SHARE * gain))


def _more(state: State, context: DecisionContext, experiment: Experiment, runs: int, reason: str) -> list[Event]:
    """Queue more runs of the ablation. Those of tests come before them."""
    return replicates(state, context, experiment, runs, reason, kind=AttemptKind.ABLATION)
