"""Find the knobs of a YAML file: its scalars and lists of scalars, with their places in the text."""

import json
import re
from collections.abc import Iterator
from typing import Any

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.placed_values import PlacedKnobs, Span
from cockpit.variant.knobs.typed_values import storable

_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Words that a reader of YAML 1.1 or 1.2 takes for something other than text."""
_SWITCHES = {"true": True, "false": False}


def find_knobs(source: str, path: str) -> PlacedKnobs:
    """Return the knobs of a YAML text; none for several documents. Raises VariantError where it is not YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        documents = list(YAML(typ="rt", pure=True).compose_all(source))
    except (YAMLError, RecursionError, ValueError) as error:
        raise VariantError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}.") from None
    knobs = PlacedKnobs(source, _spelled)
    if len(documents) == 1 and documents[0] is not None:
        for name, value, span, elements in _walk("", documents[0], set()):
            knobs.add(name, value, span, elements)
    return knobs


def _walk(name: str, node: Any, seen: set[int]) -> Iterator[tuple[str, Any, Span, list[Span]]]:
    """Yield each value with its place. An anchor's node is met once, under its first name."""
    if id(node) in seen:
        return
    seen.add(id(node))
    match node.id:
        case "scalar":
            yield name, _value(node), _span(node), []
        case "mapping":
            for key, value in node.value:
                if key.id == "scalar" and key.value != "<<":
                    yield from _walk(f"{name}.{key.value}" if name else str(key.value), value, seen)
        case "sequence":
            values = [_value(each) if each.id == "scalar" else None for each in node.value]
            if values and all(value is not None for value in values):
                is_flow = bool(node.flow_style)
                yield name, values, _span(node) if is_flow else _block(node), [_span(each) for each in node.value]
            else:
                for number, each in enumerate(node.value):
                    yield from _walk(f"{name}.{number}" if name else str(number), each, seen)


def _span(node: Any) -> Span:
    return node.start_mark.index, node.end_mark.index


def _block(node: Any) -> Span:
    """Return the place of a list with an element a line: up to the end of its last element."""
    return node.start_mark.index, node.value[-1].end_mark.index


def _value(node: Any) -> Any:
    """Return the value of a scalar; None for null, dates and texts of several lines.

    A number such as 1e-3 is text to a reader of YAML 1.1, but its author means a number.
    """
    if node.style in ("|", ">"):
        return None
    if node.style in ("'", '"'):
        return storable(node.value)
    word = str(node.value)
    if word.lower() in _SWITCHES:
        return _SWITCHES[word.lower()]
    try:
        return storable(int(word.replace("_", ""), 10))
    except ValueError:
        pass
    try:
        return storable(float(word)) if word[:1] in "+-.0123456789" else _text(node, word)
    except ValueError:
        return _text(node, word)


def _text(node: Any, word: str) -> str | None:
    is_text = str(node.tag).endswith(":str") and word.lower() not in _NOT_TEXT and word not in ("", "~")
    return word if is_text else None


def _spelled(value: Value, old: str) -> str:
    """Spell a value as YAML 1.1 and 1.2 read it alike."""
    if isinstance(value, list):
        return _listed(value, old)
    if isinstance(value, bool):
        word = "true" if value else "false"
        return word.upper() if old.isupper() else word.capitalize() if old[:1].isupper() else word
    if isinstance(value, float):
        number = repr(value)
        mantissa, e, exponent = number.partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}" if e else number
    if isinstance(value, int):
        return str(value)
    if old[:1] == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    is_plain = old[:1] != '"' and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
    return value if is_plain else json.dumps(value, ensure_ascii=not value.isprintable())


def _listed(value: list[Any], old: str) -> str:
    """Spell a list of another length: in brackets, or an element a line as the old one was."""
    if old.startswith("[") or not value:
        return f"[{', '.join(_spelled(each, '') for each in value)}]"
    lines = old.split("\n")
    indent = next((line[: len(line) - len(line.lstrip())] for line in lines[1:] if line.strip().startswith("-")), "")
    return f"\n{indent}".join(f"- {_spelled(each, '')}" for each in value)
