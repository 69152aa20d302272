"""The scratch checkout of a hosted agent: files of the incumbent, which the agent may read and edit.

It is a plain folder in the session's folder and no git repository. Edits of the editable files there become arms
when the agent proposes them; a new incumbent replaces the files.
"""

import shutil
from collections.abc import Callable
from difflib import SequenceMatcher
from io import TextIOWrapper
from pathlib import Path

from cockpit.core.model import Edit
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import open_plain, read_if_there

FILE_CHARS = 1 << 20
"""Characters of the largest file that is read back."""


class Scratch:
    """The paths of an agent's scratch checkout. Creating one touches nothing."""

    def __init__(self, folder: SessionFolder, agent: str) -> None:
        self.path = folder.agent_files(agent) / "checkout"
        self._base = folder.agent_files(agent) / "base"

    @property
    def base(self) -> str:
        """The experiment whose files these were; empty without a checkout."""
        return read_if_there(self._base).decode("utf-8", "replace").strip()

    def fill(self, experiment: str, export: Callable[[Path], None]) -> None:
        """Replace the files by the experiment's. The folder stays: it is the agent's working folder.

        `export` writes them into a folder that does not exist. Raises OSError.
        """
        new = self.path.with_name("new")
        shutil.rmtree(new, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)
        export(new)
        self._base.unlink(missing_ok=True)
        for path in self.path.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for path in new.iterdir():
            path.rename(self.path / path.name)
        new.rmdir()
        self._base.write_text(experiment + "\n", encoding="utf-8")

    def text(self, path: str) -> str:
        """Return a file as the agent left it. Raises OSError or UnicodeDecodeError."""
        if not self.holds(path):
            raise OSError("it leads out of the checkout")
        with TextIOWrapper(open_plain(self.path / path), encoding="utf-8", newline="") as file:
            return file.read(FILE_CHARS)

    def shown(self, path: str) -> str:
        """Return the beginning of a file, for the agent to read. Raises OSError."""
        with TextIOWrapper(open_plain(self.path / path), encoding="utf-8", errors="replace") as file:
            return file.read(FILE_CHARS)

    def holds(self, path: str) -> bool:
        """Return True if the path leads to a place in the checkout, links resolved."""
        try:
            return (self.path / path).resolve().is_relative_to(self.path.resolve())
        except (OSError, ValueError):
            return False


def edits_between(old: str, new: str, path: str = "") -> tuple[Edit, ...]:
    """Return search-and-replace edits that turn `old` into `new`, texts of one file. The search text of each occurs
    once in `old`."""
    lines, others = old.splitlines(keepends=True), new.splitlines(keepends=True)
    changed = [
        [start, end, other_start, other_end]
        for kind, start, end, other_start, other_end in SequenceMatcher(None, lines, others, False).get_opcodes()
        if kind != "equal"
    ]
    hunks: list[list[int]] = []
    for hunk in changed:
        _widen(hunk, old, lines)
        while hunks and hunks[-1][1] >= hunk[0]:
            before = hunks.pop()
            hunk = [min(before[0], hunk[0]), max(before[1], hunk[1]), min(before[2], hunk[2]), max(before[3], hunk[3])]
        hunks.append(hunk)
    return tuple(Edit("".join(lines[a:b]), "".join(others[c:d]), path) for a, b, c, d in hunks)


def _widen(hunk: list[int], text: str, lines: list[str]) -> None:
    """Take equal lines around the hunk into it until its text occurs once."""
    while text.count("".join(lines[hunk[0] : hunk[1]])) != 1 or hunk[0] == hunk[1]:
        if hunk[0] == 0 and hunk[1] == len(lines):
            return
        if hunk[0] > 0:
            hunk[0] -= 1
            hunk[2] -= 1
        if hunk[1] < len(lines):
            hunk[1] += 1
            hunk[3] += 1
