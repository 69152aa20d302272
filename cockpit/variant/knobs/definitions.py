"""Read what the definition of a knob in Python allows: its choices, its limits, and its help.

| in the definition | it states |
|---|---|
| `choices=["relu"]`, `click.Choice([...])`, `Literal["relu"]`, `DEFINE_enum("act", "gelu", [...])` | choices |
| `choices=range(2, 9)`, `IntRange(2, 8)`, `Field(8, ge=2, le=8)`, `Option(8, min=2, max=8)`, `lower_bound=2` | limits |
| `help="..."`, `description="..."`, `metadata={"help": "..."}`, a text below a field | help |

Limits tell which values are valid, not which are sensible.
"""

import ast
import math
from collections.abc import Iterator

from cockpit.core.model import Scalar, Value
from cockpit.variant.knobs.typed_values import storable
from cockpit.variant.syntax import literal_value

_LOWER = ("ge", "min", "lower_bound", "gt")
_UPPER = ("le", "max", "upper_bound", "lt")
_IS_OUTSIDE = frozenset({"gt", "lt"})
"""Limits that are not valid values themselves."""
_RANGES = frozenset({"IntRange", "FloatRange"})
_HELP = frozenset({"help", "description"})
_INSIDE = 0.01
"""The part of the way from a limit that is not valid to the value, at which valid values begin."""


def choices_in(definitions: tuple[ast.expr, ...]) -> tuple[Scalar, ...]:
    """Return the values that a definition lists; empty for none."""
    for node in _nodes(definitions):
        for listed in _lists(node):
            values = [storable(literal_value(each)) for each in listed]
            options = tuple(value for value in values if value is not None)
            if len(options) == len(values) > 1:
                return options
    return ()


def _lists(node: ast.AST) -> Iterator[list[ast.expr]]:
    """Yield the elements of a list of choices."""
    match node:
        case ast.keyword(arg="choices" | "enum_values", value=ast.List(elts=listed) | ast.Tuple(elts=listed)):
            yield listed
        case ast.Call(func=func, args=[ast.List(elts=listed) | ast.Tuple(elts=listed), *_]) if _name(func) == "Choice":
            yield listed
        case ast.Call(func=func, args=[_, _, ast.List(elts=listed), *_]) if _name(func) == "DEFINE_enum":
            yield listed
        case ast.Subscript(value=owner, slice=ast.Tuple(elts=listed)) if _name(owner) == "Literal":
            yield listed


def help_in(definitions: tuple[ast.expr, ...]) -> str:
    """Return the help of a definition, and the text below it; empty for none."""
    found = [text for node in definitions if isinstance(text := literal_value(node), str)]
    for node in _nodes(definitions):
        match node:
            case ast.keyword(arg=str() as name, value=value) if name in _HELP:
                found.append(str(literal_value(value) or ""))
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if key is not None and literal_value(key) in _HELP:
                        found.append(str(literal_value(value) or ""))
            case ast.Call(func=func, args=[_, _, *rest]) if _name(func).startswith("DEFINE_"):
                found += [text for each in rest if isinstance(text := literal_value(each), str)]
    return " ".join(found)


def limits_in(definitions: tuple[ast.expr, ...], value: Value) -> tuple[float, float]:
    """Return the least and the greatest value that a definition allows; infinite for no limit."""
    low, high = -math.inf, math.inf
    if isinstance(value, bool | str | list):
        return low, high
    for node in _nodes(definitions):
        match node:
            case ast.keyword(arg=str() as name, value=limit) if name in _LOWER:
                low = _inside(name, limit, value, low)
            case ast.keyword(arg=str() as name, value=limit) if name in _UPPER:
                high = _inside(name, limit, value, high)
            case ast.keyword(arg="choices", value=ast.Call(func=ast.Name(id="range"), args=[first, last])):
                low, high = _inside("ge", first, value, low), _inside("lt", last, value, high)
            case ast.Call(func=func, args=[first, *rest]) if _name(func) in _RANGES:
                low = _inside("ge", first, value, low)
                high = _inside("le", rest[0], value, high) if rest else high
    return low, high


def _inside(name: str, node: ast.expr, value: int | float, otherwise: float) -> float:
    """Return a limit, or where it is not valid itself, the nearest value inside; `otherwise` if it is not a number."""
    limit = literal_value(node)
    if isinstance(limit, bool | str) or limit is None:
        return otherwise
    if name not in _IS_OUTSIDE:
        return float(limit)
    step = math.copysign(1.0, value - limit) if isinstance(value, int) else (value - limit) * _INSIDE
    return float(limit + step)


def _nodes(definitions: tuple[ast.expr, ...]) -> Iterator[ast.AST]:
    for definition in definitions:
        yield from ast.walk(definition)


def _name(node: ast.expr) -> str:
    """Return the last part of a function's or a type's name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
