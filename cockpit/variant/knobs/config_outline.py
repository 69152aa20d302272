"""The outline of a configuration file: a hash of its data without the values of its knobs, layout or comments."""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs import yaml_knobs
from cockpit.variant.knobs.constants import find_constants

CONFIG_SUFFIXES = (".yaml", ".yml", ".toml", ".json")


def config_outline(text: str, path: str) -> str:
    """Return a SHA-256 in hex, equal for texts that differ in comments, layout, spelling or values of knobs only.

    Raises VariantError for a text that cannot be parsed.
    """
    text = text.removeprefix("\ufeff")
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in (".yaml", ".yml"):
        found = yaml_knobs.outline_lines(text, path)
    else:
        knobs = find_constants(text, path)
        found = _lines((), tomllib.loads(text) if suffix == ".toml" else json.loads(text), knobs)
    try:
        lines = "\n".join(found)
    except RecursionError:
        raise VariantError(f"{path} is nested too deeply to be compared; write it flatter.") from None
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
