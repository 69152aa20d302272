"""The ledger: the append-only record of a session, in SQLite (WAL). Only the session's worker opens it.

`ledger.db` belongs to the session's owner alone, because a user who can read a SQLite file can lock it. Readers get
plain files beside it, which the worker writes and never locks: `events.log` (every event), `snapshot` (the state at
one event) and `progress.live` (the progress of what runs). `cockpit.session.reader` reads them.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from cockpit.core.event_codec import AnyEvent, decode_event, encode_event
from cockpit.core.events import Event, Progressed
from cockpit.core.state import State
from cockpit.session.chain import chained, link
from cockpit.session.event_stream import START, Place, StreamDamaged, StreamReader, StreamWriter
from cockpit.session.event_table import EventRow, EventTable, damaged
from cockpit.session.folding import fold_progress, fold_session
from cockpit.session.ledger_errors import LedgerBusy, LedgerError, LedgerFull, is_full
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import OUT_OF_FILES
from cockpit.session.progress_file import ProgressFile
from cockpit.session.snapshot import Snapshot, read_snapshot, write_snapshot
from cockpit.session.snapshot_process import SnapshotProcess
from cockpit.session.sqlite_file import translated_errors

FOLDER_MODE = 0o2750
EVENTS_AT_ONCE = 10_000
PACKED_IN_A_TICK = 5_000
"""Experiments of the largest state that the worker packs between two ticks; more are packed by another process."""
COMPACT_WITHIN_S = 5.0
"""Seconds that a worker which ends spends on smaller files."""

log = logging.getLogger("cockpit.worker")


class Ledger:
    """The open ledger of a session. Raises LedgerError with one sentence where a file cannot be used."""

    def __init__(self, path: Path, table: EventTable, stop: threading.Event) -> None:
        self.path = path
        self.waits_for = ""
        """The reason why a write waits; empty while none does."""
        self.notes: list[str] = []
        """One sentence for each file that was found damaged when the ledger was opened, and mended."""
        self._folder = SessionFolder(path.parent)
        self._table = table
        self._stop = stop
        self._write_problem = ""
        """The last error of a file for readers; empty once it is written."""
        self._wal_fd = -1
        self._end = Place(*table.end(), 0)
        self._snapshot = self._usable_snapshot()
        self._stream = self._open_stream()
        self._progress = ProgressFile(self._folder.progress)
        self._snapshot_process = SnapshotProcess(self._folder)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create a ledger at `path`, and its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(FOLDER_MODE)
        EventTable.create(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, stop: threading.Event | None = None) -> Self:
        """Open the ledger for its worker, which holds the session's lock. Setting `stop` ends a wait for another
        program's lock with LedgerBusy."""
        if path.exists() and not os.access(path, os.W_OK):
            # SQLite would silently open it read-only.
            raise LedgerError(f"{path} belongs to another user: watch it with `cockpit watch`")
        return cls(path, EventTable.open(path), stop or threading.Event())

    def append(self, events: Sequence[Event], fold: Callable[[], None] = lambda: None) -> None:
        """Append all of the events or none. Progress replaces the attempt's last; every other event is permanent.

        `fold` folds them. It is called when they are encoded and not yet written: events that it raises on would make
        the ledger unreadable. Waits while another program locks the file.
        """
        kept = [event for event in events if not isinstance(event, Progressed)]
        bodies = [encode_event(event) for event in kept]
        seq, chain = self._end.seq, self._end.chain
        rows = []
        for event, body in zip(kept, bodies, strict=True):
            seq, chain = seq + 1, link(chain, body)
            rows.append((seq, event.at, body, chain))
        fold()
        changed = self._progress.take(events)
        if rows:
            self._insert(rows)
            self._end = Place(seq, chain, 0)
            self._publish(bodies)
            self._pack()
        if changed:
            self._try_to(self._progress.write)

    def sync(self) -> None:
        """Make every appended event survive a power cut; called before an effect on the world."""
        if self._wal_fd < 0:
            self._wal_fd = os.open(self.path.with_name(f"{self.path.name}-wal"), os.O_RDONLY)
        os.fdatasync(self._wal_fd)

    def since(self, seq: int, most: int = 1_000_000) -> list[AnyEvent]:
        """Return the events after number `seq`, in order. Raises LedgerDamaged if one does not fit the chain."""
        with translated_errors(self.path):
            return [decode_event(body) for body in self._table.bodies(seq, most)]

    def last_seq(self) -> int:
        return self._end.seq

    def last_link(self) -> bytes:
        """Return the chain's link at the last event."""
        return self._end.chain

    def live(self) -> list[Progressed]:
        """Return the newest progress of each running attempt."""
        return self._progress.events()

    def state(self) -> State:
        """Return the present state: the last snapshot and the events after it."""
        snapshot = self._snapshot
        state = fold_session(
            lambda: snapshot.state() if snapshot else None,
            lambda seq: self.since(seq, EVENTS_AT_ONCE),
            self._folder.name,
        )
        if state is None:
            raise LedgerError(f"{self.path} holds no session: make another with `cockpit new`")
        return fold_progress(state, self.live())

    def snapshot(self, state: State, small_until: float = 0.0) -> None:
        """Write the snapshot of a state at the ledger's last event. Raises LedgerFull on a full disk.

        Another failure is ignored: the events hold the same state. `small_until` is that of `packed_state.pack`.
        """
        if self._stream.end.seq != state.seq or self._end.seq != state.seq:
            return  # the stream is behind, on a full disk: the next snapshot will do
        self._snapshot_process.stop()
        try:
            write_snapshot(self._folder.snapshot, state, self._stream.start_segment(), small_until)
        except OSError as error:
            if is_full(error):
                raise LedgerFull(self.path) from error
            log.warning("%s cannot be written: %s", self._folder.snapshot, error)

    def begin_snapshot(self, state: State) -> None:
        """Have the snapshot of a state written, in a time that does not grow with the session. Raises LedgerFull."""
        if len(state.experiments) <= PACKED_IN_A_TICK:
            self.snapshot(state)
        elif self._stream.end.seq == self._end.seq:
            self._snapshot_process.start(self._stream.start_segment())

    def compact(self, state: State, within_s: float = COMPACT_WITHIN_S) -> None:
        """Compact the files of a session without work. A file that cannot be changed now stays as it is.

        After `within_s` the rest of the events stays unpacked, the stream as it is, and the snapshot is packed fast: a
        person waits for the worker to end.
        """
        self._snapshot_process.stop()
        until = time.monotonic() + within_s
        try:
            self._table.compact(self._end.seq, until)
            self._try_to(lambda: self._compact_stream(until))
        except LedgerError as error:
            log.warning("older events stay unpacked: %s", error)
        self.snapshot(state, until)

    def _compact_stream(self, until: float) -> None:
        """Write the stream again with the ledger's packs as its frames, beside the old one. Raises OSError and
        LedgerError."""
        packs = self._stream.packs_end()
        if self._stream.end.seq != self._end.seq or packs.seq == self._end.seq:
            return
        start = packs if self._table.ends_pack(packs.seq) else START
        made = self._stream.copied(self._folder.events.with_name(f"{self._folder.events.name}.partial"), start)
        try:
            if not self._fill(made, until):
                log.info("%s keeps its short frames: there was no time for more", self._folder.events)
                made.close()
                made.path.unlink()
                return
            if made.end.chain != self._end.chain:
                raise damaged(self._folder.events, start.seq)
            self._remove_snapshot()  # its place is one in the stream that is replaced
            made.rename(self._folder.events)
        except BaseException:
            made.close()
            made.path.unlink(missing_ok=True)
            raise
        self._stream.close()
        self._stream = made

    def _fill(self, made: StreamWriter, until: float) -> bool:
        """Append the packs after the end of a stream, and the events after them. Returns False once time is over."""
        with translated_errors(self.path):
            for pack in self._table.packs_after(made.end.seq):
                made.append_pack(pack.text, len(pack.bodies), pack.chain)
                if time.monotonic() > until:
                    return False
        while bodies := self._table.bodies(made.end.seq, EVENTS_AT_ONCE):
            made.append(bodies)
            if time.monotonic() > until:
                return False
        return True

    def close(self) -> None:
        self._snapshot_process.stop()
        if self._wal_fd >= 0:
            os.close(self._wal_fd)
            self._wal_fd = -1
        while self._pack():
            pass
        self._stream.close()
        self._table.close()

    def _insert(self, rows: Sequence[EventRow]) -> None:
        while True:
            try:
                self._table.insert(rows, (self._end.seq, self._end.chain))
            except LedgerBusy as error:
                if self._stop.is_set():
                    raise
                self.waits_for = str(error)
            else:
                self.waits_for = ""
                return

    def _publish(self, bodies: Sequence[bytes]) -> None:
        """Write events to the stream; those that an earlier failure left out first."""
        if not self._stream.is_as_written():
            self._try_to(self._write_stream_again)
        while missing := self._end.seq - len(bodies) - self._stream.end.seq:
            earlier = self._table.bodies(self._stream.end.seq, min(missing, EVENTS_AT_ONCE))
            if not self._try_to(partial(self._stream.append, earlier)):
                return
        self._try_to(lambda: self._stream.append(bodies))

    def catch_up(self) -> None:
        """Write the events to the stream that an earlier failure left out: no other event may follow for hours."""
        if self._stream.end.seq != self._end.seq:
            self._publish(())

    def _write_stream_again(self) -> None:
        """Begin a new stream in the place of one that was removed, replaced or cut. Raises OSError."""
        self._stream.close()
        self._snapshot_process.stop()
        self._remove_snapshot()
        self._stream = StreamWriter(self._folder.events, START)
        log.warning("%s was changed by another program and is written again", self._folder.events)

    def _try_to(self, write: Callable[[], None]) -> bool:
        """Write a file for readers. It can fail without loss: the ledger has it, and the next write repeats it.

        Returns True if it was written.
        """
        try:
            write()
        except OSError as error:
            if self._write_problem != str(error):
                log.warning("readers do not see the newest events: %s", error)
            self._write_problem = str(error)
            return False
        self._write_problem = ""
        return True

    def _pack(self) -> bool:
        """Pack older events, a pack at a time, so that no append takes long. Returns True if it did."""
        try:
            return self._table.pack(self._end.seq)
        except LedgerError as error:
            log.warning("older events stay unpacked: %s", error)
            return False

    def _remove_snapshot(self) -> None:
        """Remove the snapshot: its place is one in a stream that is written again."""
        with suppress(OSError):
            self._folder.snapshot.unlink(missing_ok=True)

    def _usable_snapshot(self) -> Snapshot | None:
        """Return the snapshot if it is whole and of this ledger's events."""
        try:
            found = read_snapshot(self._folder.snapshot)
        except OSError as error:
            self.notes.append(f"{self._folder.snapshot} cannot be read: {error.strerror}")
            return None
        except ValueError as error:
            self.notes.append(f"{error}: the state was folded from the events instead")
            return None
        if found is None or found.place.seq > self._end.seq:
            return None
        with translated_errors(self.path):
            return found if self._table.chain_at(found.place.seq) == found.place.chain else None

    def _open_stream(self) -> StreamWriter:
        """Open the event stream, cut off what a kill left of its last frame, and append what it lacks.

        Events that only the stream has were lost with ledger.db's log; they return to the ledger.
        """
        end, lost = self._compare(self._snapshot.place) if self._snapshot else (None, [])
        if end is None:
            end, lost = self._compare(START)
        if end is None:
            end = START
            self._remove_snapshot()
        if lost:
            self._restore(lost)
        try:
            stream = StreamWriter(self._folder.events, end)
            while bodies := self._table.bodies(stream.end.seq, EVENTS_AT_ONCE):
                stream.append(bodies)
        except OSError as error:
            if is_full(error):
                raise LedgerFull(self._folder.events) from error
            raise LedgerError(f"{self._folder.events} cannot be written: {error.strerror}") from error
        return stream

    def _compare(self, start: Place) -> tuple[Place | None, list[bytes]]:
        """Compare the stream with the ledger from a place on.

        Returns the end of the stream's whole frames, None if not even the first is whole; and the events that only
        the stream has. One that holds other events is moved away.
        """
        lost: list[bytes] = []
        try:
            reader = StreamReader(self._folder.events, start)
        except StreamDamaged:
            return None, []
        except OSError as error:
            if error.errno in OUT_OF_FILES:
                raise  # the stream may hold events that the ledger has lost
            return None, []
        try:
            for bodies in reader.frames():
                lost += bodies[max(0, self._end.seq - (reader.place.seq - len(bodies))) :]
        except StreamDamaged as error:
            self.notes.append(f"{error}: what follows was written again from the ledger")
        end, at_end = reader.place, reader.at_end()
        reader.close()
        if end == start and not at_end:
            return None, []
        with translated_errors(self.path):
            expected = chained(self._end.chain, lost) if lost else self._table.chain_at(end.seq)
        if expected != end.chain:
            self._set_stream_aside()
            return None, []
        return end, lost

    def _set_stream_aside(self) -> None:
        """Move a whole stream of other events away, as that of another session is: only a worker writes the ledger."""
        aside = self._folder.events.with_name(f"{self._folder.events.name}.moved-{time.time_ns() // 1_000_000}")
        try:
            self._folder.events.rename(aside)
        except OSError as error:
            raise LedgerError(f"{self._folder.events} cannot be moved away: {error.strerror}") from error
        self.notes.append(
            f"{self._folder.events} held other events than {self.path.name}: it was moved to {aside.name} and written"
            " again"
        )

    def _restore(self, lost: Sequence[bytes]) -> None:
        seq, chain = self._end.seq, self._end.chain
        rows = []
        for body in lost:
            seq, chain = seq + 1, link(chain, body)
            rows.append((seq, decode_event(body).at, body, chain))
        self._insert(rows)
        self._end = Place(seq, chain, 0)
        self.notes.append(f"{self.path} had lost {len(lost)} events, which came back from {self._folder.events.name}")
