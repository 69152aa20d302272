"""Find the constants of all editable files of a repository, and apply a change to these files.

Texts are given by path, in the order of the session's files. A constant is known by its own name where one file has
it, and as `path:NAME` where several do.
"""

import hashlib
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cockpit.core.model import Edit, Value
from cockpit.variant.edits import apply_edit
from cockpit.variant.errors import VariantError, shown
from cockpit.variant.fingerprint import combine, outline
from cockpit.variant.knobs import assigned_knobs
from cockpit.variant.knobs.config_outline import CONFIG_SUFFIXES, config_outline
from cockpit.variant.knobs.constants import (
    accepted_values,
    bound_lines,
    find_constants,
    no_such_constant,
    set_constants,
)
from cockpit.variant.protected import pattern_of
from cockpit.variant.syntax import check_text

Texts = Mapping[str, str]


class Place(NamedTuple):
    """The file of a constant, and its name there."""

    path: str
    name: str


def places(texts: Texts) -> dict[str, Place]:
    """Return the place of each constant by its name in the session."""
    return named({path: find_constants(text, path) for path, text in texts.items()})


def named(names: Mapping[str, Iterable[str]]) -> dict[str, Place]:
    """Return the place of each constant by its name in the session, given the names in each file."""
    found = [Place(path, name) for path, own in names.items() for name in own]
    times = Counter(place.name for place in found)
    return {place.name if times[place.name] == 1 else f"{place.path}:{place.name}": place for place in found}


def constants_in(texts: Texts) -> dict[str, Value]:
    """Return all constants by name, in the order of the files. Raises VariantError for a file that is not parsed."""
    values = {path: find_constants(text, path) for path, text in texts.items()}
    return {name: values[place.path][place.name] for name, place in named(values).items()}


def accepted_in(texts: Texts, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return `values` as `constants_in` will give them once they are set. Raises VariantError as `set_in` does."""
    accepted: dict[str, Value] = {}
    for path, own in _by_file(texts, values).items():
        checked = accepted_values(texts[path], {place.name: value for place, value in own.values()}, path)
        accepted |= {name: checked[place.name] for name, (place, _) in own.items()}
    return accepted


def set_in(texts: Texts, values: Mapping[str, Value]) -> dict[str, str]:
    """Return the texts with `values` written in place of the literals there.

    Raises VariantError for a name that is not a constant, or that several files have, and for a value of another type.
    """
    changed = dict(texts)
    for path, own in _by_file(texts, values).items():
        changed[path] = set_constants(texts[path], {place.name: value for place, value in own.values()}, path)
    return changed


def _by_file(texts: Texts, values: Mapping[str, Value]) -> dict[str, dict[str, tuple[Place, Value]]]:
    """Return (place, value) by the name in the session, by file."""
    known = places(texts) if values else {}
    found: dict[str, dict[str, tuple[Place, Value]]] = {}
    for given, value in values.items():
        name = given if given in known else _whole_name(texts, known, given)
        place = known[name]
        found.setdefault(place.path, {})[name] = place, value
    return found


def _whole_name(texts: Texts, known: Mapping[str, Place], given: str) -> str:
    """Return the name in the session that `path:NAME` stands for where NAME alone would do. Raises VariantError."""
    path, _, own = given.rpartition(":")
    if own in known and known[own].path == path:
        return own
    same = [name for name, place in known.items() if place.name == given]
    if same:
        raise VariantError(f"Several files have a constant {given}: write {' or '.join(same)}.")
    lines = {one: line for one, text in texts.items() if (line := bound_lines(text, one).get(given))}
    where = next(iter(lines), "") or " and ".join(texts)
    raise VariantError(no_such_constant(given, list(known), where, lines.get(where)))


def edited(texts: Texts, edits: Sequence[Edit], script: str, protected: Iterable[str] = ()) -> dict[str, str]:
    """Return the texts with `edits` applied in order. An edit without a path is one of `script`.

    Raises VariantError for an edit of a file that is not editable, and for one that does not fit.
    """
    changed = dict(texts)
    for number, edit in enumerate(edits, start=1):
        which = f"Edit {number} of {len(edits)}"
        path = _path_of(edit, changed, script, protected, which)
        changed[path] = apply_edit(changed[path], edit, path, which)
    return changed


def _path_of(edit: Edit, texts: Texts, script: str, protected: Iterable[str], which: str) -> str:
    if not edit.path:
        return script
    wanted = _normal(edit.path)
    for path in texts:
        if _normal(path) == wanted:
            return path
    if pattern := pattern_of(edit.path, protected):
        raise VariantError(
            f"{which} changes {shown(edit.path)}, which is protected: [research] protected has {pattern}."
        )
    raise VariantError(
        f"{which} changes {shown(edit.path)}, which is not editable; edits change {' and '.join(texts)}."
    )


def _normal(path: str) -> str:
    return unicodedata.normalize("NFC", posixpath.normpath(path))


def outline_of(path: str, text: str) -> str:
    """Return the hash of everything in a file but the values of its constants. Raises VariantError."""
    if path.endswith(".py"):
        return outline(text, path)
    check_text(text, path)
    if path.lower().endswith(CONFIG_SUFFIXES):
        return config_outline(text, path)
    outlined = assigned_knobs.find_knobs(text, path).outline() if assigned_knobs.shape_of(path) else text
    return hashlib.sha256(outlined.encode()).hexdigest()


def fingerprint_of(outlines: Mapping[str, str], constants: Mapping[str, Value]) -> str:
    """Return the fingerprint of editable files from their outlines and constants; of one file, as it always was."""
    return combine(joint_outline(outlines), constants)


def joint_outline(outlines: Mapping[str, str]) -> str:
    """Return the outline of editable files together; that of one file is its own."""
    if len(outlines) == 1:
        return next(iter(outlines.values()))
    listed = "\n".join(f"{path} {one}" for path, one in outlines.items())
    return hashlib.sha256(listed.encode("utf-8", "backslashreplace")).hexdigest()
