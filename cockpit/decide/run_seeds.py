"""Choose the seeds of runs: a test's runs and the incumbent's share them, in pairs.

No experiment runs a seed twice. Only the incumbent's runs since its keep are paired: it was selected on the earlier
seeds. A seed is chosen by the order of its runs, never by their scores.
"""

from collections.abc import Iterable, Sequence

import msgspec

from cockpit.core.events import Event, Queued
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Outcome, Wave
from cockpit.core.state import WITHOUT, State
from cockpit.decide.evidence import RUNS_READ, TEST_KINDS, kept_since, noise_of

PAIRED = (*TEST_KINDS, AttemptKind.CONFIRMATION, AttemptKind.CONTROL)


def next_seed(state: State, experiment: str, extra: int = 0) -> int:
    """Return a seed that the experiment has not run. The first attempt of every experiment has the session's seed."""
    runs = state.experiments[experiment].attempts
    return max((state.attempts[name].seed for name in runs), default=state.session.seed - 1) + 1 + extra


def first_seeds(state: State, wave: Wave, runs: int) -> list[int]:
    """Return the seeds of the first runs of each arm of a wave: the session's and those after it.

    Where this session shows that runs with one seed share noise, they are seeds that the incumbent has run, different
    ones in each wave: one seed for all would bias the whole session.
    """
    if noise_of(state).seed_correlation:
        offered = list(dict.fromkeys(run.seed for run in _incumbent_runs(state) if _has_result_or_will(run)))
        if len(offered) >= runs:
            first = int(wave.id[1:]) * runs
            return [offered[(first + number) % len(offered)] for number in range(runs)]
    return [state.session.seed + number for number in range(runs)]


def with_paired_seeds(state: State, events: Sequence[Event]) -> list[Event]:
    """Return the events; runs of tests and of the incumbent that they queue get seeds that the other side has run.

    No two runs of an experiment get one seed.
    """
    seeded: list[Event] = []
    queued: list[Attempt] = []
    for event in events:
        if isinstance(event, Queued):
            choose = _seed if event.attempt.kind in PAIRED else _own_seed
            attempt = msgspec.structs.replace(event.attempt, seed=choose(state, event.attempt, queued))
            event = msgspec.structs.replace(event, attempt=attempt)
            queued.append(attempt)
        seeded.append(event)
    return seeded


def _own_seed(state: State, attempt: Attempt, queued: Sequence[Attempt]) -> int:
    """Return the attempt's seed, or one after those of its experiment's runs that are queued beside it."""
    return max([attempt.seed, *(one.seed + 1 for one in queued if one.experiment == attempt.experiment)])


def _seed(state: State, attempt: Attempt, queued: Sequence[Attempt]) -> int:
    """Return the first seed that the other side offers in the attempt's class, else one that neither side has run."""
    own = [state.attempts[name] for name in state.experiments[attempt.experiment].attempts]
    ran = {run.seed for run in (*own, *(one for one in queued if one.experiment == attempt.experiment))}
    others = list(_other_side(state, attempt.experiment, queued))
    for run in others:
        if run.seed not in ran and _may_pair(run, attempt):
            return run.seed
    return max(ran | {run.seed for run in others}, default=state.session.seed - 1) + 1


def _other_side(state: State, experiment: str, queued: Sequence[Attempt]) -> Iterable[Attempt]:
    """Yield the runs that the experiment's are compared with: the incumbent's since its keep, or those of all tests."""
    if experiment != state.incumbent:
        yield from _incumbent_runs(state)
        yield from (run for run in queued if run.experiment == state.incumbent)
        return
    for name in state.undecided:
        one = state.experiments[name]
        if name != state.incumbent and (one.test_level or WITHOUT in one.levels):
            yield from (state.attempts[run] for run in one.attempts[-RUNS_READ:])
    yield from (run for run in queued if run.experiment != state.incumbent)


def _incumbent_runs(state: State) -> Iterable[Attempt]:
    """Yield the incumbent's newest runs since its keep, the oldest first."""
    if state.incumbent:
        since = kept_since(state, state.incumbent)
        runs = (state.attempts[name] for name in state.experiments[state.incumbent].attempts[-RUNS_READ:])
        yield from (run for run in runs if run.queued_at >= since)


def _may_pair(run: Attempt, attempt: Attempt) -> bool:
    """Return True if a run of the other side is in the attempt's class and offers its seed."""
    return _has_result_or_will(run) and (not attempt.hardware or run.hardware in ("", attempt.hardware))


def _has_result_or_will(run: Attempt) -> bool:
    return run.kind in PAIRED and (run.status is not AttemptStatus.ENDED or run.outcome is Outcome.VALID)
