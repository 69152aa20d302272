"""The score of a run that was computed outside it."""

from enum import StrEnum

import msgspec


class Scoring(StrEnum):
    """How much of a run is computed outside it."""

    NONE = ""
    SCORE = "score"
    """Its score on the public text."""
    WHOLE = "whole"
    """That, its score on the sealed shard, and all probes of its model."""


class Rescore(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A run's score, computed outside the run from its model's logits; or why there is none."""

    public_bpb: float = 0.0
    """On the validation text that every run may read; 0 where it was not computed."""
    public_se: float = 0.0
    public_tokens: int = 0
    whole: bool = False
    """The whole text was scored, and not a part of it."""
    sealed_bpb: float = 0.0
    """On the shard that no run sees; 0 where only the public text was scored."""
    sealed_se: float = 0.0
    tokens_per_s: float = 0.0
    """Tokens a second of the model while it was scored, on a processor per second of its own; 0 where not measured."""
    passed: tuple[str, ...] = ()
    """The probes that the model passed."""
    marks: tuple[float, ...] = ()
    """Losses at some places of the public text: two runs whose marks agree have left the same model."""
    failed: str = ""
    """The rule that the model or its run breaks: the predicate of a sentence."""
    trouble: str = ""
    """Why it could not be computed, in a sentence."""
    seconds: float = 0.0
    run_s: float = 0.0
    """Seconds of the run, by its runner's clock."""
    cpu_s: float = 0.0
    """Processor seconds of the run and its descendants."""
