"""The outline of a configuration file: a hash of its data without the values of its knobs, layout or comments."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import find_constants

CONFIG_SUFFIXES = (".yaml", ".yml", ".toml", ".json")


def config_outline(text: str, path: str) -> str:
    """Return a SHA-256 in hex, equal for texts that differ in comments, layout, spelling or values of knobs only.

    Raises VariantError for a text that cannot be parsed.
    """
    knobs = find_constants(text, path)
    try:
        data = _LOADERS[PurePosixPath(path).suffix.lower()](text)
    except (ValueError, TypeError, RecursionError) as error:
        raise VariantError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}.") from None
    lines = "\n".join(_lines((), data, knobs))
    return hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()


def _lines(place: tuple[str, ...], value: Any, knobs: Mapping[str, Value]) -> Iterator[str]:
    """Yield a line for each leaf: its place, and its value unless it is a knob's."""
    name = ".".join(place)
    if place and name in knobs:
        yield f"{place!r} knob {type(value).__name__ if isinstance(value, list) else ''}"
    elif isinstance(value, Mapping):
        yield f"{place!r} mapping {len(value)}"
        for key, each in value.items():
            yield from _lines((*place, str(key)), each, knobs)
    elif isinstance(value, list):
        yield f"{place!r} list {len(value)}"
        for number, each in enumerate(value):
            yield from _lines((*place, str(number)), each, knobs)
    else:
        yield f"{place!r} = {value!r}"


def _yaml(text: str) -> Any:
    """Load a document, or the list of several. Tags of a program's own are part of the outline as text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        documents = list(YAML(typ="rt", pure=True).load_all(text))
    except YAMLError as error:
        raise ValueError(str(error)) from None
    return documents[0] if len(documents) == 1 else documents


def _toml(text: str) -> Any:
    import tomlkit

    return tomlkit.parse(text).unwrap()


_LOADERS: Mapping[str, Callable[[str], Any]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": _toml,
    ".json": json.loads,
}
