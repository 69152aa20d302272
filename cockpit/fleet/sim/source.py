"""Reads a simulated run's folder: the hashes, the constants, and an outline of the rest of the code.

A night has thousands of variants that differ in a few literals. A file is therefore parsed in full once for each shape,
which is its text without the literals of one-line constants. If that gives another result than a full parse,
files of the shape are parsed in full each time.
"""

import hashlib
import re
from pathlib import Path

import msgspec

from cockpit.core.model import Value
from cockpit.variant.constants import find_constants
from cockpit.variant.errors import VariantError
from cockpit.variant.fingerprint import outline

_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)[^\S\n]*=[^\S\n]*([^\n#]*?)[^\S\n]*(#[^\n]*)?$", re.MULTILINE)


class SimSource(msgspec.Struct, frozen=True):
    train_hash: str
    prepare_hash: str
    """sha256 of prepare.py; empty if there is none."""
    constants: dict[str, Value]
    code: str
    """The file's outline: equal for two files that differ only in constants, comments and blank space."""
    broken: str = ""
    """The exception that Python ends with at once, if the file does not compile."""


class _Shape(msgspec.Struct):
    code: str
    rest: dict[str, Value]
    """Constants that are not on one line of their own."""


class SourceReader:
    """Reads folders, and remembers the shapes it has parsed."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape | None] = {}
        self._literals: dict[str, Value | None] = {}

    def read(self, folder: Path) -> SimSource:
        """Read `folder`. Raises OSError if train.py cannot be read."""
        body = (folder / "train.py").read_bytes()
        train_hash = hashlib.sha256(body).hexdigest()
        prepare = folder / "prepare.py"
        prepare_hash = hashlib.sha256(prepare.read_bytes()).hexdigest() if prepare.is_file() else ""
        try:
            text = body.decode()
            constants, code = self._parse(text)
        except (VariantError, UnicodeDecodeError) as error:
            return SimSource(train_hash, prepare_hash, {}, "", f"SyntaxError: {error}")
        return SimSource(train_hash, prepare_hash, constants, code)

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
