"""Every change of a session's files from outside is noticed, and what is whole of them is kept."""

import os
import re
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import Ended, Said
from cockpit.core.fold import fold_all
from cockpit.core.model import Outcome
from cockpit.session import event_stream, event_table
from cockpit.session.ledger import Ledger
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.repair import repair, verify
from cockpit.session.snapshot import read_snapshot
from tests.session.test_ledger import a_running_story, said, texts

flips = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    """A closed session of several frames in two segments, with a snapshot in between."""
    made = SessionFolder(tmp_path / "night")
    ledger = Ledger.create(made.ledger)
    for event in a_running_story():
        ledger.append([event])
    ledger.snapshot(ledger.state())
    for text in ("a", "b", "c"):
        ledger.append(said(text * 20))
    ledger.close()
    return made


def flipped(data: bytes, bit: int) -> bytes:
    bit %= len(data) * 8
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def state_seq(folder: SessionFolder) -> int:
    reader = LedgerReader(folder)
    try:
        return reader.state().seq
    finally:
        reader.close()


def all_events(folder: SessionFolder) -> list[AnyEvent]:
    ledger = Ledger.open(folder.ledger)
    try:
        return ledger.since(0)
    finally:
        ledger.close()


def test_an_undamaged_session_has_no_problem(folder: SessionFolder) -> None:
    report = verify(folder)
    assert (report.problems, report.lost, report.events) == ([], 0, len(a_running_story()) + 3)


@flips
@given(bit=st.integers(0, 1 << 40))
def test_every_flipped_bit_of_a_snapshot_is_noticed_and_changes_no_state(folder: SessionFolder, bit: int) -> None:
    whole = folder.snapshot.read_bytes()
    expected = fold_all(all_events(folder))
    try:
        folder.snapshot.write_bytes(flipped(whole, bit))
        with pytest.raises(ValueError, match="snapshot"):
            read_snapshot(folder.snapshot)
        assert any("snapshot" in problem for problem in verify(folder).problems)
        reader = LedgerReader(folder)
        assert reader.state() == expected
        reader.close()
    finally:
        folder.snapshot.write_bytes(whole)


@flips
@given(bit=st.integers(0, 1 << 40))
def test_every_flipped_bit_of_the_event_stream_is_noticed(folder: SessionFolder, bit: int) -> None:
    whole = folder.events.read_bytes()
    try:
        folder.events.write_bytes(flipped(whole, bit))
        assert any("events.log" in problem for problem in verify(folder).problems)
        with pytest.raises(LedgerError):
            reader = LedgerReader(folder)
            reader.since(0)
            reader.close()
    finally:
        folder.events.write_bytes(whole)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = replace(body, 'aaaa', 'aaab') WHERE seq = 8",
        "DELETE FROM events WHERE seq = 8",
        "DELETE FROM events WHERE seq = 3",
        "UPDATE events SET chain = zeroblob(16) WHERE seq = 8",
        "UPDATE events SET body = (SELECT body FROM events WHERE seq = 9) WHERE seq = 8",
        "INSERT INTO events SELECT seq + 1, at, body, chain FROM events ORDER BY seq DESC LIMIT 1",
    ],
)
def test_a_changed_event_is_noticed_and_repaired_from_the_stream(folder: SessionFolder, statement: str) -> None:
    before = all_events(folder)
    db = sqlite3.connect(folder.ledger)
    db.execute(statement)
    db.commit()
    db.close()
    assert any("ledger.db" in problem for problem in verify(folder).problems)
    with pytest.raises(LedgerError, match="cockpit repair night"):
        all_events(folder)
    assert state_seq(folder) == len(before), "the event stream is whole, and readers read that"
    report = repair(folder)
    assert (report.events, Path(report.kept_in).is_dir()) == (len(before), True)
    assert all_events(folder) == before
    assert verify(folder).problems == []


@pytest.mark.parametrize("left_bytes", [0, 32, 200])
def test_events_of_a_lost_or_torn_log_come_back_from_the_stream(tmp_path: Path, left_bytes: int) -> None:
    folder = SessionFolder(tmp_path / "night")
    ledger = Ledger.create(folder.ledger)
    child = os.fork()
    if child == 0:  # dies without a checkpoint, so that its events are in the log alone
        worker = Ledger.open(folder.ledger)
        worker.append([*a_running_story()[:1], *said("a", "b", "c")])
        os._exit(9)
    os.waitpid(child, 0)
    os.truncate(folder.ledger.with_name("ledger.db-wal"), left_bytes)
    folder.ledger.with_name("ledger.db-shm").unlink()
    ledger._table.close()
    opened = Ledger.open(folder.ledger)
    assert [note for note in opened.notes if "had lost 4 events" in note]
    assert texts(opened.since(0)) == ["a", "b", "c"]
    opened.close()
    assert verify(folder).problems == []


def cut_frame(folder: SessionFolder) -> None:
    os.truncate(folder.events, folder.events.stat().st_size - 5)


def lengthen(folder: SessionFolder) -> None:
    with folder.events.open("ab") as file:
        file.write(b"half a frame")


