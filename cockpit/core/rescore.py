"""The score of a run that was computed outside it."""

import math
from enum import StrEnum

import msgspec


class Scoring(StrEnum):
    """How much of a run is computed outside it."""

    NONE = ""
    SCORE = "score"
    """Its score on the public text, and probes of its model there."""
    WHOLE = "whole"
    """That, its score on the sealed shard, and probes on both texts."""


class Rescore(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A run's score, computed outside the run from its model's logits, or why it could not be."""

    public_bpb: float = 0.0
    """On the validation text that every run may read; 0 if it was not computed."""
    public_se: float = 0.0
    public_tokens: int = 0
    whole: bool = False
    """The whole text was scored, and not a part of it."""
    sealed_bpb: float = 0.0
    """On the shard that no run sees; 0 if only the public text was scored."""
    sealed_se: float = 0.0
    public_parts: tuple[float, ...] = ()
    """The score on each of some parts of the public text, by which two models are compared text for text."""
    sealed_parts: tuple[float, ...] = ()
    """The same of the sealed shard. Both are empty if only the public text was scored."""
    tokens_per_s: float = 0.0
    """Tokens a second of the model in the second half of its questions, on a processor per second of its own; 0 where
    not measured."""
    asked_tokens: int = 0
    """Tokens that its model was asked about, probes included."""
    passed: tuple[str, ...] = ()
    """The probes that the model passed."""
    marks: tuple[float, ...] = ()
    """Losses at some places of the public text: two runs whose marks agree have left the same model."""
    failed: str = ""
    """The rule that the model or its run breaks: the predicate of a sentence."""
    trouble: str = ""
    """Why it could not be computed, in a sentence."""
    seconds: float = 0.0
    """Seconds of the scorer."""
    scorer_cpu_s: float = 0.0
    """Processor seconds of the scorer and its servers."""
    run_s: float = 0.0
    """Seconds of the run, by its runner's clock."""
    cpu_s: float = 0.0
    """Processor seconds of the run and its descendants."""


NO_SCORE = "it has no score from outside its run"
"""The start of a sentence that ends with the reason, which may hold words of the run's model."""
SAME_MODEL = "leaves the same model with every seed, so its repeats are one run"
"""The predicate of a sentence on an experiment."""
SAME_SHARE = 0.3
"""Share of the distance to another experiment's model below which two runs have left the same model."""
DISTANCE_AT_MOST = 0.6
"""Nats that count of that distance, as far as runs of two seeds differ on a processor: a model that is much better than
its base lies far from it, and its seeds do not."""


def are_same_model(one: Rescore, other: Rescore, base: Rescore) -> bool:
    """Return True if two runs have left the same model up to rounding, judged by their distances to a third.

    Two seeds of one experiment lie about as far from each other as from their base.
    """
    usual = min(_distance(one, base), _distance(other, base), DISTANCE_AT_MOST)
    return usual > 0 and _distance(one, other) < SAME_SHARE * usual


def _distance(one: Rescore, other: Rescore) -> float:
    """Return the root mean square of the differences of their marks; 0 if either has none."""
    pairs = list(zip(one.marks, other.marks, strict=False))
    return math.sqrt(sum((a - b) ** 2 for a, b in pairs) / len(pairs)) if pairs else 0.0
