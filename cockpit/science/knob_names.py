"""Exclude knobs from search by name and comment: those that measure, set the run's length, or fit the data."""

import re
from functools import lru_cache

from cockpit.core.seeds import IS_A_SEED

# Patterns and not compiled ones: `re` keeps those it has used, and the first paint needs none.
_REASONS: tuple[tuple[str, str], ...] = (
    (IS_A_SEED, r"(.*_)?(SEED|RNGSEED|RANDOMSEED|RANDOM_STATE)(_.*)?|MANUALSEED"),
    (
        "it measures rather than trains",
        r"""(.*_)?(EVAL|EVALUATION|VAL|VALID|VALIDATION|TEST|LOG|LOGGING|PRINT|REPORT|SAVE|CHECKPOINT|CKPT|PROFILE
        |WANDB|BENCHMARK|TRIALS|REPEATS|REPS|RUNS)(_.*)?|(.*_)?(INTERVAL|EVERY|FREQ|FREQUENCY|VERBOSE)""",
    ),
    (
        "it sets the length of a run",
        r"""(.*_)?(TIME_BUDGET|BUDGET)(_.*)?|((MAX|NUM|N|TOTAL|TRAIN|TRAINING)_)+(STEPS?|ITERS?|ITERATIONS|EPOCHS?)
        |EPOCHS?|ITERATIONS|(MAX|TOTAL|TRAIN|TRAINING)_(SECONDS|MINUTES|HOURS|TIME|TOKENS)""",
    ),
    ("it keeps a division from failing", r"(.*_)?(EPS|EPSILON)"),
    (
        "its name suggests a fixed property of the data or the machine",
        r"""(.*_)?(CLASSES|LABELS|VOCAB|PORT|VERSION|YEAR|WORKERS|THREADS|RANK|WORLD_SIZE|TIMEOUT|PATH|DIR|FLOPS
        |SHARDS?)(_.*)?|(IMAGE|IMG|INPUT|OUTPUT)_.*|(.*_)?(ID|DEVICES?)""",
    ),
)
_UNTIMED = r"(?i)\b(not|un-?)\s?(timed|counted)|exclu\w+ from (the )?(tim|measure)|before (the )?tim|compil|kernels?\b"


def last_part(name: str) -> str:
    """Return the last part of a knob's name in the form of a constant: `config.yaml:model.nLayers` is N_LAYERS."""
    last = re.split(r"[.:]", name)[-1].replace("-", "_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last).upper()


@lru_cache(maxsize=1 << 16)
def _reason_of(last: str) -> str:
    """Return the reason in the last part of a name; each name is looked up once."""
    return next((reason for reason, pattern in _REASONS if re.fullmatch(pattern, last, re.VERBOSE)), "")


def exclusion(name: str, comment: str = "") -> str:
    """Return why search may not vary a knob; empty if it may."""
    last = last_part(name)
    if reason := _reason_of(last):
        return reason
    if "WARMUP" in last and re.search(_UNTIMED, comment):
        return "it measures rather than trains"
    return ""
