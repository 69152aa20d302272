"""Write the snapshot of a large session in another process, from the session's files, so that no tick waits for it.

The process folds the event stream from the last snapshot to a place in it. It needs nothing of the worker, and takes
as much memory as a screen of the session.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cockpit
from cockpit.core.event_codec import AnyEvent, decode_event
from cockpit.core.state import State
from cockpit.session.event_stream import START, Place, StreamDamaged, StreamReader
from cockpit.session.folding import fold_session
from cockpit.session.paths import SessionFolder
from cockpit.session.snapshot import Snapshot, partial_of, read_snapshot, write_snapshot

NICENESS = 10
WRITTEN_WITHIN_S = 600.0
STARTED = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from cockpit.session.snapshot_process import main; main(*sys.argv[1:])"
)
PACKAGES = str(Path(cockpit.__file__).parents[1])

log = logging.getLogger("cockpit.worker")


class SnapshotProcess:
    """The process that writes the snapshot of a session; one at a time."""

    def __init__(self, folder: SessionFolder) -> None:
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self._began = 0.0

    def start(self, place: Place) -> None:
        """Begin to write the state at a place of the event stream, unless the last one is not written yet.

        A process that takes too long, as a stopped one does, is ended.
        """
        if self._child is not None and self._child.poll() is None:
            if time.monotonic() - self._began < WRITTEN_WITHIN_S:
                return
            log.warning("the last snapshot was not written within %g s: its process is ended", WRITTEN_WITHIN_S)
            self.stop()
        if self._child is not None and self._child.returncode:
            log.warning("the last snapshot was not written: its process ended with %d", self._child.returncode)
        words = (
            str(self._folder.root.absolute()),
            str(place.seq),
            place.chain.hex(),
            str(place.offset),
            str(os.getpid()),
        )
        self._began = time.monotonic()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-c", STARTED, PACKAGES, *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )  # fmt: skip
        except OSError as error:
            log.warning("no process can be started for the snapshot: %s", error)

    def wait(self) -> int:
        """Wait until it has written. Returns its exit status; 0 if none was started."""
        return self._child.wait() if self._child is not None else 0

    def stop(self) -> None:
        """End the process, because the file or the stream is about to be replaced."""
        if self._child is not None:
            self._child.kill()
            if self._child.wait():
                partial_of(self._folder.snapshot).unlink(missing_ok=True)
            self._child = None


def main(root: str, seq: str, chain: str, offset: str, worker: str) -> None:
    os.nice(NICENESS)
    write_at(SessionFolder(Path(root)), Place(int(seq), bytes.fromhex(chain), int(offset)), int(worker))


def write_at(folder: SessionFolder, place: Place, worker: int) -> None:
    """Write the snapshot at a place of the stream. A worker that has ended leaves that to the next one.

    Raises ValueError if the stream is not the one of that place.
    """
    state = None
    with suppress(OSError, ValueError, StreamDamaged):  # the last snapshot is damaged, or that of another session
        if before := read_snapshot(folder.snapshot):
            state = _state_at(folder, place, before)
    if state is None:
        state = _state_at(folder, place, None)
    write_snapshot(folder.snapshot, state, place, is_wanted=lambda: os.getppid() == worker)


def _state_at(folder: SessionFolder, place: Place, before: Snapshot | None) -> State:
    """Return the state at a place of the stream, from an earlier snapshot on. Raises ValueError and StreamDamaged."""
    reader = StreamReader(folder.events, before.place if before else START)
    frames = reader.frames()

    def next_events(seq: int) -> Sequence[AnyEvent]:
        return [decode_event(body) for body in next(frames, ())] if seq < place.seq else ()

    try:
        state = fold_session(lambda: before.state() if before else None, next_events, folder.name)
        if state is None or reader.place != place:
            raise ValueError(f"{folder.events} has no frame that ends at event {place.seq}")
    finally:
        reader.close()
    return state
