"""Warn about an arm that duplicates another one or likely runs out of memory."""

from cockpit.core.model import Experiment, ExperimentStatus
from cockpit.core.state import State, constants_of
from cockpit.read.wording import estimate_words

MEMORY_CONSTANTS = ("DEPTH", "ASPECT_RATIO", "HEAD_DIM", "DEVICE_BATCH_SIZE")
VERDICTS = (ExperimentStatus.KEPT, ExperimentStatus.DISCARDED)
_OUT_OF_MEMORY = ("outofmemory", "out of memory", "cannot allocate memory")


def warning(state: State, arm: Experiment, memory: "MemoryLimits | None" = None) -> str:
    """Return the warning about an arm: a duplicate, memory that it likely exceeds, or its verdict."""
    twin = state.by_fingerprint.get(arm.fingerprint, arm.id)
    if twin != arm.id:
        return f"the same code as {twin}"
    if arm.status is ExperimentStatus.PROPOSED:
        like = memory.likely_exceeded(state, arm) if memory is not None else ""
        return f"memory: {like} ran out with no more" if like else ""
    return verdict_words(state, arm)


def verdict_words(state: State, arm: Experiment) -> str:
    """Return `discarded: +0.0002 ± 0.0007 over 2 runs`; the reason of a verdict without an estimate."""
    if arm.estimate is None or arm.status not in VERDICTS:
        return arm.reason
    return f"{arm.status}: {estimate_words(state.session.metric, arm.estimate)}"


class MemoryLimits:
    """The sizes of model and batch that ran, and those that ran out of memory, updated as runs end."""

    def __init__(self) -> None:
        self._ended = -1
        self._ran: set[Sizes] = set()
        self._ran_out: dict[Sizes, str] = {}

    def follow(self, state: State) -> None:
        ended = sum(state.outcome_counts.values())
        if ended == self._ended:
            return
        self._ended = ended
        for known in state.experiments.values():
            if known.scores:
                self._ran.add(_sizes(state, known.id))
            elif known.status is ExperimentStatus.CRASHED and _is_out_of_memory(known.reason):
                self._ran_out.setdefault(_sizes(state, known.id), known.id)

    def likely_exceeded(self, state: State, arm: Experiment) -> str:
        """Return an experiment that ran out of memory though nothing that drives memory was larger there; empty where
        there is none, or where something as large as the arm has run."""
        mine = _sizes(state, arm.id)
        if any(_as_large(ran, mine) for ran in self._ran):
            return ""
        return next((name for sizes, name in self._ran_out.items() if _as_large(mine, sizes)), "")


Sizes = tuple[float, ...]


def _as_large(one: Sizes, other: Sizes) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True))


def _is_out_of_memory(reason: str) -> bool:
    said = reason.casefold()
    return any(words in said for words in _OUT_OF_MEMORY)


def _sizes(state: State, experiment: str) -> Sizes:
    constants = constants_of(state, experiment)
    found = (constants.get(name, 0) for name in MEMORY_CONSTANTS)
    return tuple(float(size) if isinstance(size, int | float) else 0.0 for size in found)
