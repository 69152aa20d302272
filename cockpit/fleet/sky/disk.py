"""The folders that runs leave on a cluster's disk. SkyPilot never removes them: the next run removes those of runs
that are over."""

import shlex
import threading
from collections.abc import Iterable

AT_MOST = 200
"""Folders that one run removes: their names are part of its script."""


class LeftFolders:
    """The names of runs that are over and have their folders on one cluster. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, None] = {}

    def add(self, names: Iterable[str]) -> None:
        """Note the jobs, by their names on the cluster, whose runs are over."""
        with self._lock:
            self._names.update(dict.fromkeys(names))

    def next(self) -> tuple[str, ...]:
        """Return those that the next run is to remove, the oldest first."""
        with self._lock:
            return tuple(self._names)[:AT_MOST]

    def discard(self, names: Iterable[str]) -> None:
        """Forget those whose removal was submitted, or whose cluster is gone."""
        with self._lock:
            for name in names:
                self._names.pop(name, None)


def removal_script(names: Iterable[str]) -> str:
    """Return a line of shell that removes the folders of these jobs from the workdir; empty for none.

    A folder is `variants/NAME`, or of the same name beside it. One that is not there is not an error.
    """
    folders = " ".join(f"*/{shlex.quote(name)}" for name in names)
    return f"rm -rf -- {folders}\n" if folders else ""
