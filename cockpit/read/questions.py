"""Shorten the questions of waves for lists: the part that differs from other questions comes first."""

from collections import Counter
from itertools import islice

from cockpit.core.model import Wave
from cockpit.core.state import State
from cockpit.read.wording import value

LEAST_SHARED = 4
"""Words at the beginning that two questions share before they are moved behind the rest."""


class Questions:
    """The beginnings of the questions of a session, updated as waves are proposed."""

    def __init__(self) -> None:
        self._known = 0
        self._beginnings: Counter[tuple[str, ...]] = Counter()
        self._factors: dict[str, list[dict[str, list[str]]]] = {}
        """The levels in words of each wave, by question."""

    def follow(self, state: State) -> None:
        if len(state.waves) < self._known:
            self._known = 0
            self._beginnings.clear()
            self._factors.clear()
        for wave in islice(state.waves.values(), self._known, None):
            words = wave.question.split()
            if words and wave.question not in self._factors:
                self._beginnings.update(tuple(words[:most]) for most in range(LEAST_SHARED, len(words)))
            self._factors.setdefault(wave.question, []).append(_levels(wave))
        self._known = len(state.waves)

    def differing_first(self, wave: Wave) -> str:
        """Return the question, reordered to start with the part that no other question has.

        Equal questions begin with the levels that differ: `ASPECT_RATIO 96, 112: How wide …`.
        """
        asked, mine = self._factors.get(wave.question, []), _levels(wave)
        if len(asked) > 1:
            parts = [
                f"{name} {', '.join(levels)}"
                for name, levels in mine.items()
                if any(other.get(name) != levels for other in asked)
            ]
            return f"{' × '.join(parts)}: {wave.question}" if parts and wave.question else wave.question
        words = wave.question.split()
        shared = max(
            (
                most
                for most in range(LEAST_SHARED, len(words))
                if self._beginnings[tuple(words[:most])] > 1 and words[most][0].isalpha()
            ),
            default=0,
        )
        return f"{' '.join(words[shared:])} ({' '.join(words[:shared])} …)" if shared else wave.question


def _levels(wave: Wave) -> dict[str, list[str]]:
    return {name: [value(level) for level in levels] for name, levels in wave.factors.items()}
