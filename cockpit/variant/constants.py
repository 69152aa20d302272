"""The constants of train.py: found in the syntax tree and written back in place.

A constant is an UPPERCASE name whose last top-level binding is a plain assignment (annotated or not) of a literal or of
arithmetic on literals: `DEPTH = 8`, `TOTAL_BATCH_SIZE = 2**19`, `ADAM_BETAS: tuple = (0.8, 0.95)`. The last
of two such assignments counts. A name is excluded where setting it would not survive: where it is also changed by
`+=`, under an `if`, in a loop, by an import, or by a function that declares it `global`. Local names of functions do
not matter.
"""

import ast
import difflib
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from cockpit.core.model import Scalar, Value
from cockpit.variant.errors import VariantError, shown
from cockpit.variant.syntax import Parsed, byte_offsets, literal_value, names_bound, parse

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SEED_NAME = re.compile(r"(?:.*_)?(?:seed|rngseed|randomseed)(?:_.*)?|manualseed", re.IGNORECASE)
_INT_RANGE = range(-(2**63), 2**63)
"""Integers that every file format between a proposer and train.py can represent."""
_SOURCES_KEPT = 8


class _Constant(NamedTuple):
    node: ast.expr
    value: Value


class _Replacement(NamedTuple):
    node: ast.expr
    text: str


def find_constants(source: str) -> dict[str, Value]:
    """Return every constant of `source` by name, in the order of the text; tuples as lists.

    Raises VariantError where `source` does not compile.
    """
    return {name: constant.value for name, constant in _constants_of(source)[0].items()}


def set_constants(source: str, values: Mapping[str, Value]) -> str:
    """Return `source` with `values` written in place of the literals there; the rest of the text does not change.

    A value that is already set keeps its spelling; an integer given for a float is written as a float; a list given for
    a tuple is written as a tuple. Raises VariantError for a name that is not a constant and for a value of another
    type, or one that is not finite.
    """
    accepted = accepted_values(source, values)
    constants = _constants_of(source)[0] if accepted else {}
    return _rewrite(source, [each for name, value in accepted.items() for each in _replace(constants[name], value)])


def accepted_values(source: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return `values` as `find_constants` will give them once they are set in `source`.

    Raises VariantError as `set_constants` does.
    """
    accepted: dict[str, Value] = {}
    constants, bound = _constants_of(source) if values else ({}, {})
    for name, value in values.items():
        constant = constants.get(name)
        if constant is None:
            raise VariantError(_no_such_constant(name, list(constants), bound.get(name)))
        accepted[name] = _accepted(name, constant.value, value)
    return accepted


def is_seed_name(name: str) -> bool:
    """Tell if a constant of this name seeds randomness: SEED, RNG_SEED, random_seed."""
    return _SEED_NAME.fullmatch(name) is not None


def constant_nodes(parsed: Parsed) -> dict[str, ast.expr]:
    """Return the syntax node of each constant's value."""
    return {name: constant.node for name, constant in _constants(parsed)[0].items()}


def overrides(constants: Mapping[str, Value], baseline: Mapping[str, Value]) -> dict[str, Value]:
    """Return every constant whose value or type differs from the baseline's, those that the baseline lacks included."""
    return {
        name: value for name, value in constants.items() if name not in baseline or not _same(value, baseline[name])
    }


@lru_cache(maxsize=_SOURCES_KEPT)
def _constants_of(source: str) -> tuple[Mapping[str, _Constant], Mapping[str, int]]:
    """Cache the constants of a text: a wave sets the same constants of the same text many times."""
    return _constants(parse(source))


def _constants(parsed: Parsed) -> tuple[dict[str, _Constant], dict[str, int]]:
    """Return the constants, and the line on which each top-level name was last bound."""
    found: dict[str, _Constant] = {}
    bound: dict[str, int] = {}
    for statement in parsed.module.body:
        for name, _ in names_bound(statement):
            found.pop(name, None)
            bound[name] = statement.lineno
        if constant := _assigned(statement):
            found[constant[0]] = constant[1]
    for name, line in parsed.global_lines.items():
        found.pop(name, None)
        bound[name] = line
    return found, bound


def _assigned(statement: ast.stmt) -> tuple[str, _Constant] | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=node):
            pass
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as node):
            pass
        case _:
            return None
    value = _value(node) if _NAME.fullmatch(name) else None
    return None if value is None else (name, _Constant(node, value))


