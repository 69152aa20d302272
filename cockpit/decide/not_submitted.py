"""Return a run that could not be submitted to the queue, or end it if it was being cancelled."""

from cockpit.core.events import Ended, Unsubmitted
from cockpit.core.model import Attempt


def not_submitted(attempt: Attempt, at: float, reason: str) -> Ended | Unsubmitted:
    """Return the event for an attempt that could not be submitted. One that was killed meanwhile has ended."""
    if attempt.cancelling:
        return Ended(at=at, attempt=attempt.id, outcome=attempt.cancel_outcome, message=attempt.cancelling)
    return Unsubmitted(at=at, attempt=attempt.id, reason=reason)