def remove_stream(folder: SessionFolder) -> None:
    folder.events.unlink()


def spoil_start(folder: SessionFolder) -> None:
    folder.events.write_bytes(b"spoiled " * 1000)


@pytest.mark.parametrize("spoil", [cut_frame, lengthen, remove_stream, spoil_start])
def test_a_worker_writes_a_damaged_stream_again(folder: SessionFolder, spoil: Callable[[SessionFolder], None]) -> None:
    before = all_events(folder)
    spoil(folder)
    assert verify(folder).problems != []
    assert all_events(folder) == before
    assert verify(folder).problems == []
    assert state_seq(folder) == len(before)


def test_older_events_are_packed_and_read_as_before(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "night")
    ledger = Ledger.create(folder.ledger)
    ledger.append(a_running_story()[:1])
    written = [str(number) for number in range(2, 5_501)]
    for text in written:
        ledger.append(said(text))
    assert texts(ledger.since(0)) == written
    assert texts(ledger.since(1_234, 2)) == ["1235", "1236"]
    ledger.close()
    db = sqlite3.connect(folder.ledger)
    assert db.execute("SELECT COUNT(*) FROM packs").fetchone() == (3,)
    assert db.execute("SELECT COUNT(*) FROM events").fetchone() == (2_500,)
    folder.events.unlink()
    again = Ledger.open(folder.ledger)
    assert texts(again.since(0)) == written
    again.close()
    assert verify(folder).problems == []
    db.execute("UPDATE packs SET body = zeroblob(20) WHERE last = 2000")
    db.commit()
    db.close()
    assert verify(folder).events == 5_500, "the event stream has them all"
    assert any("event 1001 of" in problem for problem in verify(folder).problems)
    repair(folder)
    assert texts(all_events(folder)) == written


def deflated(text: bytes, level: int) -> bytes:
    return zlib.compress(text)


