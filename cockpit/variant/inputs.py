"""Find inputs of the researched script that git does not store: data folders, and modules that were never committed."""

import ast
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cockpit.variant.outside_paths import read_variables
from cockpit.variant.syntax import nodes_in

NEVER_INPUTS = frozenset(
    {"__pycache__", "build", "cockpit.toml", "dist", "env", "logs", "node_modules", "results.tsv", "runs", "sessions",
     "venv", "wandb", "outputs", "checkpoints", "lightning_logs", "mlruns", "out", "output",
     "ckpt", "ckpts", "log", "tmp"}
)  # fmt: skip
"""Names that tools write beside a script."""
_OUTPUTS = NEVER_INPUTS - {"__pycache__", "cockpit.toml", "env", "node_modules", "results.tsv", "sessions", "venv"}
"""Names of folders of outputs, in which a file that the code only reads is an input: `checkpoints/base.pt`."""
_HIDDEN_DATA = re.compile(r"\.\w*(?:data|corpus|corpora)\w*", re.IGNORECASE)
"""Names of hidden folders that hold data."""
CONFIGURATIONS_READ, CONFIGURATION_BYTES = 30, 1 << 16
_READERS = re.compile(
    r"open|exists|is_file|stat|memmap|(?:from|read|load|fetch)\w*|\w+_(?:from|read|load)(?:_\w+)?|\w*[Rr]eader"
)
"""Functions whose argument is the path of a file that is read."""
_READS = re.compile(r"data|input|corpus|train|val|test|file|path|root|load|source|src|image|label", re.IGNORECASE)
_WRITES = re.compile(r"out|save|log|ckpt|checkpoint|result|work|export|write|store", re.IGNORECASE)
"""Words about output: a link to it would let a run write into the checkout."""


class Inputs(NamedTuple):
    """Paths relative to the repository, in order."""

    data: tuple[str, ...] = ()
    """Data that the scripts name."""
    modules: tuple[str, ...] = ()
    """Python code that the scripts import."""
    above: tuple[str, ...] = ()
    """Paths that the scripts name and that lead up out of the folder they start in."""
    absolute: tuple[str, ...] = ()
    """Whole paths that the scripts, the configurations or the command name."""
    variables: tuple[str, ...] = ()
    """Variables of the environment that the scripts read."""
    missing: tuple[str, ...] = ()
    """Links of the repository that lead to nothing, and that the scripts name."""


def find_inputs(
    unstored: Iterable[str],
    scripts: Mapping[str, str],
    words: Iterable[str] = (),
    is_file: Callable[[str], bool] = lambda path: False,
) -> Inputs:
    """Return the inputs among the paths that git does not store, for scripts given as path to source.

    A folder or a data file is an input if a string of a script, or one of `words`, starts with its path or holds its
    name; a module if a script imports it; a file in a folder of outputs if a script reads it and does nothing else with
    it. `is_file` tells of a path in a folder that git does not store.
    """
    texts, imported = _mentions(scripts)
    only_read = _only_read(scripts)
    above = sorted(text for text in texts if re.match(r"\.\./(?:\.\./)*\w", text) and "\n" not in text)
    texts |= {*words}
    absolute = sorted(text for text in texts if text.startswith(("/", "~/")))
    data, modules = [], []
    for path in sorted(unstored):
        pure = PurePosixPath(path)
        if any(map(_is_a_tools, pure.parts)):
            if _OUTPUTS.intersection(pure.parts):
                data += sorted(text for text in only_read if text.startswith(f"{path}/") and is_file(text))
            continue
        if pure.suffix == ".py":
            if ".".join((*pure.parent.parts, pure.stem)) in imported:
                modules.append(pure.as_posix())
        elif inside := [file for file in _files_of(imported, pure) if is_file(file)]:
            modules += inside
        elif any(_names(text, pure) for text in texts):
            data.append(pure.as_posix())
    return Inputs(tuple(data), tuple(modules), tuple(above), tuple(absolute), read_variables(scripts))


def _is_a_tools(part: str) -> bool:
    """Return True if a folder or file of this name is written by a tool, or hidden."""
    is_hidden = part.startswith(".") and not _HIDDEN_DATA.fullmatch(part)
    return is_hidden or part in NEVER_INPUTS or part.endswith(".egg-info")


