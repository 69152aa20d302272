"""Find the Python of the terminal's activated environment, where a script imports what Cockpit's own Python lacks."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from cockpit.variant.guess.printed import imported_modules

VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX")
"""The folder of an activated environment, the innermost first."""
ASK_S = 30.0
_LACKS = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])"


def terminals_python(repo: Path, script: str) -> tuple[str, str, list[str]]:
    """Return (variable, Python, missing modules); empty where Cockpit's own Python has what the script imports.

    The activated environment has them all, or it is not returned.
    """
    found = _active()
    missing = _missing(repo, script) if found else []
    if found is None or not missing or _lacks(found[1], missing):
        return "", "", []
    return found[0], str(found[1]), missing


def _active() -> tuple[str, Path] | None:
    """Return the variable and the Python of the activated environment; None for Cockpit's own or none."""
    for variable in VARIABLES:
        prefix = Path(os.environ.get(variable) or "/nowhere")
        python = prefix / "bin" / "python"
        if python.is_file() and prefix.resolve() != Path(sys.prefix).resolve():
            return variable, python
    return None


def _missing(repo: Path, script: str) -> list[str]:
    """Return the modules that a script imports and that neither the repository nor Cockpit's own Python has."""
    path = repo / script
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    names = sorted({name.partition(".")[0] for name in imported_modules(text)} - sys.stdlib_module_names)
    folders = (path.parent, repo, repo / "src")
    return [name for name in names if not _is_in(folders, name) and importlib.util.find_spec(name) is None]


def _is_in(folders: Iterable[Path], name: str) -> bool:
    return any((folder / f"{name}.py").is_file() or (folder / name).is_dir() for folder in folders)


def _lacks(python: Path, names: list[str]) -> bool:
    """Return True if a Python lacks one of the modules, or does not start."""
    try:
        words = [str(python), "-I", "-c", _LACKS, *names]
        done = subprocess.run(words, capture_output=True, text=True, timeout=ASK_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 0 or done.stdout.strip() != "[]"
