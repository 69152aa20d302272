"""The wording of numbers on the screen: the same everywhere, and narrow."""

import time
from collections.abc import Iterable

from cockpit.core.metric import figure
from cockpit.read.wording import (
    MINUS,
    about_usd,
    age,
    count,
    difference_words,
    duration,
    money,
    score_words,
    signed,
    span_words,
    value,
)

__all__ = [
    "MINUS",
    "about_usd",
    "age",
    "bare",
    "clock",
    "count",
    "difference_words",
    "duration",
    "figure",
    "money",
    "score_words",
    "short_name",
    "signed",
    "span_words",
    "value",
]


def clock(at: float) -> str:
    """Word a time as hours and minutes in the reader's time zone."""
    return time.strftime("%H:%M", time.localtime(at))


def bare(number: str) -> str:
    """Drop the zero before the decimal point."""
    return number[1:] if number.startswith("0.") else number


_SHORT_NAMES = {
    "ASPECT_RATIO": "AR",
    "TOTAL_BATCH_SIZE": "BATCH",
    "DEVICE_BATCH_SIZE": "DEVBS",
    "EMBEDDING_LR": "EMB",
    "UNEMBEDDING_LR": "UNEMB",
    "MATRIX_LR": "MAT",
    "SCALAR_LR": "SCAL",
    "WEIGHT_DECAY": "WD",
    "ADAM_BETAS": "BETAS",
    "WARMUP_RATIO": "UP",
    "WARMDOWN_RATIO": "DOWN",
    "FINAL_LR_FRAC": "FINAL",
    "WINDOW_PATTERN": "WINDOW",
    "MUON_MOMENTUM": "MOM",
}


def constant_named(short: str, constants: Iterable[str]) -> str:
    """Return `MAT: the constant MATRIX_LR` for the short name of one of the constants; empty for any other word."""
    wanted = short.strip().upper()
    return next((f"{wanted}: the constant {name}" for name in constants if _SHORT_NAMES.get(name) == wanted), "")


def short_name(constant: str) -> str:
    """Return a constant's name for places with little room."""
    return _SHORT_NAMES.get(constant, constant)
