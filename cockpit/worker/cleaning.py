"""Clean up after runs, a bounded part per tick: save artifacts, then remove folders.

A killed worker leaves folders of ended runs, which the next one finds when it starts.
"""

import itertools
import os
from collections.abc import Generator, Iterable
from pathlib import Path

from cockpit.core.model import AttemptStatus
from cockpit.core.state import State
from cockpit.worker.shortage import shortage

STEPS_A_TICK = 1_000
"""Files that are checked, saved or removed in a tick."""
LISTED = 1_000
"""Entries of a folder that are listed at once."""
LONG_PATH = 2_000
"""Bytes of a path from which its folder is moved up, because a run may nest folders to any depth."""
RUN_SUFFIX = ".run"
"""Suffix of the folder of a run's runner, beside the run's own."""
PARTIAL = ".*.partial"
"""Pattern of the folders that a killed worker had begun to write."""

Steps = Generator[None, None, str]
"""A cleaning, a step at a time. It returns a sentence where something went wrong."""


class Cleaning:
    """The cleanings that are left, the oldest first."""

    def __init__(self) -> None:
        self._left: dict[str, Steps] = {}
        self._steps = STEPS_A_TICK

    @property
    def has_work(self) -> bool:
        """Return True if any is left for the next tick."""
        return bool(self._left)

    def begin(self, name: str, steps: Steps) -> None:
        """Begin a cleaning. One of that name that was begun before is the same one."""
        if name in self._left:
            steps.close()
        else:
            self._left[name] = steps

    def new_tick(self) -> None:
        self._steps = STEPS_A_TICK

    def continue_work(self) -> list[tuple[str, str]]:
        """Do the work of one tick. Returns the names of failed cleanings, each with its sentence."""
        troubles = []
        for name, steps in list(self._left.items()):
            try:
                while self._steps > 0:
                    next(steps)
                    self._steps -= 1
            except StopIteration as end:
                del self._left[name]
                if end.value:
                    troubles.append((name, end.value))
            if self._steps <= 0:
                break
        return troubles

    def finish(self) -> list[tuple[str, str]]:
        """Carry all of them out."""
        troubles = []
        while self._left:
            self.new_tick()
            troubles += self.continue_work()
        return troubles


def removing(folders: Iterable[Path]) -> Steps:
    """Remove folders with all that is in them, an entry a step. An entry that cannot be removed stays."""
    for folder in folders:
        if not folder.is_symlink() and folder.is_dir():
            yield from _removing(str(folder))
    return ""


def _removing(top: str) -> Generator[None]:
    pending, kept = [top], set()
    while pending:
        folder = pending[-1]
        entries = [entry for entry in _entries(folder) if entry.path not in kept]
        if not entries:
            pending.pop()
            try:
                Path(folder).rmdir()
            except OSError:
                kept.add(folder)
            yield
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(_shortened(entry.path, top))
                else:
                    Path(entry.path).unlink()
            except OSError:
                kept.add(entry.path)
            yield


def _shortened(folder: str, top: str) -> str:
    """Return the path of a folder, moved to the top where it would soon be longer than the system allows."""
    if len(os.fsencode(folder)) < LONG_PATH:
        return folder
    return str(Path(folder).rename(Path(top, f".{os.urandom(8).hex()}")))


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    """List some entries of a folder, which a run may have left read-only. Raises OSError for want of open files."""
    try:
        Path(folder).chmod(0o700)
        with os.scandir(folder) as found:
            return list(itertools.islice(found, LISTED))
    except OSError as error:
        if shortage(error):
            raise
    return []


def left_over(state: State, runs: Path) -> list[Path]:
    """Return the folders of runs that ended long ago, and incomplete ones that no worker writes any more.

    The newest ended runs are left out: each has its own cleaning, which saves its artifacts first. Raises OSError for
    want of open files.
    """
    found, recent = [], {*state.recent}
    try:
        for folder in sorted(runs.iterdir()):
            attempt = state.attempts.get(folder.name.removesuffix(RUN_SUFFIX))
            has_ended = attempt is not None and attempt.status is AttemptStatus.ENDED and attempt.id not in recent
            if has_ended or folder.match(PARTIAL):
                found.append(folder)
    except OSError as error:
        if shortage(error):
            raise
    return found
