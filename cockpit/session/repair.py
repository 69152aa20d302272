"""Check a session's files against the chain of its events, and repair a damaged session from its whole events."""

import os
import shutil
import time
from pathlib import Path

import msgspec

from cockpit.core.event_codec import decode_event
from cockpit.core.state import State
from cockpit.session.chain import GENESIS, chained
from cockpit.session.event_stream import StreamDamaged, StreamReader
from cockpit.session.event_table import EventTable
from cockpit.session.folding import EventUnfoldable, fold_stored
from cockpit.session.ledger import Ledger
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.lock import WorkerLock, is_locked
from cockpit.session.paths import SessionFolder
from cockpit.session.snapshot import read_snapshot

ROWS_AT_ONCE = 10_000


class Events(msgspec.Struct, frozen=True):
    """The events of one file, up to the first that does not fit the chain."""

    whole: list[bytes]
    chain: bytes
    """The chain after the last whole event."""
    stored: int
    """Known events of the file, damaged ones included."""
    problem: str
    """One sentence; empty if every event fits."""


class Unreadable(msgspec.Struct, frozen=True):
    """The first whole event that cannot be folded."""

    before: int
    """Events before it."""
    problem: str
    """One sentence."""
    may_be_newer: bool
    """True if a newer cockpit may have written it."""


class DamageReport(msgspec.Struct, frozen=True):
    """The result of a check or a repair."""

    events: int
    """Events that are whole in at least one file, and that the state can be folded from."""
    lost: int
    """Further events that are known to be stored."""
    problems: list[str]
    """One sentence for each damaged file."""
    kept_in: str = ""
    """The folder with the damaged files as they were; empty if none was replaced."""


def verify(folder: SessionFolder) -> DamageReport:
    """Check every file that this user may read. Raises LedgerError if none of them can be."""
    try:
        runs = is_locked(folder)
    except PermissionError:
        runs = False  # this user reads the stream alone, so there is nothing to compare it with
    ledger, stream = _read(folder)
    unreadable = _first_unreadable(_longest(ledger, stream))
    return _report(ledger, stream, _snapshot_problem(folder), runs, unreadable)


def repair(folder: SessionFolder) -> DamageReport:
    """Write the ledger again from the longest run of whole events in either file, as far as they can be folded.

    The damaged files are kept. Raises WorkerError while a worker runs, and LedgerError where no event is whole, where
    the disk takes no more, and at an event that a newer cockpit may have written.
    """
    lock = WorkerLock.take(folder)
    try:
        ledger, stream = _read(folder)
        whole = _longest(ledger, stream)
        unreadable = _first_unreadable(whole)
        report = _report(ledger, stream, _snapshot_problem(folder), False, unreadable)
        if not report.problems:
            return report
        if unreadable is not None:
            if unreadable.may_be_newer:
                raise LedgerError(f"{unreadable.problem}: upgrade, then repair")
            whole = whole[: unreadable.before]
        if not whole:
            raise LedgerError(f"no event of {folder.root} is whole: restore the folder from a copy")
        try:
            aside = _replace(folder, whole)
        except OSError as error:
            raise LedgerError(f"{folder.root} cannot be repaired: {error.strerror}") from error
        Ledger.open(folder.ledger).close()
        return msgspec.structs.replace(report, kept_in=str(aside))
    finally:
        lock.release()


def _read(folder: SessionFolder) -> tuple[Events | None, Events | None]:
    """Return the events of the ledger and of the stream; None for one that this user may not read."""
    ledger = _ledger_events(folder.ledger) if os.access(folder.ledger, os.R_OK | os.W_OK) else None
    stream = _stream_events(folder.events) if os.access(folder.events, os.R_OK) else None
    if ledger is None and stream is None:
        raise LedgerError(f"{folder.root} cannot be checked: check that it exists and that you may read it")
    if ledger is None and not os.path.lexists(folder.ledger):
        ledger = Events([], GENESIS, 0, f"{folder.ledger} is missing")
    if ledger is not None and stream is None and not folder.events.exists():
        stream = Events([], GENESIS, 0, f"{folder.events} is missing")
    return ledger, stream


def _first_unreadable(whole: list[bytes]) -> Unreadable | None:
    """Return the first event that the state cannot be folded from; None if all can."""
    state: State | None = None
    for number, body in enumerate(whole, 1):
        try:
            event = decode_event(body)
        except msgspec.MsgspecError as error:
            problem = f"event {number} cannot be read ({error}): it is from a newer cockpit, or made by hand"
            return Unreadable(number - 1, problem, may_be_newer=True)
        try:
            state = fold_stored(state, [event])
        except EventUnfoldable as error:
            return Unreadable(number - 1, str(error), may_be_newer=False)
    return None


