"""Links of a run's folder: to inputs that git does not store, to data outside, and to the content of large files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from cockpit.core.errors import CockpitError
from cockpit.variant.store import VariantStore


class InputError(CockpitError):
    """An input of the runs is missing. The message is one sentence that tells what to do."""


def find_links(
    store: VariantStore, commit: str, repo: Path, wanted: Iterable[str], command: Sequence[str] = ()
) -> dict[str, str]:
    """Return the links of a run's folder: path in the repository to target. `wanted` is relative to `repo`.

    `command` starts a run: its words name data too.

    Raises InputError for an input that cannot be linked, VariantError for a large file that is not here.
    """
    found = store.inputs(commit, command)
    if found.modules:
        names = " ".join(found.modules)
        raise InputError(
            f"train.py imports {names}, which git does not store, so no experiment would have it: `git add {names}`,"
            " commit, then try again"
        )
    inside = PurePosixPath(store.subfolder)
    links = {(inside / path).as_posix(): str((repo / path).absolute()) for path in (*wanted, *found.data)}
    links |= store.outside_links(commit) | store.large_files(commit)
    for path, target in links.items():
        if not Path(target).exists():
            raise InputError(f"{path} leads to {target}, which does not exist: make it, or remove the link")
    return links


def outside_note(store: VariantStore, commit: str) -> str:
    """Return a sentence on paths that the scripts name and that lead out of the repository; empty for none."""
    found = store.inputs(commit).above
    if not found:
        return ""
    return (
        f"{store.script} names {', '.join(found)}, outside the repository: a run starts in a folder of its own and"
        " finds nothing there, so give the absolute path"
    )


def link_inputs(folder: Path, links: Mapping[str, str]) -> None:
    """Add each link that the exported commit does not have. Raises OSError."""
    for path, target in links.items():
        link = folder / path
        if not link.is_symlink() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
