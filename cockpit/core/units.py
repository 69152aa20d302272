"""The units that runs print behind their numbers, and the factors between them.

A session has the unit of its first result. A unit that is not known here has no meaning: 'bits' is read as ''.
"""

import re

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
_TIME_WORDS = {
    "ns": r"ns|nsecs?|nanoseconds?",
    "us": r"[u\xb5\u03bc]s|[u\xb5\u03bc]secs?|microseconds?",
    "ms": r"ms|msecs?|milliseconds?",
    "s": r"s|secs?|seconds?",
    "min": r"m|mins?|minutes?",
    "h": r"h|hrs?|hours?",
    "d": r"d|days?",
}
_TIMES = {unit: re.compile(words, re.IGNORECASE) for unit, words in _TIME_WORDS.items()}
_SCALED = re.compile(
    r"([kKMGTP]?)(i?)(B|[bB]ytes?|(?i:flops?|flop(?=/)|ops)|[tT]ok(?:en)?s?|it|samples?)?(?:/\w{1,12}|ps)?"
)
_FACTORS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"": 1.0, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "T": 2.0**40, "P": 2.0**50}


def unit_of(word: str) -> str:
    """Return the unit that a word spells, in one spelling: `msec` is `ms`, `k` is `K`; empty for any other word."""
    for unit, spelt in _TIMES.items():
        if word != "M" and spelt.fullmatch(word):
            return unit
    found = _SCALED.fullmatch(word)
    if not word or found is None:
        return ""
    base = {"b": "B", "f": "FLOPS", "o": "OPS"}.get((found[3] or " ")[0].lower(), "")
    return f"{found[1].upper()}{found[2] if base == 'B' else ''}{base}"


def seconds_of(unit: str) -> float:
    """Return the seconds of a unit of time; 0 for any other unit."""
    return _SECONDS.get(unit, 0.0)


def factor(unit: str, wanted: str) -> float | None:
    """Return the factor that turns a number in `unit` into one in `wanted`; None for units of other things.

    A number without a unit is taken as one in a unit of time or of bytes that the session has.
    """
    if unit == wanted:
        return 1.0
    (kind, size), (wanted_kind, wanted_size) = _size(unit), _size(wanted)
    if kind == wanted_kind:
        return size / wanted_size
    return 1.0 if "" in (unit, wanted) else None


def _size(unit: str) -> tuple[str, float]:
    """Return (kind, size in its base) of a unit: a time, bytes, or a plain number with a prefix."""
    if unit in _SECONDS:
        return "time", _SECONDS[unit]
    base = next((base for base in ("FLOPS", "OPS", "B") if unit.endswith(base)), "")
    prefix = unit.removesuffix(base)
    factors = _BINARY if prefix.endswith("i") else _FACTORS
    return base, factors.get(prefix.removesuffix("i"), 1.0)
