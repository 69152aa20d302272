"""The order of the wave queue, and the filler in it: hundreds of waves of one arm each, shown as one."""

from collections.abc import Iterable
from itertools import islice

import msgspec

from cockpit.core.model import WaveKind
from cockpit.core.state import State
from cockpit.read.costs import run_usd
from cockpit.read.ended_runs import Ended, every
from cockpit.read.scores import difference_to_base
from cockpit.read.waves import best_arm, class_beside
from cockpit.tui.figures import difference_words

FILLER = "filler"
"""The key of the row that stands for all filler waves."""
RECENT_DONE = 40
CANDIDATES = 64
"""Filler arms, the best by raw difference, that are judged again at each new result."""


class FillerView(msgspec.Struct, frozen=True):
    tried: int
    """Arms of which a run has ended."""
    running: int
    best: str
    best_delta: float | None
    best_words: str
    """The difference in words."""
    best_class: str
    """The class of the difference, if it is not the class of comparisons."""
    spent_usd: float


class Queue(msgspec.Struct):
    """Follows the waves. The cost of `keys` and `filler` grows with the open and the new waves, not with all."""

    asked: list[str] = msgspec.field(default_factory=list)
    """Waves that answer a question, in the order they were proposed."""
    fillers: list[str] = msgspec.field(default_factory=list)
    _known: int = 0
    _ends: Ended = msgspec.field(default_factory=Ended)
    _tried: set[str] = msgspec.field(default_factory=set)
    _spent_usd: float = 0.0
    _deltas: dict[str, float] = msgspec.field(default_factory=dict)

    def follow(self, state: State) -> None:
        if len(state.waves) < self._known:
            self.asked, self.fillers, self._known = [], [], 0
        if len(state.waves) > self._known:
            for name in islice(state.waves, self._known, None):
                (self.fillers if state.waves[name].kind is WaveKind.FILLER else self.asked).append(name)
            self._known = len(state.waves)
        fresh = self._ends.fresh(state)
        if fresh is None:
            self._tried, self._deltas, self._spent_usd = set(), {}, 0.0
        self._take(state, every(state) if fresh is None else fresh)

    def _take(self, state: State, ended: Iterable[str]) -> None:
        for name in ended:
            attempt = state.attempts[name]
            if not is_filler(state, attempt.experiment):
                continue
            self._tried.add(attempt.experiment)
            self._spent_usd += run_usd(state, attempt, attempt.ended_at)
            self._deltas[attempt.experiment] = 0.0
        for name in list(self._deltas):
            delta = difference_to_base(state, state.experiments[name])
            if delta is None:
                del self._deltas[name]
            else:
                self._deltas[name] = delta.mean
        if len(self._deltas) > CANDIDATES:
            self._deltas = dict(sorted(self._deltas.items(), key=lambda item: item[1])[:CANDIDATES])

    def keys(self, state: State, opened: bool) -> list[str]:
        """Return the sections: waiting for a person, running and queued by rank, filler, and done, newest first.

        Where the filler is `opened` its waves follow it: those that run, then the newest.
        """
        first = [*state.proposals, *queued(state)]
        rows = [FILLER] if self.fillers else []
        if opened:
            running = [name for name in state.open_waves if state.waves[name].kind is WaveKind.FILLER]
            rows += running + _newest(self.fillers, {*running, *first})
        return first + rows + _newest(self.asked, set(first))

    def filler(self, state: State, now: float) -> FillerView:
        going = [state.attempts[name] for name in state.in_flight]
        mine = [attempt for attempt in going if is_filler(state, attempt.experiment)]
        best, delta = best_arm(state, (state.experiments[name] for name in self._deltas))
        return FillerView(
            tried=len(self._tried),
            running=len(mine),
            best=best,
            best_delta=delta.mean if delta else None,
            best_words=difference_words(state.session.metric, delta.mean) if delta else "",
            best_class=class_beside(state, delta) if delta else "",
            spent_usd=self._spent_usd + sum(run_usd(state, attempt, now) for attempt in mine),
        )


def is_filler(state: State, experiment: str) -> bool:
    wave = state.waves.get(state.experiments[experiment].wave)
    return wave is not None and wave.kind is WaveKind.FILLER


def queued(state: State) -> list[str]:
    """Return the open waves that answer a question, in the order they run."""
    names = [name for name in state.open_waves if state.waves[name].kind is not WaveKind.FILLER]
    return sorted(names, key=lambda name: (state.waves[name].rank, name))


def _newest(names: list[str], but: set[str]) -> list[str]:
    return list(islice((name for name in reversed(names) if name not in but), RECENT_DONE))
