"""Checks the scripts of a task before they run on a cluster: their syntax, and the files that they name."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_NAMED = re.compile(
    r"(?:^|[;&|]\s*|\s)(?:python[\d.]*(?:\s+-[uB])*|bash|sh|source|-r|--requirement)[ =]+['\"]?(?P<file>[\w./-]+\.\w+)",
    re.MULTILINE,
)
_MOVES = re.compile(r"^\s*(?:cd|pushd)\s|\b(?:git clone|curl|wget|tar|unzip|cp|mv|tee)\b|>", re.MULTILINE)
"""Commands that may make a file, or move to another folder."""


def syntax_problem(script: str) -> str:
    """Return bash's complaint about a script, in a clause; empty if it can be read, or there is no bash here."""
    try:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode == 0:
        return ""
    return next((line.removeprefix("bash: ") for line in done.stderr.splitlines() if line.strip()), "it is not valid")


def missing_files(script: str, has: Callable[[str], bool]) -> list[str]:
    """Return the files that a script runs or installs from, and that the repository does not have.

    A script that moves to another folder or makes files of its own is not judged from there on.
    """
    until = _MOVES.search(script)
    text = script[: until.start()] if until else script
    names = dict.fromkeys(found["file"] for found in _NAMED.finditer(text))
    return [name for name in names if not name.startswith(("/", "~")) and not has(name.removeprefix("./"))]


def problems(task: Any, name: str, has: Callable[[str], bool]) -> Iterator[str]:
    """Yield a sentence for each thing that would fail on a cluster. `has` returns True if the repository has a file."""
    for what, script in (("set-up", task.setup), ("run", task.run)):
        if not isinstance(script, str):
            continue
        if said := syntax_problem(script):
            yield f"the {what} of {name} is not valid shell: {said}"
        for file in missing_files(script, has):
            yield f"the {what} of {name} uses {file}, which is not committed"
    yield from missing_mounts(task.file_mounts or {})


def missing_mounts(mounts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each local source of a mount that is not here."""
    for target, source in mounts.items():
        if isinstance(source, str) and "://" not in source and not Path(source).expanduser().exists():
            yield f"{source}, which is mounted at {target}, is not here"