def _report(
    ledger: Events | None, stream: Events | None, snapshot_problem: str, runs: bool, unreadable: Unreadable | None
) -> DamageReport:
    """Make the report. Two files that a running worker writes are at different events when they are read."""
    found = [events for events in (ledger, stream) if events is not None]
    problems = [events.problem for events in found if events.problem]
    if ledger and stream and _differ(ledger, stream):
        found = [ledger]
        problems.append(
            "the event stream holds other events than the ledger, as that of another session does: the worker moves it"
            " away when it starts"
        )
    if (
        not problems
        and not runs
        and ledger
        and stream
        and (len(ledger.whole), ledger.chain) != (len(stream.whole), stream.chain)
    ):
        problems.append(
            f"the ledger ends with event {len(ledger.whole)} and the event stream with {len(stream.whole)}, which the"
            " worker mends when it starts"
        )
    problems += [snapshot_problem] if snapshot_problem else []
    whole = len(_longest(ledger, stream))
    if unreadable is not None:
        problems.append(unreadable.problem)
        whole = unreadable.before
    stored = max(events.stored for events in found)
    return DamageReport(whole, max(0, stored - whole), problems)


def _longest(ledger: Events | None, stream: Events | None) -> list[bytes]:
    """Return the most whole events that either file has; the ledger's where the stream is that of another session."""
    if ledger is None or (stream is not None and len(stream.whole) > len(ledger.whole) and not _differ(ledger, stream)):
        return stream.whole if stream else []
    return ledger.whole


def _differ(ledger: Events, stream: Events) -> bool:
    """Return True if neither file continues the other one's events."""
    both = min(len(ledger.whole), len(stream.whole))
    return ledger.whole[:both] != stream.whole[:both]


def _ledger_events(path: Path) -> Events:
    whole: list[bytes] = []
    stored, problem = 0, ""
    try:
        table = EventTable.open(path, upgrade=False)
        try:
            with table.unchanging():
                stored = table.end()[0]
                if foreign := table.foreign():
                    problem = f"another program put {', '.join(foreign[:3])} into {path}"
                for body in table.bodies_after(0):
                    whole.append(body)
        finally:
            table.close()
    except LedgerError as error:
        problem = str(error)
    return Events(whole, chained(GENESIS, whole), max(stored, len(whole)), problem)


def _stream_events(path: Path) -> Events:
    whole: list[bytes] = []
    try:
        reader = StreamReader(path)
    except (OSError, StreamDamaged, LedgerError) as error:
        return Events([], GENESIS, 0, str(error))
    problem = ""
    try:
        for bodies in reader.frames():
            whole += bodies
        if not reader.at_end():
            problem = f"{path} ends in the middle of a frame, after event {len(whole)}"
    except StreamDamaged as error:
        problem = str(error)
    finally:
        reader.close()
    return Events(whole, reader.place.chain, len(whole), problem)


def _snapshot_problem(folder: SessionFolder) -> str:
    try:
        read_snapshot(folder.snapshot)
    except ValueError as error:
        return f"{error}; the state is folded from the events instead"
    except OSError as error:
        return f"{folder.snapshot} cannot be read: {error.strerror}"
    return ""


def _replace(folder: SessionFolder, whole: list[bytes]) -> Path:
    """Put a ledger of these events in the place of the damaged files, which are copied first. Returns their folder."""
    aside = folder.root / f"damaged-{time.time_ns() // 1_000_000}"
    aside.mkdir(mode=0o700)
    log_files = [folder.ledger.with_name(f"{folder.ledger.name}{suffix}") for suffix in ("-wal", "-shm")]
    for path in (folder.ledger, *log_files, folder.events, folder.snapshot):
        if path.exists():
            shutil.copy2(path, aside)
    made = folder.root / "repaired"
    shutil.rmtree(made, ignore_errors=True)
    ledger = Ledger.create(made / folder.ledger.name)
    for first in range(0, len(whole), ROWS_AT_ONCE):
        ledger.append([decode_event(body) for body in whole[first : first + ROWS_AT_ONCE]])
    ledger.close()
    for path in log_files:  # of the damaged ledger: SQLite would replay it into the new one
        path.unlink(missing_ok=True)
    for name in (folder.ledger.name, folder.events.name):
        (made / name).replace(folder.root / name)
    folder.snapshot.unlink(missing_ok=True)
    shutil.rmtree(made)
    return aside