def _files_of(imported: Iterable[str], folder: PurePosixPath) -> list[str]:
    """Return the files that the modules in a folder may lie in."""
    modules = {PurePosixPath(*module.split(".")) for module in imported}
    paths = {path for module in modules for path in (module, *module.parents) if path.is_relative_to(folder)}
    return [file for path in sorted(paths) for file in (f"{path}/__init__.py", f"{path}.py")]


def _mentions(scripts: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """Return the strings in the sources, and the modules that they import."""
    nodes = (node for source in scripts.values() for node in nodes_in(source))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts, {module for path, source in scripts.items() for module in imports_of(path, source)}


def imports_of(path: str, source: str) -> set[str]:
    """Return the modules that a script imports, by their whole names, as from the folder that runs start in."""
    imported: set[str] = set()
    for node in nodes_in(source):
        match node:
            case ast.Import(names=names):
                imported.update(name.name for name in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                imported |= {module, *(f"{module}.{name.name}" for name in names)}
            case ast.ImportFrom(module=module, level=level, names=names):
                parts = PurePosixPath(path).parts
                inside = (*parts[: max(0, len(parts) - level)], *([module] if module else []))
                imported |= {".".join((*inside, *more)) for more in ((), *((name.name,) for name in names))}
    return imported


def _only_read(scripts: Mapping[str, str]) -> set[str]:
    """Return the strings that the sources give to functions that read a file, and to no other function."""
    read: set[str] = set()
    used: set[str] = set()
    for source in scripts.values():
        for node in nodes_in(source):
            if isinstance(node, ast.Call):
                texts = {each.value for each in node.args if isinstance(each, ast.Constant)}
                (read if _is_reader(node) else used).update(text for text in texts if isinstance(text, str))
    return read - used


def _is_reader(call: ast.Call) -> bool:
    """Return True for `open(path)`, `torch.load(path)` and such, and False for an open that writes."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    modes = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "mode")]
    writes = any(isinstance(mode, ast.Constant) and re.search(r"[wax+]", str(mode.value)) for mode in modes)
    return bool(_READERS.fullmatch(name)) and not (name == "open" and writes)


def is_configuration(path: str) -> bool:
    """Return True if a file of this name is searched for paths of data."""
    return path.endswith((".json", ".yaml", ".yml", ".toml", ".cfg", ".ini"))


def mentioned_paths(configurations: Iterable[bytes], command: Sequence[str]) -> list[str]:
    """Return the words of configurations and of a command that may be paths of data."""
    read = itertools.islice(configurations, CONFIGURATIONS_READ)
    texts = (data.decode("utf-8", "replace") for data in read if len(data) <= CONFIGURATION_BYTES)
    return [*(word for text in texts for word in configured_paths(text)), *command_paths(command)]


def configured_paths(text: str) -> list[str]:
    """Return the words of a configuration that may be paths of data; those of a key about output are left out."""
    parts = (part for part in re.split(r"[,{}\n]", text) if _is_read(part))
    return [word for part in parts for word in re.findall(r"[^\s\"'`:=()\[\]<>#]+", part)]


def command_paths(words: Sequence[str]) -> list[str]:
    """Return the words of a command that may be paths of data: those without an option, or with one about input."""
    found = []
    for before, word in itertools.pairwise(("", *words)):
        option, is_one, value = word.partition("=")
        if word.startswith("-"):
            found += [value] if is_one and _is_read(option) else []
        elif not before.startswith("-") or "=" in before or _is_read(before):
            found.append(word)
    return found


def is_outside(path: str, starts: Sequence[Path], top: Path) -> bool:
    """Return True if a path leads out of the repository from each folder, and the first one has something there."""
    places = [(start / path).resolve() for start in starts]
    is_out = not any(place.is_relative_to(top) for place in places)
    return is_out and places[0].exists() and not top.is_relative_to(places[0])


def _is_read(name: str) -> bool:
    return bool(_READS.search(name)) and not _WRITES.search(name)


def _names(text: str, path: PurePosixPath) -> bool:
    """Return True if a string is the path, or starts with it as a folder, or names its last part as one of its own."""
    given = re.sub(r"^\./", "", text.strip())
    whole = path.as_posix()
    return given == whole or given.startswith(f"{whole}/") or path.name in PurePosixPath(given).parts
