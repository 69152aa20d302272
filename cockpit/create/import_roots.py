"""Find the folders of a repository that its environment imports from, as after `pip install -e .`.

Without a correction a run would import the checkout's package, not its own. A run's PYTHONPATH therefore begins with
the same folders of its own tree, and the environment's Python shows if that has an effect.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from cockpit.create.command import is_python
from cockpit.create.error import CreateError
from cockpit.fleet.node.environment import passed_on

ASK_S = 60.0
PACKAGES = ("*/__init__.py", "*/*/__init__.py", "*/*/*/__init__.py")
SOURCES = "src"
_NOT_SEARCHED = frozenset({"node_modules", "site-packages", "sessions", "build", "dist"})
_TELL = """
import importlib.util, json, sys
names = {*sys.argv[1:]}
for finder in sys.meta_path:
    module = sys.modules.get(getattr(finder, "__module__", ""))
    for held in (getattr(module, "MAPPING", None), getattr(finder, "_redirections", None)):
        names |= {str(name).partition(".")[0] for name in held} if isinstance(held, dict) else set()
places = {}
for name in names:
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # it imports the packages around a module, which may raise anything
        continue
    if spec is not None:
        places[name] = [*(spec.submodule_search_locations or ()), spec.origin or ""]
print(json.dumps({"path": sys.path, "prefix": sys.prefix, "places": places}))
"""


def import_roots(repo: Path, command: Sequence[str], python: str) -> tuple[str, ...]:
    """Return the folders that runs must import from first, by their paths in the repository's tree.

    `python` is that of the repository's own environment, or empty. Raises CreateError if a run would import the
    checkout's code all the same.
    """
    names = _packages(repo)
    top = next((folder for folder in (repo, *repo.parents) if (folder / ".git").exists()), repo)
    static = [repo / SOURCES] if any(name.parent == repo / SOURCES for name in names) else []
    asked = _python_of(repo, command, python)
    if not asked:
        return _below(top, static)
    told = _ask(asked, {package.name for package in names}, ())
    prefix = Path(str(told.get("prefix") or "/nowhere")).resolve()
    entries = [Path(str(entry)) for entry in told.get("path", ()) if entry]
    installed = [entry for entry in entries if _is_in(entry, top) and not _is_in(entry, prefix)]
    roots = [*static, *installed, *(root for entry in installed for root in _linked(entry, top))]
    stray: dict[str, Path] = {}
    for name, found in told.get("places", {}).items():
        places = [Path(place) for place in found if place]
        known = [package for package in names if package.name == name and any(_is_in(one, package) for one in places)]
        known = known or [one.resolve() for one in places if _is_in(one, top) and not _is_in(one, prefix)][:1]
        roots += [package.parent for package in known]
        stray.update((name, package) for package in known)
    _check_effect(asked, stray)
    return _below(top, roots)


def _linked(entry: Path, top: Path) -> list[Path]:
    """Return the folders of the packages that a folder holds as links, as setuptools makes it in its strict mode."""
    files = (file.resolve() for file in entry.glob("*/__init__.py") if file.is_symlink())
    return [file.parents[1] for file in files if _is_in(file, top)]


def _packages(repo: Path) -> list[Path]:
    """Return the folders of the top packages in the checkout."""
    found = []
    for pattern in PACKAGES:
        for file in sorted(repo.glob(pattern)):
            inside = file.relative_to(repo).parts[:-1]
            if not (_NOT_SEARCHED & {*inside} or any(part.startswith(".") for part in inside)):
                found.append(file.parent)
    return [folder for folder in found if not (folder.parent / "__init__.py").exists()]


def _python_of(repo: Path, command: Sequence[str], python: str) -> str:
    """Return the Python that starts a run; empty if no file names it."""
    own = repo / ".venv" / "bin" / "python"
    if not command:
        return python or sys.executable
    if is_python(command[0]):
        return shutil.which(command[0]) or ""
    started = shutil.which(command[0])
    beside = Path(started).with_name("python") if started else own
    found = (own, Path(python) if python else own, beside)
    return next((str(one) for one in found if one.exists()), "")


def _ask(python: str, names: Iterable[str], first: Iterable[str]) -> "dict[str, dict[str, list[str]]]":
    """Return where a Python finds packages, outside any repository; nothing if it cannot be started."""
    environment = passed_on()
    inherited = environment.pop("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (*first, inherited)))
    try:
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run(
                [python, "-c", _TELL, *sorted(names)], cwd=empty, env=environment, capture_output=True, text=True,
                timeout=ASK_S, stdin=subprocess.DEVNULL, check=True,
            )  # fmt: skip
        told: dict[str, dict[str, list[str]]] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return told


def _check_effect(python: str, packages: "dict[str, Path]") -> None:
    """Raise CreateError for a package that Python takes from the checkout whatever PYTHONPATH names first."""
    if not packages:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in packages:
            (Path(folder) / name).mkdir()
            (Path(folder) / name / "__init__.py").touch()
        told = _ask(python, packages, (folder,))
        for name, package in packages.items():
            places = told.get("places", {}).get(name, ())
            is_first = any(_is_in(Path(place), Path(folder)) for place in places if place)
            if places and not (is_first and name in (package.name, package.stem)):
                raise CreateError(
                    f"{python} imports {name} from {package} wherever it is started, so every experiment would run the"
                    f" checkout's code: install it there without -e, or remove it (`{python} -m pip uninstall {name}`)"
                )


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _below(top: Path, roots: Iterable[Path]) -> tuple[str, ...]:
    relative = (root.resolve().relative_to(top.resolve()).as_posix() for root in roots)
    return tuple(dict.fromkeys(relative))
