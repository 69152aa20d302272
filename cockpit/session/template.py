"""Lay a research project into an empty folder, from a template that is installed with cockpit."""

import os
import shutil
import subprocess
from pathlib import Path

from cockpit.core.errors import CockpitError

TEMPLATES = Path(__file__).parents[1] / "templates"
DEFAULT_TEMPLATE = "autoresearch"
_WITHOUT_IDENTITY = ("-c", "user.name=cockpit", "-c", "user.email=cockpit@localhost")
"""The author of the first commit where git knows none."""


class TemplateError(CockpitError):
    """The project cannot be laid there. The message is one sentence that tells what to do."""


def template_names() -> list[str]:
    return sorted(path.name for path in TEMPLATES.iterdir() if path.is_dir())


def template_files(name: str) -> list[Path]:
    """Return the template's files. Raises TemplateError for an unknown template."""
    if name not in template_names():
        raise TemplateError(f"there is no template {name!r}: choose {', '.join(template_names())}")
    # pip leaves compiled Python beside the files, in a folder.
    return sorted(path for path in (TEMPLATES / name).iterdir() if path.is_file())


def is_empty(folder: Path) -> bool:
    """Return True if the folder holds nothing but hidden files and sessions."""
    return all(path.name.startswith(".") or path.name == "sessions" for path in folder.iterdir())


def lay_template(name: str, folder: Path) -> None:
    """Copy the template's files into the folder and commit them to its git repository, which is made if needed.

    Raises TemplateError.
    """
    files = template_files(name)
    if not is_empty(folder):
        raise TemplateError(f"{folder} is not empty: run `cockpit init` in an empty folder")
    if shutil.which("git") is None:
        raise TemplateError("git is not installed: install it, then run `cockpit init` again")
    for file in files:
        shutil.copyfile(file, folder / file.name)
    if not (folder / ".git").exists():
        _git(folder, "init", "-q")
    _git(folder, "add", "--", *(file.name for file in files))
    identity = () if _has_identity(folder) else _WITHOUT_IDENTITY
    _git(folder, *identity, "commit", "-q", "-m", f"Start from the template {name}")


def _has_identity(folder: Path) -> bool:
    return subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], cwd=folder, capture_output=True).returncode == 0


def _git(folder: Path, *words: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise TemplateError(f"git {words[0]} failed in {folder}: {' '.join(done.stderr.split())}")
