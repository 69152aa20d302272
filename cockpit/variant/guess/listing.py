"""The input of a guess: the paths of a repository's files, and the texts of some. All of it is untrusted data."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

CODE_SUFFIXES = frozenset(
    {
        ".py", ".sh", ".js", ".cjs", ".mjs", ".ts", ".go", ".rs", ".c", ".cc", ".cpp", ".cxx", ".cu", ".jl", ".r", ".R",
        ".rb", ".php", ".java", ".lua", ".swift", ".zig", ".f90", ".lean",
    }
)  # fmt: skip
LINE_CHARACTERS = 400
"""Characters of a line that are read."""
LINES_READ = 5_000
"""Lines of a text that are read."""
DOCUMENTS = ("program.md", "readme.md", "claude.md", "agents.md", "readme.rst", "readme.txt", "readme")
"""Names of documents in lower case, the most informative about the loop first."""

BUILD_FILES = ("makefile", "justfile", "dvc.yaml", "mlproject", "dockerfile")
"""Names in lower case of files whose commands count where no document shows one."""


class Candidate(NamedTuple):
    """A possible value of a setting."""

    value: str
    evidence: str
    """The place of its evidence, such as `README.md line 41`."""


class Guessed(NamedTuple):
    """A setting that was guessed; its value is empty if nothing was found."""

    value: str = ""
    evidence: str = ""
    candidates: tuple[Candidate, ...] = ()
    """Values between which a person must choose; empty if one is clearly best."""

    @property
    def is_clear(self) -> bool:
        return bool(self.value) and not self.candidates


class Listing(NamedTuple):
    """The files of a folder, by their path in it."""

    paths: frozenset[str]
    texts: Mapping[str, str]

    def lines(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield the numbered lines of a text, cut to what is read of them."""
        for number, line in enumerate(self.texts.get(path, "").splitlines()[:LINES_READ], 1):
            yield number, line[:LINE_CHARACTERS]

    def documents(self) -> list[str]:
        """List the documents at the top and one folder below, those at the top first."""
        named = [path for path in self.texts if PurePosixPath(path).name.lower() in DOCUMENTS and path.count("/") < 2]
        return sorted(
            named, key=lambda path: (path.count("/"), DOCUMENTS.index(PurePosixPath(path).name.lower()), path)
        )

    def build_files(self) -> list[str]:
        """List the files at the top that hold commands of a build tool."""
        return sorted(path for path in self.texts if path.lower() in BUILD_FILES)

    def resolve(self, word: str, near: str = "") -> str:
        """Return the path that a word of the document `near` names; empty for none, or for one outside the folder."""
        for start in (PurePosixPath(), PurePosixPath(near).parent):
            parts: list[str] = []
            for part in (start / word).parts:
                if part == ".." and parts:
                    parts.pop()
                elif part not in (".", ".."):
                    parts.append(part)
            path = "/".join(parts)
            if path in self.paths and not word.startswith("/"):
                return path
        return ""


def settled(candidates: list[Candidate]) -> Guessed:
    """Return the one candidate, or the question between several; the first is what is proposed."""
    distinct: dict[str, Candidate] = {}
    for one in candidates:
        distinct.setdefault(one.value, one)
    if not distinct:
        return Guessed()
    first = next(iter(distinct.values()))
    return Guessed(first.value, first.evidence, tuple(distinct.values()) if len(distinct) > 1 else ())
