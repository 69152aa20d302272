"""Find the incumbent's loss curve, with which a training run is compared."""

from cockpit.core.curves import Point, loss_at, points_of
from cockpit.core.model import Attempt, Outcome
from cockpit.core.state import State
from cockpit.decide.early_stopping import LOOKS

COMPARED_FROM = LOOKS[0]
"""The fraction of the budget from which losses are compared, as early stopping does. Before it the loss falls steeply,
and a second of delay shows more than a change."""


def rival_curve(state: State, hardware: str) -> list[Point]:
    """Return the incumbent's loss curve from its last valid run in this class, else in any; empty if it has none."""
    incumbent = state.experiments.get(state.incumbent or state.baseline)
    if incumbent is None:
        return []
    found = b""
    for name in reversed(incumbent.attempts):
        attempt = state.attempts[name]
        if attempt.outcome is Outcome.VALID and attempt.curve:
            if attempt.hardware == hardware:
                return points_of(attempt.curve)
            found = found or attempt.curve
    return points_of(found)


def rival_loss(state: State, attempt: Attempt, fraction: float) -> float | None:
    """Return the incumbent's training loss at a fraction of the budget; past its last point the last loss.

    None before COMPARED_FROM, and for a run of the incumbent itself, which differs from it by noise alone.
    """
    if fraction < COMPARED_FROM or attempt.experiment == (state.incumbent or state.baseline):
        return None
    curve = rival_curve(state, attempt.hardware)
    return loss_at(curve, min(fraction, curve[-1][0])) if curve else None
