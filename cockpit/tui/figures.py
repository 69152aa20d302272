"""How numbers are worded on the screen: the same one the same way everywhere, and never wider than it need be."""

import math
import time

from cockpit.core.model import Value

MINUS = "−"


def score(value: float) -> str:
    return "nan" if math.isnan(value) else f"{value:.4f}"


def signed(value: float, digits: int = 4) -> str:
    """A difference with its sign, a real minus: `−0.0123`."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """Two units at most, coarse enough to change seldom: 43s, 5m02s, 2h14m, 3d04h."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def age(seconds: float) -> str:
    """One unit, for what only grows old: 43s, 5m, 2h, 3d."""
    whole = max(0, int(seconds))
    for unit_s, name in ((86_400, "d"), (3600, "h"), (60, "m")):
        if whole >= unit_s:
            return f"{whole // unit_s}{name}"
    return f"{whole}s"


def money(usd: float) -> str:
    return f"${usd:,.2f}" if abs(usd) < 1000 else f"${usd:,.0f}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 arm`, `3 arms`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def clock(at: float) -> str:
    """Hours and minutes where the reader is."""
    return time.strftime("%H:%M", time.localtime(at))


def value(constant: Value) -> str:
    """A constant as train.py spells it, short."""
    if isinstance(constant, bool):
        return str(constant)
    if isinstance(constant, float):
        return f"{constant:.6g}"
    if isinstance(constant, list):
        return "(" + ", ".join(value(item) for item in constant) + ")"
    if isinstance(constant, str):
        return constant if constant and constant.isprintable() else repr(constant)
    return str(constant)


def bare(number: str) -> str:
    """Without the nought before the point."""
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


def short_name(constant: str) -> str:
    """A constant's name where there is little room."""
    return _SHORT_NAMES.get(constant, constant)
