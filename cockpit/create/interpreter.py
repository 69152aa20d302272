"""Find the Python of the researched repository's own environment, one for all runs, or ask the tool that manages it.

`uv run`, `poetry run`, `pixi run` and `conda run` would each take or make an environment for the folder that they are
started in, and each run has a folder of its own. The tool is asked once, in the repository, and runs start that Python.
"""

import hashlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cockpit.core.errors import CockpitError
from cockpit.create.terminals_python import terminals_python
from cockpit.fleet.node.environment import passed_on
from cockpit.variant.guess.environment import CONDA_FILES, CONDA_TOOLS, Environment, environments
from cockpit.variant.guess.listing import Listing
from cockpit.variant.store import VariantStore

ASK_S = 600.0
"""Seconds that a tool may take to print its Python's path: it may make the environment first."""
_TELL = "import sys; print(sys.executable)"
_ERROR = re.compile(r"(?:error|fatal)\b", re.IGNORECASE)
_SHOWN_CHARACTERS = 300


class SetupError(CockpitError):
    """The environment of the runs cannot be used; the message is one sentence that says what to do."""


class Interpreter(NamedTuple):
    python: str = ""
    """Its absolute path; empty for Cockpit's own Python."""
    told: str = ""
    """A sentence about it for the person."""
    trouble: str = ""
    """A sentence about an environment that is not used, and its remedy."""


def chosen_environment(repo: Path) -> tuple[Environment | None, str]:
    """Return the environment that runs use, and a sentence about one whose tool is not installed.

    That of the folder goes before those of the folders above it in its repository.
    """
    missing: Environment | None = None
    for folder in _up_to_top(repo):
        found = _environments_of(folder, repo)
        usable = next((known for one in found if (known := _installed(one))), None)
        if usable is not None:
            return usable, ""
        missing = missing or next(iter(found), None)
    if missing is None:
        return None, ""
    return None, (
        f"{missing.file} names the environment, and {missing.tool} is not installed: install it, or name the Python"
        " with --command; until then runs use Cockpit's own Python"
    )


def _up_to_top(folder: Path) -> list[Path]:
    """Return a folder and those above it up to the top of its repository."""
    above = [folder, *folder.parents]
    top = next((at for at, one in enumerate(above) if (one / ".git").exists()), 0)
    return above[: top + 1]


def _environments_of(folder: Path, repo: Path) -> list[Environment]:
    """Return the environments that a folder defines, their paths as the repository's folder has them."""
    texts = {name: (folder / name).read_text(errors="replace") for name in CONDA_FILES if (folder / name).is_file()}
    active = os.environ.get("CONDA_PREFIX", "").rstrip("/")
    of_uv = os.environ.get("UV_PROJECT_ENVIRONMENT", "").rstrip("/")
    found = environments(Listing(frozenset(), texts), lambda path: (folder / path).exists(), active, of_uv)
    return [
        one._replace(file=_from(repo, folder / one.file), python=str(folder / one.python) if one.python else "")
        for one in found
    ]


def _from(repo: Path, path: Path) -> str:
    return os.path.relpath(path, repo)


def _installed(environment: Environment) -> Environment | None:
    """Return the environment with a tool that is installed; None if none is."""
    if not environment.tool:
        return environment
    tools = CONDA_TOOLS if environment.tool == "conda" else (environment.tool,)
    tool = next(filter(shutil.which, tools), "")
    return environment._replace(tool=tool, runner=(tool, *environment.runner[1:])) if tool else None


def find_interpreter(repo: Path, made: Path, script: str = "train.py") -> Interpreter:
    """Return the Python of the repository's environment, or the terminal's if the script needs that one.

    `made` is the folder of an environment that `setup` has made. Raises SetupError if its tool does not name it.
    """
    environment, trouble = chosen_environment(repo)
    if environment is None:
        variable, active, names = terminals_python(repo, script)
        told = f"Runs use the Python of {variable}, {active}: Cockpit's own has no {', '.join(names)}"
        return Interpreter(active, told) if active else Interpreter(trouble=trouble)
    if environment.python:
        return Interpreter(str(repo / environment.python))
    if environment.tool == "uv":
        python = made / "bin" / "python"
        return Interpreter(str(python), f"Runs use the environment of {environment.file}, made once in {made}")
    python = Path(_asked(repo, environment))
    return Interpreter(str(python), f"Runs use the Python of `{environment.words}`, {python}")


def _asked(repo: Path, environment: Environment) -> str:
    """Return the Python that the tool starts in the repository."""
    words = [*environment.runner, "python", "-c", _TELL]
    try:
        done = subprocess.run(
            words, cwd=repo, env=passed_on(), capture_output=True, text=True, timeout=ASK_S, stdin=subprocess.DEVNULL
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise SetupError(f"`{environment.words} python` cannot be started: {error}") from None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode == 0 and lines and Path(lines[-1]).is_file():
        return lines[-1]
    said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    raise SetupError(
        f"{environment.file} names an environment that {environment.tool} does not start"
        f" ({said[-1][:_SHOWN_CHARACTERS] if said else 'it said nothing'}): make it as the repository tells, or name"
        " another Python with --command"
    )


class Setup(NamedTuple):
    """The command that makes a machine ready for a repository's runs, once."""

    command: tuple[str, ...]
    folder: Path
    """The folder of its results and of the note that it is done."""

    @property
    def environment(self) -> Path:
        """The folder of the environment that uv makes."""
        return self.folder / "environment"

    @property
    def is_done(self) -> bool:
        return (self.folder / "done").exists()


def setup_of(repo: Path, command: tuple[str, ...], sessions: Path) -> Setup:
    """Return the set-up: as given, else as the environment needs it; an empty command if nothing is needed.

    Another command, another lock file or another machine is another set-up.
    """
    environment, _ = chosen_environment(repo)
    if not command and environment is not None and environment.tool == "uv":
        command = tuple(environment.setup.split())
    lock = (repo / environment.file).read_bytes() if environment is not None and environment.tool == "uv" else b""
    key = hashlib.sha256(repr((str(repo), command, lock, socket.gethostname())).encode()).hexdigest()[:16]
    return Setup(command, sessions / ".setup" / key)


def run_setup(setup: Setup, repo: Path, store: VariantStore, heard: Callable[[str], None]) -> None:
    """Run the set-up in a copy of the last commit, and pass its output to `heard`. Raises SetupError."""
    source = setup.folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.parent.mkdir(parents=True, exist_ok=True)
    store.export(store.head(), source)
    variables = passed_on() | {"UV_PROJECT_ENVIRONMENT": str(setup.environment.absolute()), "PYTHONUNBUFFERED": "1"}
    last = first_error = ""
    try:
        with subprocess.Popen(
            setup.command, cwd=source / store.subfolder, env=variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as running:  # fmt: skip
            assert running.stdout is not None
            for line in running.stdout:
                last = line.strip() or last
                first_error = first_error or (last if _ERROR.match(last) else "")
                heard(line.rstrip("\n"))
        code = running.returncode
    except OSError as error:
        code, last = 127, f"it cannot be started: {error}"
    if code:
        why = (first_error or last or "it printed nothing")[-_SHOWN_CHARACTERS:]
        raise SetupError(
            f"setup `{' '.join(setup.command)}` ended with exit code {code}: {why}; mend it, then run the same command"
            " again, or name another Python with --command"
        )
    (setup.folder / "done").touch()
    shutil.rmtree(source, ignore_errors=True)
