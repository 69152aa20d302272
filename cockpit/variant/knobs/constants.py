"""Find the constants (knobs) of an editable file by name, and write new values in place.

A knob is a literal with a name, in Python (see python_knobs), YAML, TOML or JSON, or a number with a name in other code
and settings (see assigned_knobs). Everything else in the file stays as it is, comments and layout included.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError, shown
from cockpit.variant.knobs.placed_values import PlacedKnobs
from cockpit.variant.knobs.python_knobs import Knob, find_knobs
from cockpit.variant.knobs.python_literals import rewrite
from cockpit.variant.knobs.typed_values import accepted_value, is_same
from cockpit.variant.syntax import parse

_SEED_NAME = re.compile(r"(?:.*_)?(?:seed|rngseed|randomseed|random_state)(?:_.*)?|manualseed", re.IGNORECASE)
_LAST_PART = re.compile(r"([A-Za-z_][\w-]*)$")
_SOURCES_KEPT = 64
_MARK = "\ufeff"
"""The byte order mark that some editors write at the start of a file."""


class _Knobs(NamedTuple):
    """The knobs of a text, and how it is rewritten with other values."""

    values: Mapping[str, Value]
    set_values: Callable[[Mapping[str, Value]], str]
    bound: Mapping[str, int]
    """The lines of the top-level names of a Python file."""


def find_constants(source: str, path: str = "train.py") -> dict[str, Value]:
    """Return every constant of a file by name, in the order of the text; tuples as lists.

    Raises VariantError if `source` cannot be parsed.
    """
    return dict(_knobs_of(source, path).values)


def set_constants(source: str, values: Mapping[str, Value], path: str = "train.py") -> str:
    """Return `source` with `values` written in place of the literals there; the rest of the text does not change.

    A value that is already set keeps its spelling; an integer given for a float is written as a float; a list given for
    a tuple is written as a tuple. Raises VariantError for a name that is not a constant and for a value of another
    type, or one that is not finite.
    """
    accepted = accepted_values(source, values, path)
    if not accepted:
        return source
    knobs = _knobs_of(source, path)
    changed = {name: value for name, value in accepted.items() if not is_same(value, knobs.values[name])}
    return knobs.set_values(changed) if changed else source


def accepted_values(source: str, values: Mapping[str, Value], path: str = "train.py") -> dict[str, Value]:
    """Return `values` as `find_constants` will give them once they are set in `source`.

    Raises VariantError as `set_constants` does.
    """
    accepted: dict[str, Value] = {}
    knobs = _knobs_of(source, path) if values else None
    for name, value in values.items():
        assert knobs is not None
        if name not in knobs.values:
            raise VariantError(no_such_constant(name, list(knobs.values), path, knobs.bound.get(name)))
        accepted[name] = accepted_value(name, knobs.values[name], value)
    return accepted


def bound_lines(source: str, path: str) -> Mapping[str, int]:
    """Return the line on which each top-level name of a Python file is last bound."""
    return _knobs_of(source, path).bound


def is_seed_name(name: str) -> bool:
    """Return True if a constant of this name seeds randomness: SEED, RNG_SEED, random_seed, args.seed, main.seed."""
    last = _LAST_PART.search(name)
    return last is not None and _SEED_NAME.fullmatch(last[1]) is not None


def overrides(constants: Mapping[str, Value], baseline: Mapping[str, Value]) -> dict[str, Value]:
    """Return every constant whose value or type differs from the baseline's, those that the baseline lacks included."""
    return {
        name: value for name, value in constants.items() if name not in baseline or not is_same(value, baseline[name])
    }


def no_such_constant(name: str, known: list[str], path: str, bound_line: int | None = None) -> str:
    """Return the sentence for a name that is not a constant, with the nearest one that is."""
    if bound_line is not None and name.isidentifier():
        return (
            f"{name} is not a plain constant of {path}: line {bound_line} computes it, or changes it in a way "
            f"that setting it would not survive; change it with an edit."
        )
    if not known:
        return f"There is no constant {shown(name)} in {path}: it has no literals with a name, such as DEPTH = 8."
    same_end = [one for one in known if (end := _LAST_PART.search(one)) and end[1].upper() == name.upper()]
    upper = {one.upper(): one for one in known}
    near = difflib.get_close_matches(name.upper(), upper, n=1, cutoff=0.5)
    meant = same_end[:3] or [upper[one] for one in near]
    hint = f"did you mean {' or '.join(meant)}?" if meant else f"it has {', '.join(known[:20])}."
    return f"There is no constant {shown(name)} in {path}; {hint}"


@lru_cache(maxsize=_SOURCES_KEPT)
def _knobs_of(source: str, path: str) -> _Knobs:
    """Cache the knobs of a text: a wave sets the same knobs of the same text many times."""
    match PurePosixPath(path).suffix.lower():
        case ".py":
            found = find_knobs(parse(source, path))
            values = {name: knob.value for name, knob in found.knobs.items()}
            return _Knobs(values, lambda changed: rewrite(source, _with_knobs(found.knobs, changed)), found.bound)
        case _ if reader := _reader(path):
            placed = reader(source.removeprefix(_MARK), path)
            mark = _MARK if source.startswith(_MARK) else ""
            return _Knobs(placed.values, lambda changed: mark + placed.set_values(changed), {})
    return _Knobs({}, lambda changed: source, {})


def _reader(path: str) -> Callable[[str, str], PlacedKnobs] | None:
    """Return the function that finds the knobs of such a file, which is loaded with the first one."""
    match PurePosixPath(path).suffix.lower():
        case ".yaml" | ".yml":
            from cockpit.variant.knobs import yaml_knobs

            return yaml_knobs.find_knobs
        case ".toml":
            from cockpit.variant.knobs import toml_knobs

            return toml_knobs.find_knobs
        case ".json":
            from cockpit.variant.knobs import json_knobs

            return json_knobs.find_knobs
    from cockpit.variant.knobs import assigned_knobs

    return assigned_knobs.find_knobs if assigned_knobs.shape_of(path) else None


def _with_knobs(knobs: Mapping[str, Knob], values: Mapping[str, Value]) -> list[tuple[Knob, Value]]:
    return [(knobs[name], value) for name, value in values.items()]
