"""Read a session's state and events without locks and with read permission alone, whether or not a worker runs.

Everything comes from plain files that are read without a lock: `events.log`, `snapshot` and `progress.live`.
"""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

import msgspec

from cockpit.core.event_codec import AnyEvent, decode_event
from cockpit.core.events import Progressed
from cockpit.core.state import State
from cockpit.session.event_stream import START, Place, StreamDamaged, StreamReader
from cockpit.session.folding import fold_progress, fold_session
from cockpit.session.ledger_errors import LedgerDamaged, LedgerError
from cockpit.session.lock import WorkerError, WorkerLock
from cockpit.session.paths import SessionFolder
from cockpit.session.progress_file import read_progress
from cockpit.session.snapshot import Snapshot, read_snapshot

EVENTS_AT_ONCE = 10_000

Version = tuple[int, ...]
T = TypeVar("T")


class LedgerReader:
    """Reads a session. Raises LedgerError with one sentence where a file cannot be used."""

    def __init__(self, folder: SessionFolder) -> None:
        self.folder = folder
        self._ahead: deque[bytes] = deque()
        """Events of the last frame that have not been returned yet."""
        self._stream = self._open(START)

    def since(self, seq: int, most: int = 1_000_000) -> list[AnyEvent]:
        """Return the events after number `seq`, in order."""
        return self._repeated(lambda: self._since(seq, most))

    def live(self) -> list[Progressed]:
        """Return the newest progress of each running attempt."""
        return read_progress(self.folder.progress)

    def version(self) -> Version:
        """Return numbers that change when the worker has written."""
        found: list[int] = []
        for path in (self.folder.events, self.folder.progress):
            try:
                status = path.stat()
                found += (status.st_ino, status.st_size, status.st_mtime_ns)
            except OSError:
                found.append(0)
        return tuple(found)

    def state(self) -> State:
        """Return the present state: the last snapshot and the events after it."""
        return self._folded(lambda: self._state(Snapshot.state))

    def glance(self) -> State:
        """Return the present state for a look at a few of its records, in a fraction of the time."""
        return self._folded(lambda: self._state(Snapshot.glance))

    def _folded(self, read: Callable[[], State | None]) -> State:
        state = self._repeated(read)
        if state is None:
            raise LedgerError(f"{self.folder.root} holds no session: make another with `cockpit new`")
        return self.fold_live(state)

    def fold_live(self, state: State) -> State:
        """Return the state with the newest progress of what runs."""
        return fold_progress(state, self.live())

    def last_seq(self) -> int:
        """Return the number of the last event."""
        seq = self._stream.place.seq
        while events := self.since(seq, EVENTS_AT_ONCE):
            seq += len(events)
        return seq

    def close(self) -> None:
        self._stream.close()

    def _repeated(self, read: Callable[[], T]) -> T:
        """Read, and once more from the start where the file was replaced or the worker was writing it."""
        if self._stream.replaced():
            self._reopen(START)
        try:
            try:
                return read()
            except StreamDamaged:
                self._reopen(START)
                return read()
        except StreamDamaged as error:
            raise self._damaged(error) from None
        except msgspec.MsgspecError as error:
            raise LedgerError(
                f"{self.folder.events} holds an event this cockpit cannot read ({error}): it is from a newer cockpit;"
                " upgrade"
            ) from error

    def _damaged(self, error: StreamDamaged) -> LedgerDamaged:
        name = self.folder.name
        return LedgerDamaged(
            f"{error}: `cockpit verify {name}` tells what is damaged, `cockpit repair {name}` keeps what is whole"
        )

    def _state(self, decode: Callable[[Snapshot], State]) -> State | None:
        try:
            snapshot = read_snapshot(self.folder.snapshot)
            start = decode(snapshot) if snapshot else None
        except (OSError, ValueError, KeyError, IndexError, msgspec.MsgspecError):
            snapshot, start = None, None  # damaged: the events give the same state
        if snapshot is not None and start is not None:
            try:
                return self._folded_on(start, snapshot.place)
            except StreamDamaged:
                pass  # it is the snapshot of another stream, or the stream is damaged, which the fold from START tells
        return self._folded_on(None, START)

    def _folded_on(self, start: State | None, place: Place) -> State | None:
        """Return the state after the events behind a place. Raises StreamDamaged where the stream has no such place."""
        self._reopen(place)
        if self._stream.replaced():
            raise StreamDamaged(self.folder.events, place.seq)
        return fold_session(lambda: start, lambda seq: self._since(seq, EVENTS_AT_ONCE), self.folder.name)

    def _since(self, seq: int, most: int) -> list[AnyEvent]:
        next_seq = self._stream.place.seq - len(self._ahead)
        if seq < next_seq:
            self._reopen(START)
            next_seq = 0
        found: list[bytes] = []
        frames = self._stream.frames()
        while len(found) < most:
            if not self._ahead:
                bodies = next(frames, None)
                if bodies is None:
                    break
                self._ahead.extend(bodies)
            body = self._ahead.popleft()
            next_seq += 1
            if next_seq > seq:
                found.append(body)
        return [decode_event(body) for body in found]

    def _reopen(self, place: Place) -> None:
        self._stream.close()
        self._ahead.clear()
        self._stream = self._open(place)

    def _open(self, place: Place) -> StreamReader:
        try:
            return StreamReader(self.folder.events, place)
        except StreamDamaged as error:
            raise self._damaged(error) from None
        except FileNotFoundError:
            return self._first_opened(place)
        except PermissionError:
            raise LedgerError(
                f"{self.folder.events} may not be used by you: ask its owner to let your group read it"
            ) from None
        except OSError as error:
            raise LedgerError(f"{self.folder.events} cannot be read: {error.strerror}") from error

    def _first_opened(self, place: Place) -> StreamReader:
        """Write the stream of a session of an older cockpit, which its owner alone can do."""
        if not self.folder.ledger.exists():
            raise LedgerError(f"{self.folder.ledger} cannot be opened: check that it exists and that you may read it")
        try:
            lock = WorkerLock.take(self.folder)
        except (WorkerError, OSError):
            raise LedgerError(
                f"{self.folder.events} is missing: a worker that runs writes it again, and for a session of an older"
                f" cockpit its owner opens it once with `cockpit open {self.folder.name}`"
            ) from None
        from cockpit.session.ledger import Ledger  # imported here: SQLite is for the sessions of older cockpits alone

        try:
            Ledger.open(self.folder.ledger).close()
        finally:
            lock.release()
        return StreamReader(self.folder.events, place)
