"""Read the command that starts a run, or that makes a machine ready for one."""

import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from cockpit.create.error import CreateError
from cockpit.fleet.node.confinement import ASSIGNMENT, program_of
from cockpit.session.research_settings import words_of

SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "fish"})
_OPERATOR = re.compile(r"[();<>|&]+")
_LITERAL = re.compile(r"'[^']*'|\\.")
"""The parts of a command that a shell leaves as they are."""
_EXPANDED = re.compile(r"\$(?:\w+|\{[^}]*\}|\([^)]*\))|`[^`]*`|(?:^|(?<=\s))~(?=/|\s|$)")
"""A part that a shell replaces: a variable, the output of a command, the home."""
_ASSIGNED = re.compile(r"^\s*(?:export\s+)?(\w+)=[\"']?(?:\$\{\w+:-)?(\d{1,9})\}?[\"']?\s*(?:#.*)?$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(\w+)(?::-(\d{1,9}))?\}|\$(\w+)")
LINES_READ = 1_000
"""Lines of a shell's text that are read."""


def command_words(setting: str, command: str) -> tuple[str, ...]:
    """Return the words of a command. Raises CreateError for one that only a shell can read."""
    try:
        words = words_of(command)
    except ValueError as error:
        raise CreateError(f"[research] {setting}: {command!r} is not a command: {error}") from None
    if found := _for_a_shell(command, words):
        is_variable = bool(ASSIGNMENT.fullmatch(found))
        remedy = f"env {command}" if is_variable else f"sh -c {shlex.quote(command)}"
        raise CreateError(f"[research] {setting}: {found!r} is for a shell, and none starts it: write {remedy}")
    return words


def _for_a_shell(command: str, words: tuple[str, ...]) -> str:
    """Return the first part of a command that only a shell understands; empty for none."""
    tokens = shlex.shlex(command, posix=True, punctuation_chars=True)
    tokens.commenters = ""
    if words and ASSIGNMENT.fullmatch(words[0]):
        return words[0]
    is_shell = any(PurePosixPath(word).name in SHELLS for word in words)
    if not is_shell and (expanded := _EXPANDED.search(_LITERAL.sub("", command))):
        return expanded[0]
    return next((token for token in tokens if _OPERATOR.fullmatch(token)), "")


def shell_lines(text: str) -> list[list[str]]:
    """Return the words of each line of a shell's text, with the numbers that it gives its variables."""
    numbers = dict(_ASSIGNED.findall(text))
    known = _VARIABLE.sub(lambda found: str(numbers.get(found[1] or found[3]) or found[2] or found[0]), text)
    lines = []
    for line in known.replace("\\\n", " ").splitlines()[:LINES_READ]:
        with suppress(ValueError):  # quotes that span lines
            lines.append(shlex.split(line, comments=True))
    return lines


def own_command(python: str, script: str) -> tuple[str, ...]:
    """Return the command that starts the script with the repository's own Python; empty if that is Cockpit's."""
    is_own = python and Path(python).parent.parent.resolve() != Path(sys.prefix).resolve()
    return (python, "-u", script) if is_own else ()


def is_python(program: str) -> bool:
    """Return True if a program is a Python, by its name."""
    return PurePosixPath(program).name.startswith("python")


def is_started_by_python(words: Sequence[str]) -> bool:
    """Return True if a Python starts a run, such as Cockpit's own where there is no command."""
    return not words or is_python(program_of(words))
