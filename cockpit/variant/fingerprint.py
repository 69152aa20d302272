"""Hash the meaning of a Python file, independent of its spelling: its fingerprint.

It combines two parts, the outline (everything but the constants' values) and the constants. Most variants differ from
their base in constants only; their fingerprint then needs no parse.
"""

import ast
import hashlib
from collections.abc import Callable, Mapping

from cockpit.core.model import FINGERPRINT_CHARACTERS, Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import find_constants
from cockpit.variant.knobs.python_knobs import find_knobs
from cockpit.variant.syntax import SCRIPT, literal_value, parse, without_docstring

_MEANINGLESS_FIELDS = frozenset({"ctx", "kind", "type_comment"})
"""Fields without meaning: the kind of a string is its u prefix, and the context of a name follows from its place."""


def fingerprint(source: str) -> str:
    """Return the first half of a SHA-256 in hex. It is equal for sources that differ only in comments, whitespace,
    docstrings or the spelling of a literal (2**19 or 524288, 1e-3 or 0.001, 'a' or "a"), and only for those.

    Raises VariantError for a source that does not compile.
    """
    return combine(outline(source), find_constants(source))


def outline(source: str, path: str = SCRIPT) -> str:
    """Return the SHA-256, in hex, of everything in `source` but the values of its constants."""
    parts: list[str] = []
    parsed = parse(source, path)
    constants = {id(knob.node): name for name, knob in find_knobs(parsed).knobs.items()}
    try:
        _write(parsed.module, constants, parts.append)
    except RecursionError:
        raise VariantError(f"{path} is nested too deeply to be compared; write it flatter.") from None
    return _sha256("\n".join(parts))


def combine(outlined: str, constants: Mapping[str, Value]) -> str:
    """Return the fingerprint of a source from its outline and its constants."""
    told = "\n".join([outlined, *(f"{name}={value!r}" for name, value in sorted(constants.items()))])
    return _sha256(told)[:FINGERPRINT_CHARACTERS]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii", "backslashreplace")).hexdigest()


def _write(node: ast.AST, constants: Mapping[int, str], write: Callable[[str], None]) -> None:
    kind = type(node)
    if id(node) in constants:
        # A tuple and a list have the same value.
        write(f"={constants[id(node)]} {kind is ast.Tuple}")
        return
    if isinstance(node, ast.Constant | ast.UnaryOp | ast.BinOp):
        value = literal_value(node)
        if value is not None:
            write(f"={type(value).__name__} {value!r}")
            return
    write(f"({kind.__name__}")
    for name in kind._fields:
        field = getattr(node, name, None)
        # Empty fields are left out because a newer Python has more of them.
        if field is None or field == [] or name in _MEANINGLESS_FIELDS:
            continue
        write(f".{name}")
        if not isinstance(field, list):
            _write_element(field, constants, write)
            continue
        for element in without_docstring(node, field) if name == "body" else field:
            _write_element(element, constants, write)
    write(")")


def _write_element(element: object, constants: Mapping[int, str], write: Callable[[str], None]) -> None:
    if isinstance(element, ast.AST):
        _write(element, constants, write)
    else:
        write(f"={type(element).__name__} {element!r}")
