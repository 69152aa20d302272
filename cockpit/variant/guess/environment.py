"""Find the environment that a repository's runs need, from its files."""

import re
from collections.abc import Callable
from typing import NamedTuple

from cockpit.variant.guess.listing import Listing

VENVS = (".venv", "venv", "env", ".env")
"""The usual folders of a virtual environment."""
PIXI_PYTHON = ".pixi/envs/default/bin/python"
CONDA_TOOLS = ("conda", "mamba", "micromamba")
"""Programs that start Python in a conda environment by the same words."""
_CONDA_NAME = re.compile(r"^name:\s*[\"']?([\w.-]+)", re.MULTILINE)
_CONDA_PREFIX = re.compile(r"^prefix:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
CONDA_FILES = ("environment.yml", "environment.yaml")


class Environment(NamedTuple):
    file: str
    """The file that defines it."""
    tool: str = ""
    """The program that starts Python in it; empty if its Python is there."""
    runner: tuple[str, ...] = ()
    """The words before `python`."""
    python: str = ""
    """The path of its Python in the repository; empty if the tool knows it."""
    setup: str = ""
    """The command that makes it."""

    @property
    def words(self) -> str:
        return self.python or " ".join(self.runner)


def _is_made(name: str, has: Callable[[str], bool]) -> bool:
    """Return False for a folder that may be something else: `env` is often a folder of code."""
    return name == VENVS[0] or has(f"{name}/pyvenv.cfg")


def environments(listing: Listing, has: Callable[[str], bool], active: str = "", of_uv: str = "") -> list[Environment]:
    """Return the environments that the files define, in the order of preference; an existing one alone.

    `has` tells if a path exists, one that git does not store included. `active` is the folder of the terminal's conda
    environment, `of_uv` the one that the terminal's UV_PROJECT_ENVIRONMENT names.
    """
    if of_uv and has("uv.lock") and has(f"{of_uv}/bin/python"):
        return [Environment("UV_PROJECT_ENVIRONMENT", python=f"{of_uv}/bin/python")]
    if made := next((name for name in VENVS if has(f"{name}/bin/python") and _is_made(name, has)), ""):
        return [Environment(made, python=f"{made}/bin/python")]
    if has(PIXI_PYTHON):
        return [Environment(".pixi", python=PIXI_PYTHON)]
    found = []
    if has("uv.lock"):
        found.append(Environment("uv.lock", "uv", ("uv", "run"), setup="uv sync --frozen"))
    if has("poetry.lock"):
        found.append(Environment("poetry.lock", "poetry", ("poetry", "run"), setup="poetry install --no-interaction"))
    if file := next((name for name in ("pixi.lock", "pixi.toml") if has(name)), ""):
        found.append(Environment(file, "pixi", ("pixi", "run"), setup="pixi install"))
    file = next((name for name in CONDA_FILES if has(name)), "")
    text = listing.texts.get(file, "")[:20_000]
    named, placed = _CONDA_NAME.search(text), _CONDA_PREFIX.search(text)
    at = active if named and active.rsplit("/", 1)[-1] == named[1] else placed[1] if placed else ""
    if at and has(f"{at}/bin/python"):
        found.append(Environment(file, python=f"{at}/bin/python"))
    elif named:
        found.append(Environment(file, "conda", ("conda", "run", "-n", named[1])))
    return found
