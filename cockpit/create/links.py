"""Find and make the links of a run's folder: to inputs that git does not store, to outside data, and to large files."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from cockpit.core.errors import CockpitError
from cockpit.fleet.node.environment import passed_on
from cockpit.fleet.secret_names import is_secret
from cockpit.variant.inputs import Inputs
from cockpit.variant.store import VariantStore


class InputError(CockpitError):
    """An input of the runs is missing. The message is one sentence that tells what to do."""


def find_links(
    store: VariantStore, commit: str, repo: Path, wanted: Iterable[str], command: Sequence[str] = ()
) -> dict[str, str]:
    """Return the links of a run's folder: path in the repository to target. `wanted` is relative to `repo`.

    `command` starts a run: its words name data too.

    A link of the repository that leads to nothing, and that no code names, stays as it is. Raises InputError for an
    input that cannot be linked, VariantError for a large file that is not here.
    """
    found = store.inputs(commit, command)
    if found.modules:
        names = " ".join(found.modules)
        raise InputError(
            f"{store.script} imports {names}, which git does not store, so no experiment would have it: `git add -f"
            f" {names}`, commit, then try again"
        )
    inside = PurePosixPath(store.subfolder)
    links = {(inside / path).as_posix(): str((repo / path).absolute()) for path in (*wanted, *found.data)}
    outside = store.outside_links(commit)
    links |= outside | store.large_files(commit)
    needed = {(inside / path).as_posix() for path in found.missing}
    for path, target in links.items():
        if not Path(target).exists() and (path in needed or path not in outside):
            raise InputError(f"{path} leads to {target}, which does not exist: make it, or remove the link")
    return links


def check_links(store: VariantStore, repo: Path, wanted: Iterable[str]) -> None:
    """Raise InputError for a path of the setting `links` that leads out of the repository, or that git stores."""
    for path in wanted:
        if path.startswith(("/", "~")) or ".." in PurePosixPath(path).parts:
            raise InputError(
                f"a link is a path inside the repository: instead of --links {path} give --readable {path}"
            )
        if (repo / path).is_file() and not (repo / path).is_symlink() and store.tracked.holds(path):
            raise InputError(f"git stores {path}, so every run has it: leave it out of --links")


def input_notes(found: Inputs, script: str, environment: Iterable[str], seed_by: str) -> list[str]:
    """Return sentences on what the code reads and a run does not get: paths that lead out, variables that are set."""
    notes = []
    if found.above:
        notes.append(
            f"{script} names {', '.join(found.above)}, outside the repository: a run starts in a folder of its own and"
            " finds nothing there, so give the absolute path"
        )
    passed = passed_on(environment)
    held = [name for name in found.variables if name in os.environ and name not in passed and not _is_given(name)]
    held = [name for name in held if name != seed_by.removeprefix("env:")]
    if secrets := [name for name in held if is_secret(name)]:
        notes.append(f"{script} reads {', '.join(secrets)}: it looks like a secret, and no secret reaches a run")
    if others := [name for name in held if not is_secret(name)]:
        names = ", ".join(others)
        notes.append(
            f"{script} reads {names} from the environment, and a run does not get it: --env {others[0]} passes it on"
        )
    return notes


def _is_given(name: str) -> bool:
    """Return True if a run gets a variable of this name from Cockpit."""
    return name in ("SEED", "EXPERIMENT_ID") or name.startswith("COCKPIT_")


def link_inputs(folder: Path, links: Mapping[str, str]) -> None:
    """Add each link that the exported commit does not have. Raises OSError."""
    for path, target in links.items():
        link = folder / path
        if not link.is_symlink() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
