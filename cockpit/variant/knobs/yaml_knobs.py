"""Find the knobs of a YAML file: its scalars and lists of scalars, with their places in the text.

libyaml reads the text, a megabyte in a third of a second. It resolves no value: a word is read here as readers of YAML
1.1 and 1.2 both read it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.placed_values import PlacedKnobs, Span
from cockpit.variant.knobs.typed_values import storable

_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "", "~", "=", "<<"})
"""Words that a reader of YAML 1.1 or 1.2 takes for something other than text."""
_NUMBER_OR_DATE = re.compile(
    r"[-+]?(?:0(?:x[\da-f_]+|o?[0-7_]+|b[01_]+)|\.(?:inf|nan)|\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?)"
    r"|\d{4}-\d\d?-\d\d?(?:[t\s].*)?",
    re.ASCII | re.IGNORECASE,
)
"""Words of another base, of sixty, of infinity, or of a date."""
_SWITCHES = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
_PAIRS = (("yes", "no"), ("on", "off"))
"""Switches of YAML 1.1 in words, which YAML 1.2 reads as text: they are set in the same pair of words."""
_INTERPOLATED = "${"
"""The sign of a value that OmegaConf and others compute."""
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*\s+)*")
"""An anchor or a tag before a value, which stay when the value is set."""
_TEXT_TAG = "tag:yaml.org,2002:str"


def find_knobs(source: str, path: str) -> PlacedKnobs:
    """Return the knobs of a YAML text; none for several documents. Raises VariantError if it is not YAML."""
    return _knobs_in(_documents(source, path), source)


def outline_lines(source: str, path: str) -> Iterator[str]:
    """Yield a line for each value: its place, and what it is unless it is a knob. Raises VariantError."""
    documents = _documents(source, path)
    knobs = _knobs_in(documents, source).values
    for number, document in enumerate(documents):
        yield f"document {number}"
        if document is not None:
            yield from _lines((), document, {}, knobs)


def _knobs_in(documents: list[Any], source: str) -> PlacedKnobs:
    knobs = PlacedKnobs(source, _spelled)
    if len(documents) == 1 and documents[0] is not None:
        for name, value, node in _walk("", documents[0], set()):
            elements = [_span(source, each) for each in node.value] if node.id == "sequence" else []
            knobs.add(name, value, _span(source, node), elements)
    return knobs


def _documents(source: str, path: str) -> list[Any]:
    """Return the node of each document. Raises VariantError if the text is not YAML, or has a key twice."""
    import yaml

    loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # without libyaml PyYAML reads it, more slowly
    try:
        found = list(yaml.compose_all(source, Loader=loader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise VariantError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}.") from None
    for document in found:
        if twice := _key_that_is_twice(document, set()):
            line = twice.start_mark.line + 1
            raise VariantError(f"{path} is not YAML: line {line} has the key {str(twice.value)[:40]!r} again.")
    return found


def _key_that_is_twice(node: Any, seen: set[int]) -> Any:
    """Return the second of two equal keys of one mapping; None for none. A reader takes the first or the last."""
    if node is None or node.id == "scalar" or id(node) in seen:
        return None
    seen.add(id(node))
    keys: set[str] = set()
    for each in node.value:
        for one in each if node.id == "mapping" else (each,):
            if found := _key_that_is_twice(one, seen):
                return found
        if node.id == "mapping" and each[0].id == "scalar" and each[0].value != "<<":
            if each[0].value in keys:
                return each[0]
            keys.add(each[0].value)
    return None


def _walk(name: str, node: Any, seen: set[int]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each value by name with its node. An anchor's node is met once, under its first name."""
    if id(node) in seen:
        return
    seen.add(id(node))
    match node.id:
        case "scalar":
            yield name, _value(node), node
        case "mapping":
            for key, value in node.value:
                if key.id == "scalar" and key.value != "<<":
                    yield from _walk(f"{name}.{key.value}" if name else str(key.value), value, seen)
        case "sequence":
            values = [_value(each) if each.id == "scalar" else None for each in node.value]
            if values and all(value is not None for value in values):
                yield name, values, node
            else:
                for number, each in enumerate(node.value):
                    yield from _walk(f"{name}.{number}" if name else str(number), each, seen)


def _lines(
    place: tuple[str, ...], node: Any, seen: dict[int, tuple[str, ...]], knobs: Mapping[str, Value]
) -> Iterator[str]:
    """Yield the outline of a node; an anchor's node is written once, and named each time after."""
    if (first := seen.get(id(node))) is not None:
        yield f"{place!r} alias of {first!r}"
        return
    seen[id(node)] = place
    tag = "" if node.tag.startswith("tag:yaml.org,2002:") else f" {node.tag}"
    if place and ".".join(place) in knobs:
        yield f"{place!r} knob {'list' if node.id == 'sequence' else ''}{tag}"
    elif node.id == "mapping":
        yield f"{place!r} mapping {len(node.value)}{tag}"
        for key, each in node.value:
            if key.id == "scalar":
                yield from _lines((*place, str(key.value)), each, seen, knobs)
            else:
                yield from _lines((*place, "key"), key, seen, knobs)
                yield from _lines((*place, "its value"), each, seen, knobs)
    elif node.id == "sequence":
        yield f"{place!r} list {len(node.value)}{tag}"
        for number, each in enumerate(node.value):
            yield from _lines((*place, str(number)), each, seen, knobs)
    else:
        is_null = not node.style and node.value.lower() in ("", "~", "null")
        yield f"{place!r} = {None if is_null else node.value!r}{tag}"


def _span(source: str, node: Any) -> Span:
    """Return the place of a value, from behind its anchor and tag; a list with an element a line ends with its last."""
    found = _PROPERTIES.match(source, node.start_mark.index)
    start = found.end() if found else node.start_mark.index
    is_block = node.id == "sequence" and not node.flow_style
    return start, (node.value[-1] if is_block else node).end_mark.index


def _value(node: Any) -> Any:
    """Return the value of a scalar; None for null, dates, computed values and texts of several lines.

    A number such as 1e-3 is text to a reader of YAML 1.1, but its author means a number.
    """
    if node.style in ("|", ">"):
        return None
    if _INTERPOLATED in node.value:
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
    is_text = node.tag == _TEXT_TAG and word.lower() not in _NOT_TEXT and not _NUMBER_OR_DATE.fullmatch(word)
    return word if is_text else None


def _spelled(value: Value, old: str) -> str:
    """Spell a value as YAML 1.1 and 1.2 read it alike."""
    if isinstance(value, list):
        return f"[{', '.join(_spelled(each, '') for each in value)}]"
    if isinstance(value, bool):
        words = next((pair for pair in _PAIRS if old.lower() in pair), ("true", "false"))
        word = words[0] if value else words[1]
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
