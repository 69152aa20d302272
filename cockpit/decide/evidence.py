"""What the state holds that bears on a decision: runs as readings, and the session's noise. Cost does not grow with
what has finished: only the newest controls, tests and results are read."""

import math
from collections.abc import Iterable
from functools import lru_cache

from cockpit.core.model import Attempt, AttemptKind, Outcome
from cockpit.core.state import State
from cockpit.science.noise import Noise, Reading, estimate

CONTROLS_READ = 64
"""The newest controls of a class that the noise is estimated from."""
UNCHOSEN = (AttemptKind.REPLICATE, AttemptKind.VALIDATION)
"""Runs of a test: an arm's first run was chosen for its luck, and a confirmation is there to be doubted."""
RUNS_READ = 64
"""The newest runs of one experiment that are compared."""


def reading(state: State, attempt: Attempt) -> Reading | None:
    """The attempt as a reading; None where it gave no result, or its cluster's results are held back."""
    return None if attempt.cluster in state.flagged else _plain(attempt)


def _plain(attempt: Attempt) -> Reading | None:
    if attempt.outcome is not Outcome.VALID or attempt.metrics is None or not math.isfinite(attempt.metrics.val_bpb):
        return None
    return Reading(
        attempt.experiment,
        attempt.cluster,
        attempt.hardware,
        attempt.metrics.val_bpb,
        attempt.ended_at,
        attempt.metrics.total_tokens_M,
    )


def readings_of(state: State, experiment: str, *kinds: AttemptKind) -> list[Reading]:
    """The newest runs of an experiment, of these kinds or of any, in the order they were queued."""
    names = state.experiments[experiment].attempts[-RUNS_READ:]
    found = (reading(state, state.attempts[name]) for name in names if _is(state, name, kinds))
    return [one for one in found if one is not None]


def _is(state: State, attempt: str, kinds: tuple[AttemptKind, ...]) -> bool:
    return not kinds or state.attempts[attempt].kind in kinds


def evidence_of(state: State, experiment: str) -> list[Reading]:
    """An incumbent's runs without those it was chosen by, where it has others: they flatter it."""
    chosen_by = (AttemptKind.ARM, AttemptKind.RETRY)
    others = readings_of(state, experiment, *(kind for kind in AttemptKind if kind not in chosen_by))
    every = readings_of(state, experiment)
    return others if {r.hardware for r in others} == {r.hardware for r in every} and len(others) > 1 else every


def noise_of(state: State, held_back: bool = False) -> Noise:
    """The noise of this session, from its controls and the experiments that were tested lately.

    With `held_back` the runs of suspect clusters count too: to see whether a cluster still is one.
    """
    attempts: dict[str, Attempt] = {}
    for names in state.controls.values():
        attempts.update((name, state.attempts[name]) for name in names[-CONTROLS_READ:])
    for experiment in (*state.tested, *state.undecided):
        names = state.experiments[experiment].attempts[-RUNS_READ:]
        attempts.update((name, state.attempts[name]) for name in names if state.attempts[name].kind in UNCHOSEN)
    return _estimated(tuple(_readings(state, attempts.values(), held_back)))


@lru_cache(maxsize=4)
def _estimated(readings: tuple[Reading, ...]) -> Noise:
    """Most decisions come between two readings that bear on the noise."""
    return estimate(readings)


def _readings(state: State, attempts: Iterable[Attempt], held_back: bool) -> Iterable[Reading]:
    for attempt in attempts:
        one = _plain(attempt) if held_back else reading(state, attempt)
        if one is not None:
            yield one