def test_a_session_whose_packs_are_deflated_is_read_and_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write a session as a cockpit before Zstandard did: it is read without a change, and then continued."""
    folder = SessionFolder(tmp_path / "night")
    written = [str(number) for number in range(2, 5_501)]
    with monkeypatch.context() as patch:
        patch.setattr(event_table, "compressed", deflated)
        patch.setattr(event_table, "SCHEMA", event_table.CHAINED)
        patch.setattr(event_stream, "MAGIC", event_stream.OLD_MAGIC)
        old = Ledger.create(folder.ledger)
        old.append(a_running_story()[:1])
        for text in written:
            old.append(said(text))
        old.close()
    before = folder.ledger.read_bytes(), folder.events.read_bytes()
    assert before[1].startswith(event_stream.OLD_MAGIC)
    reader = LedgerReader(folder)
    assert texts(reader.since(0)) == written
    reader.close()
    assert verify(folder).problems == []
    assert (folder.ledger.read_bytes(), folder.events.read_bytes()) == before
    ledger = Ledger.open(folder.ledger)
    ledger.append(said("more"))
    ledger.compact(ledger.state())
    ledger.append(said("still more"))
    ledger.close()
    assert folder.events.read_bytes().startswith(event_stream.MAGIC)
    assert texts(all_events(folder)) == [*written, "more", "still more"]
    assert verify(folder).problems == []
    again = Ledger.open(folder.ledger)
    assert (again.notes, texts(again.since(0))) == ([], [*written, "more", "still more"])
    again.close()


def test_with_both_files_damaged_the_longer_prefix_is_kept(folder: SessionFolder) -> None:
    count = len(all_events(folder))
    os.truncate(folder.events, folder.events.stat().st_size - 5)
    db = sqlite3.connect(folder.ledger)
    db.execute("UPDATE events SET body = x'7b7d' WHERE seq = 4")
    db.commit()
    db.close()
    report = repair(folder)
    assert (report.events, report.lost) == (count - 1, 1)
    assert [event.text for event in all_events(folder) if isinstance(event, Said)] == ["a" * 20, "b" * 20]


def with_an_event_of_nothing(folder: SessionFolder) -> int:
    """Append an event about an attempt that no event made, as a worker would not, and one after it."""
    ledger = Ledger.open(folder.ledger)
    ledger.append([Ended(at=1.0, attempt="e9999.1", outcome=Outcome.VALID), *said("after it")])
    count = ledger.last_seq()
    ledger.close()
    return count


def test_an_event_that_cannot_be_folded_is_named_and_the_events_before_it_are_kept(folder: SessionFolder) -> None:
    before = len(all_events(folder))
    count = with_an_event_of_nothing(folder)
    named = rf"event {before + 1} \(Ended\) cannot be folded \(KeyError: 'e9999.1'\)"
    for read in (lambda: Ledger.open(folder.ledger).state(), lambda: state_seq(folder)):
        with pytest.raises(
            LedgerError, match=named + ": `cockpit verify night` names it, `cockpit repair night` keeps"
        ):
            read()
    found = verify(folder)
    assert [bool(re.match(named, problem)) for problem in found.problems] == [True]
    assert (found.events, found.lost) == (before, count - before)
    report = repair(folder)
    assert (report.events, report.lost, Path(report.kept_in).is_dir()) == (before, 2, True)
    assert len(all_events(folder)) == before == state_seq(folder)
    assert verify(folder).problems == []


def test_an_event_of_a_newer_cockpit_is_named_and_repair_cuts_nothing(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(all_events(folder))
    monkeypatch.setattr("cockpit.session.ledger.encode_event", lambda event: b'{"kind":"Dreamt","at":1.0}')
    ledger = Ledger.open(folder.ledger)
    ledger.append(said("of sheep"))
    ledger.close()
    (problem,) = verify(folder).problems
    assert problem.startswith(f"event {before + 1} cannot be read") and "from a newer cockpit" in problem
    with pytest.raises(LedgerError, match="upgrade, then repair"):
        repair(folder)
    assert not list(folder.root.glob("damaged-*"))


def inject_line(folder: SessionFolder) -> None:
    with folder.events.open("ab") as file:
        file.write(b"an injected line\n" * 100)


def replace_stream(folder: SessionFolder) -> None:
    spoiled = folder.root / "spoiled"
    spoiled.write_bytes(b"spoiled " * 1000)
    spoiled.rename(folder.events)


def replace_by_a_folder(folder: SessionFolder) -> None:
    folder.events.unlink()
    (folder.events / "within").mkdir(parents=True)


def swap_halves(folder: SessionFolder) -> None:
    """Change the middle of the file, whose size and inode stay, at a time that the clock of files tells apart."""
    whole, head = folder.events.read_bytes(), 20
    half = len(whole) // 2
    folder.events.write_bytes(whole[:head] + whole[half:] + whole[head:half])
    os.utime(folder.events, ns=(1, 1))


@pytest.mark.parametrize(
    "spoil", [inject_line, cut_frame, remove_stream, replace_stream, replace_by_a_folder, swap_halves]
)
def test_a_worker_that_runs_mends_its_stream_with_the_next_event(
    folder: SessionFolder, spoil: Callable[[SessionFolder], None]
) -> None:
    ledger = Ledger.open(folder.ledger)
    before = ledger.last_seq()
    spoil(folder)
    ledger.append(said("after it"))
    ledger.snapshot(ledger.state())
    assert state_seq(folder) == before + 1
    reader = LedgerReader(folder)
    assert len(reader.since(0)) == before + 1
    reader.close()
    ledger.close()
    assert verify(folder).problems == []


def test_a_snapshot_that_cannot_be_read_or_written_stops_no_one(folder: SessionFolder) -> None:
    before = len(all_events(folder))
    folder.snapshot.unlink()
    folder.snapshot.mkdir()
    ledger = Ledger.open(folder.ledger)
    assert ["cannot be read: Is a directory" in note for note in ledger.notes] == [True]
    assert any("cannot be read" in problem for problem in verify(folder).problems)
    ledger.snapshot(ledger.state())
    ledger.close()
    assert state_seq(folder) == before
    assert verify(folder).problems == [], "the next snapshot takes its place"


@pytest.mark.parametrize("lost", ["removed", "emptied"])
def test_a_ledger_that_is_lost_is_written_again_from_the_stream(folder: SessionFolder, lost: str) -> None:
    before = all_events(folder)
    folder.ledger.unlink()
    if lost == "emptied":
        folder.ledger.touch()
    with pytest.raises(LedgerError, match="`cockpit repair night` writes it again from events"):
        all_events(folder)
    assert any("ledger.db" in problem for problem in verify(folder).problems)
    assert repair(folder).events == len(before)
    assert all_events(folder) == before


FOREIGN = {
    "a trigger that drops events": "CREATE TRIGGER gone AFTER INSERT ON events BEGIN DELETE FROM events; END",
    "a trigger that refuses events": "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END",
    "a trigger of an odd name": 'CREATE TRIGGER "a ""b\n" BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END',
    "an index that refuses events": "CREATE UNIQUE INDEX one_a_time ON events (typeof(at))",
    "a view": "CREATE VIEW v AS SELECT * FROM missing",
}


@pytest.mark.parametrize("put", FOREIGN)
@pytest.mark.parametrize("repaired", [True, False])
def test_an_object_that_another_program_put_into_the_ledger_is_reported_and_removed(
    folder: SessionFolder, put: str, repaired: bool
) -> None:
    before = all_events(folder)
    with sqlite3.connect(folder.ledger) as db:
        db.execute("DELETE FROM events WHERE seq > 1" if "index" in put else "SELECT 1")
        db.execute(FOREIGN[put])
    db.close()
    assert any("another program put" in problem for problem in verify(folder).problems)
    if repaired:
        assert repair(folder).kept_in
        assert verify(folder).problems == []
    ledger = Ledger.open(folder.ledger)
    ledger.append(said("after"))
    ledger.close()
    assert all_events(folder)[: len(before)] == before
    assert texts(all_events(folder))[-1] == "after"
