"""The search space: the constants that can be varied by number, each with its kind and range.

A range follows from the person's setting, else from the choices or the comment beside the constant, else from its name
and the baseline's own value, so that another repository is searched around its author's choices. A constant with an
unknown name is left alone where enough others are known: a wrong guess costs a run each time it is drawn.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

import msgspec

from cockpit.core.knobs import KnobRange
from cockpit.core.model import Scalar, Value
from cockpit.science.knob_names import exclusion, last_part

ROW_TOKENS = 2048
"""Tokens of a row (prepare.py's MAX_SEQ_LEN); TOTAL_BATCH_SIZE is a whole number of passes of DEVICE_BATCH_SIZE
rows."""

SIGNIFICANT_DIGITS = 3
"""Digits of the ends of a range and of the levels of a grid, which a person reads."""

LOG_DIGITS = 2
LOG_STEP = 1.1
"""The digits of a number that a search draws from a logarithmic range, and the smallest ratio that it is changed by."""
LINEAR_STEPS = 25
"""Steps between the ends of another range, at least. A step is 1, 2 or 5 times a power of ten."""
FIRST_RATIOS = (1.5, 2.0)
FIRST_SHARES = (0.15, 0.3)
"""Steps that a person would try first: ratios in a logarithmic range, shares of any other range or ladder."""
STEP_ROUNDED = 0.7
"""The least share of a step that is left of it once its end is rounded."""
ROUNDING = 1e-9

Number = int | float


class Real(msgspec.Struct, frozen=True, tag=True):
    """Any number from `low` to `high`; `log` where ratios matter rather than differences (`low` is then above 0)."""

    low: float
    high: float
    log: bool = False


class Ladder(msgspec.Struct, frozen=True, tag=True):
    """One of several numbers, ascending; neighbours are similar."""

    rungs: tuple[Number, ...]


class Choice(msgspec.Struct, frozen=True, tag=True):
    """One of several unordered values; the first is the baseline's."""

    options: tuple[Value, ...]


Dimension = Real | Ladder | Choice


ENOUGH_KNOWN = 3
"""Constants with a known name or a given range below which those with an unknown name are searched as well."""
RUNGS_AT_MOST = 24
KNOWN_NAMES_KEPT = 1 << 16
NO_RANGES: Mapping[str, KnobRange] = MappingProxyType({})


def search_space(constants: Mapping[str, Value], ranges: Mapping[str, KnobRange] = NO_RANGES) -> dict[str, Dimension]:
    """Return the dimensions of code with these constants, in their order; empty if none is known.

    `ranges` are those of the session, which override the ones of names.
    """
    found, unknown = _by_knowledge(constants, ranges)
    if len(found) < ENOUGH_KNOWN:
        every = found | unknown
        found = {name: every[name] for name in constants if name in every}
    return found


def unclear(constants: Mapping[str, Value], ranges: Mapping[str, KnobRange] = NO_RANGES) -> list[str]:
    """Return the constants that are searched although neither a name nor a person says what they do."""
    found, unknown = _by_knowledge(constants, ranges)
    return list(unknown) if len(found) < ENOUGH_KNOWN else []


def _by_knowledge(
    constants: Mapping[str, Value], ranges: Mapping[str, KnobRange]
) -> tuple[dict[str, Dimension], dict[str, Dimension]]:
    """Return the dimensions of constants with a known name or a given range, and those of the others."""
    found: dict[str, Dimension] = {}
    unknown: dict[str, Dimension] = {}
    for name, value in constants.items():
        given = ranges.get(name, KnobRange())
        is_given = given.low is not None or given.high is not None or bool(given.choices)
        if given.excluded or given.pinned or (exclusion(name) and not is_given):
            continue
        make = _rule_of(last_part(name))
        dimension = make(value) if make else None
        if is_given:
            dimension = _within(given, value, dimension)
        if isinstance(dimension, Real) and isinstance(value, int):
            continue  # a whole number keeps its type
        if dimension is not None:
            found[name] = dimension
        elif make is None and (guess := _guess(value)) is not None:
            unknown[name] = guess
    return found, unknown


@lru_cache(maxsize=KNOWN_NAMES_KEPT)
def _rule_of(last: str) -> Callable[[Value], Dimension | None] | None:
    """Return the rule for a knob by the last part of its name; each name is looked up once."""
    return next((make for pattern, make in _RULES if re.fullmatch(pattern, last)), None)


def _guess(value: Value) -> Dimension | None:
    """Return a range around a number of an unknown name."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    if isinstance(value, int):
        return None if value == 1 else _whole_numbers(max(1, value // 2), value * 2, value)
    return Real(readable(value / 4), readable(min(value * 4, 1.0) if value < 1 else value * 4), log=True)


def _within(given: KnobRange, value: Value, known: Dimension | None) -> Dimension | None:
    """Return the dimension of a constant whose range or choices are given."""
    if given.choices:
        numbers = [one for one in given.choices if isinstance(one, int | float) and not isinstance(one, bool)]
        if len(numbers) == len(given.choices):
            return Ladder(tuple(sorted(numbers)))
        return Choice((value, *(one for one in given.choices if one != value)))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(known, Ladder) and isinstance(value, int) and _doubles(known):
        low, high = _ends(given, float(value))
        halved = [value >> shift for shift in range(1, 64) if value % (1 << shift) == 0 and value >> shift >= low]
        doubled = [value << shift for shift in range(64) if low <= value << shift <= high]
        return Ladder(tuple(sorted(rung for rung in (*halved, *doubled) if rung <= high)))
    low, high = _ends(given, float(value))
    if isinstance(value, int):
        return _whole_numbers(math.ceil(low), math.floor(high), value)
    if not low < high:
        return None
    is_log = known.log if isinstance(known, Real) else high / low >= 20 if low > 0 else False
    return Real(low, high, log=is_log and low > 0)


def _doubles(ladder: Ladder) -> bool:
    """Return True if each rung is twice the one before it."""
    return all(high == 2 * low for low, high in pairwise(ladder.rungs))


def _ends(given: KnobRange, value: float) -> tuple[float, float]:
    """Return both ends of a range; one that is not given lies as far from the value, in ratio, as the usual guess."""
    low = given.low if given.low is not None else (value / 4 if value > 0 else value)
    high = given.high if given.high is not None else (value * 4 if value > 0 else value + 1)
    return low, high


def _whole_numbers(low: int, high: int, base: int) -> Dimension | None:
    """Return a ladder of whole numbers: all of them, or if they are many, the base and those around it that a search
    can tell apart."""
    if high <= low:
        return None
    if high - low < RUNGS_AT_MOST:
        return Ladder(tuple(range(low, high + 1)))
    middle = min(high, max(low, base))
    away = [number / (RUNGS_AT_MOST - 1) for number in range(-RUNGS_AT_MOST, RUNGS_AT_MOST) if number]
    if low > 0 and high >= 8 * low:
        steps = [middle * (high / low) ** share for share in away]
    else:
        steps = [middle + (high - low) * share for share in away]
    inside = (short for step in steps if low < (short := _short(step)) < high)
    return Ladder(tuple(sorted({low, middle, high, *inside})))


def _short(number: float) -> int:
    """Round to a whole number, of two digits where it is longer."""
    return round(number) if number < 100 else int(float(f"{number:.{LOG_DIGITS}g}"))


def position(dimension: Dimension, value: Value) -> float:
    """Return where a value lies in its dimension, from 0 to 1. A value outside counts as the nearest end, an unknown
    option as the first."""
    match dimension:
        case Real(low, high, log):
            number = min(high, max(low, _number(value, low)))
            if log:
                return (math.log(number) - math.log(low)) / (math.log(high) - math.log(low))
            return (number - low) / (high - low)
        case Ladder(rungs):
            number = _number(value, rungs[0])
            nearest = min(range(len(rungs)), key=lambda rung: abs(rungs[rung] - number))
            return (nearest + 0.5) / len(rungs)
        case Choice(options):
            index = options.index(value) if value in options else 0
            return (index + 0.5) / len(options)


def holds(dimension: Dimension, value: Value) -> bool:
    """Return True if a value lies in its dimension: a number between the ends, or one of the options."""
    if isinstance(dimension, Choice):
        return value in dimension.options
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(dimension, Ladder):
        return dimension.rungs[0] <= value <= dimension.rungs[-1]
    return dimension.low <= value <= dimension.high


def value_at(dimension: Dimension, place: float) -> Value:
    """Return the value at a position from 0 to 1, the inverse of `position`, rounded as a person would write it."""
    place = min(1.0, max(0.0, place))
    match dimension:
        case Real(low, high, True):
            number = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
            return min(high, max(low, float(f"{number:.{LOG_DIGITS}g}")))
        case Real(low, high):
            step = _linear_step(low, high)
            return min(high, max(low, float(f"{round((low + place * (high - low)) / step) * step:.12g}")))
        case Ladder(rungs):
            return rungs[min(len(rungs) - 1, int(place * len(rungs)))]
        case Choice(options):
            return options[min(len(options) - 1, int(place * len(options)))]


def moved_to(dimension: Dimension, base: Value, place: float) -> Value:
    """Return the value at a position; the base's where the move is smaller than a sensible step."""
    value = value_at(dimension, place)
    if isinstance(dimension, Choice) or not holds(dimension, base):
        return value
    away = abs(position(dimension, value) - position(dimension, base))
    step = step_share(dimension) if isinstance(dimension, Real) else 1 / len(dimension.rungs)
    return base if away < STEP_ROUNDED * step else value


def first_levels(dimension: Dimension, base: Value) -> list[Value]:
    """Return the levels that a person would try first: visible steps to both sides, or the other options."""
    if isinstance(dimension, Choice):
        return [option for option in dimension.options if option != base]
    match dimension:
        case Real(low, high, True):
            steps = [math.log(ratio) / math.log(high / low) for ratio in FIRST_RATIOS]
        case Real():
            steps = list(FIRST_SHARES)
        case Ladder(rungs):
            steps = [max(1, int(share * len(rungs))) / len(rungs) for share in FIRST_SHARES]
    middle = position(dimension, base)
    inside = [place for step in steps for place in (middle - step, middle + step) if -ROUNDING <= place <= 1 + ROUNDING]
    found = (moved_to(dimension, base, place) for place in inside or (0.0, 1.0))
    return list(dict.fromkeys(value for value in found if value != base))


def step_share(dimension: Real) -> float:
    """Return the smallest sensible step of a number, as a share of its range."""
    low, high = dimension.low, dimension.high
    if dimension.log:
        return min(math.log(LOG_STEP) / math.log(high / low), 1 / LINEAR_STEPS)
    return _linear_step(low, high) / (high - low)


def _linear_step(low: float, high: float) -> float:
    most = (high - low) / LINEAR_STEPS * (1 + ROUNDING)
    power: float = 10.0 ** math.floor(math.log10(most))
    return next(size * power for size in (5, 2, 1) if size * power <= most)


def readable(number: float) -> float:
    """Round a number to SIGNIFICANT_DIGITS digits."""
    return float(f"{number:.{SIGNIFICANT_DIGITS}g}")


def fit_overrides(constants: Mapping[str, Value], overrides: Mapping[str, Value]) -> dict[str, Value]:
    """Make overrides consistent: halve the rows of a pass until a batch is a whole number of passes.

    `constants` are all of the base's. Overrides equal to the base's values are left out.
    """
    fitted = dict(overrides)
    if _whole_batch(constants):
        merged = {**constants, **fitted}
        while not _whole_batch(merged):
            fitted["DEVICE_BATCH_SIZE"] = merged["DEVICE_BATCH_SIZE"] = _rows(merged) // 2
    return {name: value for name, value in fitted.items() if name not in constants or constants[name] != value}


def _rows(constants: Mapping[str, Value]) -> int:
    rows = constants.get("DEVICE_BATCH_SIZE")
    return rows if isinstance(rows, int) else 0


def _whole_batch(constants: Mapping[str, Value]) -> bool:
    """Return True if a batch is a whole number of passes. A single row per pass cannot be halved."""
    total, rows = constants.get("TOTAL_BATCH_SIZE"), _rows(constants)
    return isinstance(total, int) and (rows <= 1 or total % (rows * ROW_TOKENS) == 0)


def _number(value: Value, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _positive(value: Value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return float(value)


def _rate(value: Value) -> Dimension | None:
    base = _positive(value)
    return None if base is None else Real(readable(base / 8), readable(base * 8), log=True)


def _decay(value: Value) -> Dimension | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return Real(0.0, readable(value * 2.5) if value else 0.2)


def _share(most: float) -> Callable[[Value], Dimension | None]:
    def make(value: Value) -> Dimension | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return None
        return Real(0.0, max(most, float(value)))

    return make


def _beta(value: Value) -> Dimension | None:
    base = _positive(value)
    return None if base is None or base >= 1 else Real(min(0.8, base), max(0.99, base))


def _powers_of_two(down: int, up: int) -> Callable[[Value], Dimension | None]:
    def make(value: Value) -> Dimension | None:
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            return None
        rungs = [value >> shift for shift in range(down, 0, -1) if value % (1 << shift) == 0]
        return Ladder((*rungs, *(value << shift for shift in range(up + 1))))

    return make


def _count(step: int) -> Callable[[Value], Dimension | None]:
    """Return whole numbers from half to twice the base, `step` apart, the base included."""

    def make(value: Value) -> Dimension | None:
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            return None
        stride = step if value >= 4 * step else 1
        low = value - (value - value // 2) // stride * stride
        return Ladder(tuple(rung for rung in range(low, 2 * value + 1, stride) if rung > 0))

    return make


def _near(value: Value) -> Dimension | None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return None
    return Ladder(tuple(range(max(1, value - 2), value + 4)))


_BETA_PAIRS: tuple[list[Scalar], ...] = ([0.8, 0.95], [0.8, 0.98], [0.9, 0.95], [0.9, 0.98], [0.7, 0.95], [0.9, 0.99])


def _beta_pair(value: Value) -> Dimension | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    return Choice((value, *(pair for pair in _BETA_PAIRS if pair != value)))


_WINDOWS = ("SSSL", "SSLL", "SLSL", "SSSSL", "SSSS", "SL", "L")


def _windows(value: Value) -> Dimension | None:
    if not isinstance(value, str) or not value or set(value) - {"S", "L"}:
        return None
    return Choice((value, *(pattern for pattern in _WINDOWS if pattern != value)))


# Patterns and not compiled ones: `re` keeps those it has used, and the first paint needs none.
_RULES: tuple[tuple[str, Callable[[Value], Dimension | None]], ...] = (
    (r"(.*_)?(LR|LEARNING_RATE|STEP_SIZE)", _rate),
    (r"(.*_)?(WEIGHT_DECAY|WD)", _decay),
    (r"WARMUP_(RATIO|FRAC)", _share(0.3)),
    (r"(WARMDOWN|COOLDOWN)_(RATIO|FRAC)", _share(0.8)),
    (r"(FINAL|MIN)_LR_FRAC", _share(0.5)),
    (r"(.*_)?DROPOUT", _share(0.3)),
    (r"(.*_)?(MOMENTUM|BETA\d?)", _beta),
    (r"(.*_)?BETAS", _beta_pair),
    (r"((DEVICE|TOTAL)_)?BATCH_SIZE", _powers_of_two(3, 1)),
    (r"HEAD_DIM", _powers_of_two(1, 1)),
    (r"ASPECT_RATIO", _count(8)),
    (r"DEPTH|N_LAYERS?|NUM_LAYERS|N_BLOCKS?|NUM_BLOCKS", _count(1)),
    (r"(N|NUM)_HEADS?", _powers_of_two(1, 1)),
    (r"N_EMBD|(D_)?MODEL_DIM|D_MODEL|HIDDEN(_SIZE|_DIM)?|WIDTH", _powers_of_two(1, 1)),
    (r"GRAD_CLIP|CLIP_GRAD|MAX_GRAD_NORM", _rate),
    (r"LABEL_SMOOTHING", _share(0.3)),
    (r"NS_STEPS", _near),
    (r"WINDOW_PATTERN", _windows),
)
