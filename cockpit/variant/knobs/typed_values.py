"""Check a new value against a knob's present value: a knob keeps its type."""

import math
from typing import Any

from cockpit.core.model import Scalar, Value
from cockpit.variant.errors import VariantError, shown

_INT_LIMIT = 2**63
"""The bound of the integers that every file format between a proposer and the script can represent."""


def storable(value: Any) -> Scalar | None:
    """Return a scalar that can be stored and sent unchanged; None for anything else."""
    if isinstance(value, str):
        return value if _is_text(value) else None
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_INT_LIMIT <= value < _INT_LIMIT else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_same(first: Value, second: Value) -> bool:
    """Return True if two values are equal and of one type."""
    return repr(first) == repr(second)


def accepted_value(name: str, old: Value, new: Value) -> Value:
    """Return `new` as it will be written for a constant that holds `old`."""
    if not isinstance(old, list):
        if isinstance(new, list | tuple):
            raise VariantError(f"{name} is {_a(type(old))} ({old!r}); it cannot be set to a list.")
        return _accepted_scalar(name, {type(old)}, f"is {_a(type(old))} ({old!r})", new)
    if not isinstance(new, list | tuple):
        raise VariantError(f"{name} is a list ({old!r}); it cannot be set to {_quoted(new)}.")
    kinds = {type(element) for element in old} or {bool, int, float, str}
    return [_accepted_scalar(name, kinds, f"is a list like {old!r}", element) for element in new]


def _accepted_scalar(name: str, kinds: set[type[Scalar]], what: str, new: Scalar) -> Scalar:
    for kind in (bool, int, str):
        if isinstance(new, kind):
            if kind in kinds:
                return _checked(name, new)
            break
    number = isinstance(new, float) or (isinstance(new, int) and not isinstance(new, bool))
    if float in kinds and number:
        return _checked(name, _widened(name, new))
    raise VariantError(f"{name} {what}; it cannot be set to {_a(type(new))} ({_quoted(new)}).")


def _quoted(value: Scalar) -> str:
    return shown(value if isinstance(value, str) else repr(value))


def _widened(name: str, number: Scalar) -> float:
    try:
        return float(number)
    except OverflowError:
        raise VariantError(f"{name} cannot be set to {shown(repr(number))}: no float is that large.") from None


def _checked(name: str, value: Scalar) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise VariantError(f"{name} cannot be set to {value!r}: it must be a finite number.")
    if storable(value) is None:
        raise VariantError(f"{name} cannot be set to {shown(repr(value))}: it is too large, or not valid text.")
    return value


def _a(kind: type) -> str:
    names = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
    return names.get(kind, f"a {kind.__name__}")
