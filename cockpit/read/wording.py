"""Format numbers for people, the same on the screen, on the command line and in questions."""

import re

from cockpit.core.metric import Metric
from cockpit.core.metric import signed as metric_signed
from cockpit.core.model import Estimate, Value
from cockpit.core.paired_runs import paired_words

MINUS = "−"


def duration(seconds: float) -> str:
    """Return two units at most: 43s, 5m02s, 2h14m, 3d04h."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def age(seconds: float) -> str:
    """Return one unit, for a time that only grows: 43s, 5m, 2h, 3d."""
    whole = max(0, int(seconds))
    for unit_s, name in ((86_400, "d"), (3600, "h"), (60, "m")):
        if whole >= unit_s:
            return f"{whole // unit_s}{name}"
    return f"{whole}s"


def money(usd: float) -> str:
    return f"${usd:,.2f}" if abs(usd) < 1000 else f"${usd:,.0f}"


def about_usd(usd: float) -> str:
    """Return expected dollars: `about $1.12`, or `free` on machines without a price."""
    return f"about {money(usd)}" if usd else "free"


def count(number: int, one: str, many: str = "") -> str:
    """Return a count with its noun: `1 arm`, `3 arms`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def value(constant: Value) -> str:
    """Return a constant as Python spells it, in at most six digits."""
    if isinstance(constant, bool):
        return str(constant)
    if isinstance(constant, float):
        return f"{constant:.6g}"
    if isinstance(constant, list):
        return "(" + ", ".join(value(item) for item in constant) + ")"
    if isinstance(constant, str):
        return constant if constant and constant.isprintable() else repr(constant)
    return str(constant)


def signed(number: float, digits: int = 4) -> str:
    """Word a difference with its sign, a real minus: `−0.0123`."""
    return metric_signed(number, digits).replace("-", MINUS)


def with_minus(text: str) -> str:
    """Return a stored sentence with a real minus before its numbers. A range such as `3-5` and `1e-05` stay."""
    return re.sub(r"(?<!\w)-(?=[\d.])", MINUS, text)


def score_words(metric: Metric, score: float) -> str:
    """Word the value of a score: `0.9979`."""
    return metric.text(score)


def difference_words(metric: Metric, difference: float) -> str:
    """Word a difference in scores as one in values, with a real minus: `−0.0123`."""
    return metric.signed(difference).replace("-", MINUS)


def span_words(metric: Metric, estimate: Estimate) -> str:
    """Word an interval of a difference in values: `[−0.0040, −0.0002]`."""
    return metric.span(estimate.low, estimate.high).replace("-", MINUS)


def estimate_words(metric: Metric, estimate: Estimate) -> str:
    """Return `−0.0006 ± 0.0002 over 6 runs`: the mean and half the width of the interval."""
    return f"{difference_words(metric, estimate.mean)} {spread_words(estimate)}"


def spread_words(estimate: Estimate) -> str:
    """Return `± 0.0002 over 6 runs`: half the width of the interval."""
    half = signed((estimate.high - estimate.low) / 2).removeprefix("+")
    return f"± {half} over {count(estimate.runs, 'run')}"


def runs_words(estimate: Estimate) -> str:
    """Return `6 runs`, with how many of them were paired by seed with runs of the base."""
    return f"{count(estimate.runs, 'run')}{paired_words(estimate.runs, estimate.pairs)}"