def _value(node: ast.expr) -> Value | None:
    if not isinstance(node, ast.Tuple | ast.List):
        return _kept(literal_value(node))
    elements = [_kept(literal_value(element)) for element in node.elts]
    scalars = [element for element in elements if element is not None]
    return scalars if len(scalars) == len(elements) else None


def _kept(value: Scalar | None) -> Scalar | None:
    """Return `value` if it can be stored and sent unchanged."""
    if isinstance(value, str):
        return value if _is_text(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value in _INT_RANGE else None
    return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_such_constant(name: str, known: list[str], bound_line: int | None) -> str:
    if bound_line is not None and _NAME.fullmatch(name):
        return (
            f"{name} is not a plain constant of train.py: line {bound_line} computes it, or changes it in a way "
            f"that setting it would not survive; change it with an edit."
        )
    if not known:
        return f"There is no constant {shown(name)} in train.py: it has no top-level constants such as DEPTH = 8."
    upper = {known_name.upper(): known_name for known_name in known}
    near = difflib.get_close_matches(name.upper(), upper, n=1, cutoff=0.5)
    hint = f"did you mean {upper[near[0]]}?" if near else f"it has {', '.join(known[:20])}."
    return f"There is no constant {shown(name)} in train.py; {hint}"


def _accepted(name: str, old: Value, new: Value) -> Value:
    """Return `new` as it will be written for a constant that holds `old`."""
    if not isinstance(old, list):
        if isinstance(new, list | tuple):
            raise VariantError(f"{name} is {_a(type(old))} ({old!r}); it cannot be set to a list.")
        return _accepted_scalar(name, {type(old)}, f"is {_a(type(old))} ({old!r})", new)
    if not isinstance(new, list | tuple):
        raise VariantError(f"{name} is a list ({old!r}); it cannot be set to {shown(repr(new))}.")
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
    raise VariantError(f"{name} {what}; it cannot be set to {_a(type(new))} ({shown(repr(new))}).")


def _widened(name: str, number: Scalar) -> float:
    try:
        return float(number)
    except OverflowError:
        raise VariantError(f"{name} cannot be set to {shown(repr(number))}: no float is that large.") from None


def _checked(name: str, value: Scalar) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise VariantError(f"{name} cannot be set to {value!r}: it must be a finite number.")
    if _kept(value) is None:
        raise VariantError(f"{name} cannot be set to {shown(repr(value))}: it is too large, or not valid text.")
    return value


def _a(kind: type) -> str:
    names = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
    return names.get(kind, f"a {kind.__name__}")


def _same(first: Value, second: Value) -> bool:
    return repr(first) == repr(second)


def _replace(constant: _Constant, value: Value) -> Iterator[_Replacement]:
    """Replace element by element where the number of elements stays, so that comments between them stay too."""
    if _same(constant.value, value):
        return
    node, old_value = constant.node, constant.value
    elements = node.elts if isinstance(node, ast.Tuple | ast.List) else []
    if isinstance(value, list) and isinstance(old_value, list) and len(old_value) == len(value):
        for element, old, new in zip(elements, old_value, value, strict=True):
            if not _same(old, new):
                yield _Replacement(element, _spelled(new, element))
    else:
        yield _Replacement(node, _spelled(value, node))


def _spelled(value: Value, instead_of: ast.expr) -> str:
    if isinstance(value, list):
        spelled = [_spelled(element, instead_of) for element in value]
        if isinstance(instead_of, ast.Tuple):
            return f"({spelled[0]},)" if len(spelled) == 1 else f"({', '.join(spelled)})"
        return f"[{', '.join(spelled)}]"
    if isinstance(value, str):
        # A double quote at the end makes repr choose single quotes outside; then only those inside need a
        # backslash.
        return '"' + repr(value + '"')[1:-2].replace("\\'", "'").replace('"', '\\"') + '"'
    return int.__repr__(value) if type(value) is int else repr(value)


def _rewrite(source: str, replacements: list[_Replacement]) -> str:
    offset = byte_offsets(source)
    data = source.encode()
    for node, text in sorted(replacements, key=lambda each: (each.node.lineno, each.node.col_offset), reverse=True):
        start = offset(node.lineno, node.col_offset)
        end = offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        data = data[:start] + text.encode() + data[end:]
    return data.decode()
