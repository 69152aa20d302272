"""Read the state as evidence: runs as readings, and the session's noise.

Only the newest controls, tests and results are read, so the cost does not grow with what has finished.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from cockpit.core.model import Attempt, AttemptKind, Outcome
from cockpit.core.seeds import NO_SEED
from cockpit.core.state import State
from cockpit.science.noise import Noise, estimate_noise
from cockpit.science.reading import Reading

CONTROLS_READ = 64
"""Newest controls of a class from which the noise is estimated."""
TEST_KINDS = (AttemptKind.REPLICATE, AttemptKind.VALIDATION, AttemptKind.ABLATION)
"""Runs of a test. An arm's first run is chosen for its score, and a confirmation must be independent."""
SCREENING_KINDS = (AttemptKind.ARM, AttemptKind.RETRY)
"""Runs by which an arm is chosen for a test."""
FRESH_AT_LEAST = 8
"""Runs since an incumbent was kept from which they alone are its evidence."""
INCUMBENTS_READ = 4
"""Newest incumbents whose runs the noise is estimated from. They show how scores drift."""
RUNS_READ = 144
"""Newest runs of one experiment that are compared."""


def reading(state: State, attempt: Attempt) -> Reading | None:
    """Return the attempt as a reading; None if it has no result, or its cluster is flagged."""
    return None if attempt.cluster in state.flagged else _plain(state, attempt)


def _plain(state: State, attempt: Attempt, may_end: bool = False) -> Reading | None:
    if attempt.outcome is not Outcome.VALID or attempt.metrics is None or not math.isfinite(attempt.metrics.score):
        return None
    return Reading(
        attempt.experiment,
        attempt.cluster,
        attempt.hardware,
        attempt.metrics.score,
        attempt.ended_at,
        attempt.metrics.total_tokens_M,
        attempt.seed if state.session.seed_by != NO_SEED else None,
        may_end,
    )


def readings_of(state: State, experiment: str, *kinds: AttemptKind) -> list[Reading]:
    """Return the newest runs of an experiment, of these kinds or of any, in the order they were queued."""
    names = state.experiments[experiment].attempts[-RUNS_READ:]
    found = (reading(state, state.attempts[name]) for name in names if _has_kind(state, name, kinds))
    read = [one for one in found if one is not None]
    if state.session.seed_by != NO_SEED:
        return read
    return list({one.hardware: one for one in reversed(read)}.values())  # each later one is the first run again


def _has_kind(state: State, attempt: str, kinds: tuple[AttemptKind, ...]) -> bool:
    return not kinds or state.attempts[attempt].kind in kinds


def evidence_of(state: State, experiment: str) -> list[Reading]:
    """Return an incumbent's runs. Runs that it was selected by are biased, and are left out if it has others.

    Its screening runs were chosen for their scores, and the runs of its test for having passed it. Runs queued since it
    became the incumbent were not.
    """
    every = readings_of(state, experiment)
    since = runs_since_kept(state, experiment)
    others = readings_of(state, experiment, *(kind for kind in AttemptKind if kind not in SCREENING_KINDS))
    for runs, enough in ((since, FRESH_AT_LEAST), (others, 2)):
        if {one.hardware for one in runs} == {one.hardware for one in every} and len(runs) >= enough:
            return runs
    return every


def runs_since_kept(state: State, experiment: str) -> list[Reading]:
    """Return the runs of an incumbent that were queued after it was kept."""
    kept = kept_since(state, experiment)
    names = state.experiments[experiment].attempts[-RUNS_READ:]
    found = (reading(state, state.attempts[name]) for name in names if state.attempts[name].queued_at >= kept)
    return [one for one in found if one is not None]


def kept_since(state: State, experiment: str) -> float:
    """Return when an experiment was last made the incumbent; infinite where it never was."""
    return next((one.at for one in reversed(state.incumbencies) if one.experiment == experiment), math.inf)


def edits_behind(state: State, experiment: str) -> tuple[str, ...]:
    """Return the ancestors whose edits make up the experiment's code. Constants are comparable if these are equal."""
    found: list[str] = []
    while experiment:
        one = state.experiments[experiment]
        if one.change.edits:
            found.append(one.id)
        experiment = one.base
    return tuple(found)


def noise_of(state: State, held_back: bool = False) -> Noise:
    """Estimate the noise of the session from its controls and the experiments tested last.

    With `held_back` the runs of flagged clusters count too, to see if a cluster still measures unlike its class.
    """
    attempts: dict[str, Attempt] = {}
    for names in state.controls.values():
        attempts.update((name, state.attempts[name]) for name in names[-CONTROLS_READ:])
    for experiment in dict.fromkeys((*state.tested, *state.undecided, *_incumbents(state))):
        names = state.experiments[experiment].attempts[-RUNS_READ:]
        attempts.update((name, state.attempts[name]) for name in names if state.attempts[name].kind in TEST_KINDS)
    readings = tuple(_readings(state, attempts.values(), held_back))
    if state.session.seed_by != NO_SEED:
        return _estimated(readings)
    first = {(one.experiment, one.hardware): one for one in reversed(readings)}
    return msgspec.structs.replace(_estimated(tuple(reversed(first.values()))), takes_no_seed=True)


@lru_cache(maxsize=4)
def _estimated(readings: tuple[Reading, ...]) -> Noise:
    """Estimate the noise. Most decisions come between two readings that change it, hence the cache."""
    return estimate_noise(readings)


def _incumbents(state: State) -> list[str]:
    return [one.experiment for one in state.incumbencies[-INCUMBENTS_READ:]]


def _readings(state: State, attempts: Iterable[Attempt], held_back: bool) -> Iterable[Reading]:
    kept = {one.experiment: one.at for one in state.incumbencies}
    for attempt in attempts:
        may_end = attempt.kind is not AttemptKind.CONTROL and attempt.queued_at < kept.get(attempt.experiment, math.inf)
        one = _plain(state, attempt, may_end) if held_back or attempt.cluster not in state.flagged else None
        if one is not None:
            yield one
