"""Check that the programs of a session's commands are there before a run needs them."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cockpit.create.error import CreateError
from cockpit.fleet.node.confinement import program_of
from cockpit.variant.store import VariantStore


def check_program(
    setting: str, words: Sequence[str], repo: Path, store: VariantStore, linked: Sequence[str] = ()
) -> None:
    """Refuse a command whose program is not there, or cannot be started.

    `linked` are the paths that git does not store and that are linked into the folder that the command starts in.
    """
    program = program_of(words)
    if not program:
        return
    if "/" not in program:
        if shutil.which(program) is None:
            raise CreateError(
                f"[research] {setting}: there is no program {program} on the PATH: install it, or give its whole path"
            )
    elif program.startswith("/"):
        if not (Path(program).is_file() and os.access(program, os.X_OK)):
            raise CreateError(f"[research] {setting}: {program} is not an executable file: give the path of one")
    else:
        _check_own(setting, PurePosixPath(os.path.normpath(program)), repo, store, linked)


def _check_own(setting: str, program: PurePosixPath, repo: Path, store: VariantStore, linked: Sequence[str]) -> None:
    """Refuse a program of the repository that a run would not have, or could not start."""
    mode = store.tracked.mode_of(program.as_posix())
    if mode == "100644":
        raise CreateError(
            f"[research] {setting}: git stores {program} as a file that is not executable: `git update-index --chmod=+x"
            f" {program}`, then commit"
        )
    if mode or any(program.is_relative_to(path) for path in (*linked, "..")):
        return
    whole = repo / program
    remedy = f"give its whole path, {whole}" if whole.exists() else "commit it"
    raise CreateError(f"[research] {setting}: git stores no {program}, so no run would have it: {remedy}")
