"""Inputs of the researched script that git does not store: data folders, and modules that were never committed."""

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

NEVER_INPUTS = frozenset(
    {"__pycache__", "build", "cockpit.toml", "dist", "env", "logs", "node_modules", "results.tsv", "runs", "sessions",
     "venv", "wandb", "outputs", "checkpoints", "lightning_logs", "mlruns"}
)  # fmt: skip
"""Names that tools write beside a script."""


class Inputs(NamedTuple):
    """Paths relative to the repository, in order."""

    data: tuple[str, ...] = ()
    """Data that the scripts name."""
    modules: tuple[str, ...] = ()
    """Python code that the scripts import."""


def find_inputs(unstored: Iterable[str], scripts: Mapping[str, str]) -> Inputs:
    """Return the inputs among the paths that git does not store, for scripts given as path to source.

    A folder or a data file is an input if a string of a script starts with its path or holds its name; a module if a
    script imports it.
    """
    texts, imported = _mentions(scripts.values())
    data, modules = [], []
    for path in sorted(unstored):
        pure = PurePosixPath(path)
        if any(part.startswith(".") or part in NEVER_INPUTS or part.endswith(".egg-info") for part in pure.parts):
            continue
        if pure.suffix == ".py":
            if ".".join((*pure.parent.parts, pure.stem)) in imported:
                modules.append(pure.as_posix())
        elif any(_names(text, pure) for text in texts):
            data.append(pure.as_posix())
    return Inputs(tuple(data), tuple(modules))


def _mentions(sources: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the strings in the sources, and the modules that they import."""
    texts: set[str] = set()
    imported: set[str] = set()
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Constant(value=str(text)):
                    texts.add(text)
                case ast.Import(names=names):
                    imported.update(name.name for name in names)
                case ast.ImportFrom(module=str(module), level=0, names=names):
                    imported |= {module, *(f"{module}.{name.name}" for name in names)}
    return texts, imported


def _names(text: str, path: PurePosixPath) -> bool:
    """Tell if a string is the path, or starts with it as a folder, or names its last part as one of its own."""
    given = re.sub(r"^\./", "", text.strip())
    whole = path.as_posix()
    return given == whole or given.startswith(f"{whole}/") or path.name in PurePosixPath(given).parts
