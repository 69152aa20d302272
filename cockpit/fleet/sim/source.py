"""Reads a simulated run's folder: the hashes, the constants, and an outline of the rest of the code.

A night has thousands of variants that differ in a few literals. A script is therefore parsed in full once per shape,
which is its text without the literals of one-line constants. If the shape does not give the result of a full parse, its
scripts are parsed in full each time, like all other files.
"""

import hashlib
import re
from pathlib import PurePosixPath

import msgspec

from cockpit.core.model import Value
from cockpit.fleet.base import Job
from cockpit.variant.editable import joint_outline, named, outline_of
from cockpit.variant.errors import VariantError
from cockpit.variant.fingerprint import outline
from cockpit.variant.knobs.constants import find_constants

_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)[^\S\n]*=[^\S\n]*([^\n#]*?)[^\S\n]*(#[^\n]*)?$", re.MULTILINE)


class SimSource(msgspec.Struct, frozen=True):
    train_hash: str
    """sha256 of the script."""
    prepare_hash: str
    """sha256 of prepare.py; empty if there is none."""
    hashes: dict[str, str]
    """sha256 of each file whose hash is taken, by path."""
    constants: dict[str, Value]
    """Those of all editable files."""
    code: str
    """Their outline: equal for code that differs only in constants, comments and blank space."""
    broken: str = ""
    """The exception that ends Python at once if the file does not compile."""


class _Shape(msgspec.Struct):
    code: str
    rest: dict[str, Value]
    """Constants that are not on one line of their own."""


class SourceReader:
    """Reads folders, and remembers the shapes it has parsed."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape | None] = {}
        self._literals: dict[str, Value | None] = {}

    def read(self, job: Job) -> SimSource:
        """Read the folder of `job`. Raises OSError if one of its files cannot be read."""
        bodies = {path: (job.folder / path).read_bytes() for path in job.editable}
        prepare = (PurePosixPath(job.script).parent / "prepare.py").as_posix()
        others = [path for path in {*job.protected, prepare} if path not in bodies and (job.folder / path).is_file()]
        hashes = {path: hashlib.sha256(body).hexdigest() for path, body in bodies.items()}
        hashes |= {path: hashlib.sha256((job.folder / path).read_bytes()).hexdigest() for path in others}
        try:
            constants, code = self._read(job.script, {path: body.decode() for path, body in bodies.items()})
            broken = ""
        except (VariantError, UnicodeDecodeError) as error:
            constants, code, broken = {}, "", f"SyntaxError: {error}"
        return SimSource(hashes[job.script], hashes.get(prepare, ""), hashes, constants, code, broken)

    def _read(self, script: str, texts: dict[str, str]) -> tuple[dict[str, Value], str]:
        """Return the constants of the files, and their outline together. Raises VariantError."""
        found = {
            path: self._parse(text) if path == script and path.endswith(".py") else _file(path, text)
            for path, text in texts.items()
        }
        places = named({path: constants for path, (constants, _) in found.items()})
        constants = {name: found[place.path][0][place.name] for name, place in places.items()}
        return constants, joint_outline({path: code for path, (_, code) in found.items()})

    def _parse(self, text: str) -> tuple[dict[str, Value], str]:
        quick: dict[str, Value] = {}
        twice = False

        def cut(line: re.Match[str]) -> str:
            nonlocal twice
            value = self._literal(line[2])
            if value is None:
                return line[0]
            twice = twice or line[1] in quick
            quick[line[1]] = value
            return f"{line[1]} ="

        key = hashlib.sha256(_LINE.sub(cut, text).encode()).hexdigest()
        if key not in self._shapes:
            constants = find_constants(text)
            exact = not twice and all(constants.get(name) == value for name, value in quick.items())
            rest = {name: value for name, value in constants.items() if name not in quick}
            self._shapes[key] = _Shape(outline(text), rest) if exact else None
        shape = self._shapes[key]
        if shape is None:
            return find_constants(text), outline(text)
        return {**shape.rest, **quick}, shape.code

    def _literal(self, text: str) -> Value | None:
        if text not in self._literals:
            try:
                self._literals[text] = find_constants(f"A = {text}\n").get("A")
            except VariantError:
                self._literals[text] = None
        return self._literals[text]


def _file(path: str, text: str) -> tuple[dict[str, Value], str]:
    return find_constants(text, path), outline_of(path, text)
