"""The units that runs print behind their numbers, or in their names, and the factors between them.

A metric has the unit of its limit, else the one that its name ends in, else that of the baseline's first result. A unit
that is not known here has no meaning: 'bits' is read as ''.
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
_NAMED = re.compile(
    r"(?P<stem>.*[^\W_])[\s_-]?[\s_(\[-](?P<word>%|pct|percent|[nm\xb5\u03bcu]?s|secs?|msecs?|seconds|minutes|hours"
    r"|[KMGT]i?B|bytes)[)\]]?",
    re.IGNORECASE,
)
"""A name that ends in a unit. Words that are often another thing are left out: `loss_d`, `latency_min`, `size_m`."""
_PER = re.compile(r"(?:[\s_-]per|/)$", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\s?[(\[]\s?([A-Za-z\xb5\u03bc%/]{1,12})\s?[)\]]")
_MEMORY = re.compile(r"(?<![a-z])(?:v?ram|mem|memory)(?![a-z])", re.IGNORECASE)
_MEMORY_WORDS = ("vram", "memory", "mem")
_SPELT = {
    "time": ("ns", "us", "ms", "s", "sec", "secs", "seconds", "minutes", "hours"),
    "B": ("bytes", "kb", "mb", "gb", "kib", "mib", "gib"),
    "%": ("pct", "percent"),
}
"""The endings under which a program may print a number of this kind."""
_FACTORS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"": 1.0, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "T": 2.0**40, "P": 2.0**50}


def unit_of(word: str) -> str:
    """Return the unit that a word spells, in one spelling: `msec` is `ms`, `k` is `K`; empty for any other word."""
    if word.lower() in ("%", "pct", "percent"):
        return "%"
    for unit, spelt in _TIMES.items():
        if word != "M" and spelt.fullmatch(word):
            return unit
    found = _SCALED.fullmatch(word)
    if not word or found is None:
        return ""
    base = {"b": "B", "f": "FLOPS", "o": "OPS"}.get((found[3] or " ")[0].lower(), "")
    return f"{found[1].upper()}{found[2] if base == 'B' else ''}{base}"


def in_words(unit: str) -> str:
    """Word that a number is in a unit, or has none."""
    return f"in {unit}" if unit else "without a unit"


def seconds_of(unit: str) -> float:
    """Return the seconds of a unit of time; 0 for any other unit."""
    return _SECONDS.get(unit, 0.0)


def unit_in_name(name: str) -> str:
    """Return the unit that a name ends in: that of `peak_vram_mb` and `latency (ms)`; empty for none."""
    found = _NAMED.fullmatch(name)
    return "" if found is None or _PER.search(found["stem"]) else _named_unit(found["word"])


def unit_behind_name(text: str) -> str:
    """Return the unit that a text in brackets is: `ms` for ` (ms)`; empty for none."""
    found = _IN_BRACKETS.match(text)
    return unit_of(found[1]) if found else ""


def other_names(name: str) -> list[str]:
    """Return the names under which a program may print a number whose name ends in a unit.

    For `peak_vram_mb` they are `peak_vram`, `peak_memory`, `peak_memory_gb` …; a name without a unit has none.
    """
    found, unit = _NAMED.fullmatch(name), unit_in_name(name)
    if found is None or not unit:
        return []
    stem = found["stem"]
    stems = [_MEMORY.sub(word, stem) for word in _MEMORY_WORDS] if _MEMORY.search(stem) else [stem]
    words = ("", *(f"_{word}" for word in _SPELT[_size(unit)[0]]))
    return list(dict.fromkeys(f"{each}{word}" for each in (stem, *stems) for word in words if f"{each}{word}" != name))


def _named_unit(word: str) -> str:
    """Return the unit of a name's ending, in any case: `mb` is `MB`."""
    is_bytes = len(word) > 1 and word[-1] in "bB"
    return unit_of(f"{word[0].upper()}{word[1:-1].lower()}B" if is_bytes else word.lower())


def factor(unit: str, wanted: str) -> float | None:
    """Return the factor that turns a number in `unit` into one in `wanted`; None for units of other things.

    A number without a unit is taken as one in a unit of time or of bytes that the session has. It is not taken as a
    percentage: 0.91 may be 91%.
    """
    if unit == wanted:
        return 1.0
    (kind, size), (wanted_kind, wanted_size) = _size(unit), _size(wanted)
    if kind == wanted_kind:
        return size / wanted_size
    return 1.0 if "" in (unit, wanted) and "%" not in (unit, wanted) else None


def _size(unit: str) -> tuple[str, float]:
    """Return (kind, size in its base) of a unit: a time, bytes, a percentage, or a plain number with a prefix."""
    if unit in _SECONDS:
        return "time", _SECONDS[unit]
    if unit == "%":
        return unit, 1.0
    base = next((base for base in ("FLOPS", "OPS", "B") if unit.endswith(base)), "")
    prefix = unit.removesuffix(base)
    factors = _BINARY if prefix.endswith("i") else _FACTORS
    return base, factors.get(prefix.removesuffix("i"), 1.0)
