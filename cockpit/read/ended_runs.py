"""Which attempts ended since one last looked, so that what is shown of them costs what is new, not what there is."""

from dataclasses import dataclass

from cockpit.core.state import State


@dataclass
class Ended:
    """A reader's place in the order of ends."""

    _seen: int = 0

    def fresh(self, state: State) -> list[str] | None:
        """Return the attempts that ended since the last call, oldest first; None where all must be read again
        (`every`)."""
        ended = sum(state.outcome_counts.values())
        fresh, self._seen = ended - self._seen, ended
        if fresh < 0 or fresh > len(state.recent):
            return None
        return state.recent[len(state.recent) - fresh :]


def every(state: State) -> list[str]:
    """Return all attempts that ended, oldest first."""
    return sorted(
        (name for name, attempt in state.attempts.items() if attempt.outcome is not None),
        key=lambda name: state.attempts[name].ended_at,
    )
