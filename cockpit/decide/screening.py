"""Screen a few arms before the first test, so that one arm does not take the first hours of a small fleet.

On one cluster a test takes ten runs. Early in a session the noise is not measured yet, so the first arm often looks
promising by luck. A fleet of SCREENED_FIRST clusters screens that many arms together in any case.
"""

from itertools import islice

from cockpit.core.model import AttemptKind, AttemptStatus, Mode, Tier
from cockpit.core.state import State
from cockpit.decide.ask import FILLER
from cockpit.decide.decision_context import clusters_up

SCREENED_FIRST = 4
"""Arms that are screened before the first test begins."""


def screens_first(state: State, now: float) -> bool:
    """Return True if tests wait: the fleet is small, few arms are screened, and more wait, run or will be proposed."""
    if clusters_up(state) >= SCREENED_FIRST or _are_screened(state):
        return False
    return _arms_are_queued(state) or _arms_are_asked_for(state, now)


def _are_screened(state: State) -> bool:
    screened = (
        name
        for name, experiment in state.experiments.items()
        if name != state.baseline
        and experiment.attempts
        and state.attempts[experiment.attempts[0]].status is AttemptStatus.ENDED
    )
    return len(list(islice(screened, SCREENED_FIRST))) == SCREENED_FIRST


def _arms_are_queued(state: State) -> bool:
    attempts = (state.attempts[name] for names in (state.waiting, state.in_flight) for name in names)
    return any(
        attempt.kind is AttemptKind.ARM
        and attempt.tier is Tier.SCREEN
        and attempt.experiment != state.baseline
        and not state.waves[state.experiments[attempt.experiment].wave].held
        for attempt in attempts
    )


def _arms_are_asked_for(state: State, now: float) -> bool:
    """Return True if a proposer is thinking, or `search` will be asked as soon as a cluster is free."""
    if state.asks:
        return True
    if state.held or state.ending or state.mode is Mode.MANUAL or now < state.ask_retry_at.get(FILLER, 0.0):
        return False
    return state.envelope.filler or (state.proposer == FILLER and state.mode is Mode.AUTOPILOT)
