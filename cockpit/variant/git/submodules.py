"""Read the objects of submodules from their repositories in the person's checkout."""

from pathlib import Path, PurePosixPath

from cockpit.variant.errors import VariantError, shown
from cockpit.variant.git.objects import Objects
from cockpit.variant.git.repository import open_repository


class Submodules:
    """The repositories of the submodules in one checkout, opened when they are first read."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._open: dict[PurePosixPath, Objects] = {}

    def read(self, path: PurePosixPath, commit: str) -> tuple[Objects, bytes] | None:
        """Return the objects of the submodule at `path`, and its top tree in `commit`; None if it is absent.

        Raises VariantError if its repository does not have the commit.
        """
        if path not in self._open:
            folder = self._top / path
            if not (folder / ".git").exists():
                return None
            self._open[path] = Objects(open_repository(folder))
        try:
            return self._open[path], self._open[path].tree_of(commit)
        except VariantError as error:
            name = path.as_posix()
            raise VariantError(
                f"The submodule {shown(name)} does not have its commit {commit[:12]}: run `git submodule update --init"
                f" --recursive {name}`."
            ) from error

    def close(self) -> None:
        for objects in self._open.values():
            objects.close()
