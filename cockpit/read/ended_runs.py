"""The attempts that ended since a reader's last call. A reader's cost grows with the new ones, not with all."""

import msgspec

from cockpit.core.state import State


class Ended(msgspec.Struct):
    """A reader's position in the order in which attempts ended."""

    _seen: int = 0

    def fresh(self, state: State) -> list[str] | None:
        """Return the attempts that ended since the last call, oldest first; None if the reader must read `every` one
        again."""
        ended = sum(state.outcome_counts.values())
        fresh, self._seen = ended - self._seen, ended
        if fresh < 0 or fresh > len(state.recent):
            return None
        return state.recent[len(state.recent) - fresh :]


def every(state: State) -> list[str]:
    """Return all attempts that ended, oldest first; one that was cancelled in the queue never did."""
    return sorted(
        (name for name, attempt in state.attempts.items() if attempt.ended_at),
        key=lambda name: state.attempts[name].ended_at,
    )
