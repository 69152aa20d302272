"""The ledger keeps every event, for its worker and for readers, and reports each problem in one sentence."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import AskEnded, Ended, Event, Progressed, Said, Started, Submitting
from cockpit.core.fold import fold_all
from cockpit.core.model import Outcome, Progress
from cockpit.session import event_table, snapshot
from cockpit.session.event_stream import StreamWriter
from cockpit.session.event_table import SCHEMA
from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.repair import verify
from tests.core.histories import Histories
from tests.core.invariants import CREATED


def said(*texts: str) -> list[Event]:
    return [Said(at=float(number), author="me", text=text) for number, text in enumerate(texts)]


def texts(events: list[AnyEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, Said)]


def a_running_story() -> list[Event]:
    """Return the events of a session whose baseline runs on gpu-01."""
    history = Histories()
    history.create()
    history.tell(Submitting(at=history.now, attempt="e0000.1", cluster="gpu-01", hardware="H100"))
    history.tell(Started(at=history.now, attempt="e0000.1"))
    return history.story


def progressed(step: int) -> Progressed:
    return Progressed(at=CREATED + step, attempt="e0000.1", progress=Progress(CREATED + step, step, 0.1, 3.0))


# Reading


def test_appended_events_are_read_in_order_from_any_number(ledger: Ledger) -> None:
    ledger.append(said("a", "b"))
    ledger.append(said("c"))
    assert texts(ledger.since(0)) == ["a", "b", "c"]
    assert texts(ledger.since(2)) == ["c"]
    assert texts(ledger.since(0, most=1)) == ["a"]
    assert ledger.last_seq() == 3


def test_a_reader_beside_the_writer_sees_new_events_and_notices_them(ledger: Ledger, path: Path) -> None:
    reader = LedgerReader(SessionFolder(path.parent))
    ledger.append(said("a"))
    version = reader.version()
    assert texts(reader.since(0)) == ["a"]
    assert reader.version() == version
    ledger.append(said("b"))
    assert reader.version() != version
    assert texts(reader.since(1)) == ["b"]
    reader.close()


def test_appended_events_survive_a_kill(path: Path) -> None:
    script = f"""
        import os
        from pathlib import Path
        from cockpit.core.events import Said
        from cockpit.session.ledger import Ledger
        ledger = Ledger.create(Path({str(path)!r}))
        ledger.append([Said(at=1.0, author="me", text="about to")])
        os.kill(os.getpid(), 9)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)]).returncode == -9
    assert texts(Ledger.open(path).since(0)) == ["about to"]


def test_an_append_is_all_or_nothing(ledger: Ledger) -> None:
    bad = AskEnded(at=1.0, ask=1, proposer="grid", retry_at=float("inf"))
    with pytest.raises(ValueError, match="not finite"):
        ledger.append([*said("a"), bad])
    assert ledger.last_seq() == 0


def test_progress_is_replaced_and_removed_when_the_run_ends(ledger: Ledger) -> None:
    ledger.append(a_running_story())
    seq = ledger.last_seq()
    ledger.append([progressed(1), progressed(2)])
    ledger.append([progressed(3)])
    assert ledger.last_seq() == seq
    assert [event.progress.step for event in ledger.live()] == [3]
    progress = ledger.state().attempts["e0000.1"].progress
    assert progress is not None
    assert progress.step == 3
    ledger.append([Ended(at=CREATED + 900, attempt="e0000.1", outcome=Outcome.LOST)])
    assert ledger.live() == []


@pytest.mark.parametrize("failing", ["append", "is_as_written"])
def test_events_that_readers_missed_are_written_without_another_event(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fails(*given: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    ledger.append(said("first"))
    with monkeypatch.context() as patch:
        if failing == "append":
            patch.setattr(StreamWriter, "append", fails)
        else:
            patch.setattr(StreamWriter, "is_as_written", lambda stream: False)
            patch.setattr("cockpit.session.ledger.StreamWriter", fails)
        ledger.append(said("missed"))
        ledger.append(said("missed too"))
    reader = LedgerReader(SessionFolder(path.parent))
    assert texts(reader.since(0)) == ["first"]
    ledger.catch_up()
    assert texts(reader.since(0)) == ["first", "missed", "missed too"]
    reader.close()


def test_a_snapshot_and_later_events_give_the_same_state(ledger: Ledger) -> None:
    story = a_running_story()
    ledger.append(story[:4])
    ledger.snapshot(ledger.state())
    ledger.append(story[4:])
    expected = fold_all(ledger.since(0))
    ledger.close()
    folder = SessionFolder(ledger.path.parent)
    for opened in (Ledger.open(ledger.path), LedgerReader(folder)):
        with_snapshot = opened.state()
        assert with_snapshot.seq == len(story)
        assert with_snapshot == expected
        opened.close()
    folder.snapshot.unlink()
    assert LedgerReader(folder).state() == with_snapshot


def test_a_snapshot_of_another_format_is_replaced_by_a_fold(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.append(a_running_story())
    state = ledger.state()
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "STATE_FORMAT", snapshot.STATE_FORMAT + 1)
        ledger.snapshot(state)
    folder = SessionFolder(ledger.path.parent)
    assert snapshot.read_snapshot(folder.snapshot) is None
    assert LedgerReader(folder).state() == state


def test_a_reader_continues_after_the_stream_was_written_again(ledger: Ledger, path: Path) -> None:
    reader = LedgerReader(SessionFolder(path.parent))
    ledger.append(said("a", "b"))
    assert texts(reader.since(0)) == ["a", "b"]
    ledger.close()
    path.with_name("events.log").unlink()
    again = Ledger.open(path)
    again.append(said("c"))
    assert texts(reader.since(2)) == ["c"]
    again.close()
    reader.close()


# Permissions


def test_the_owner_writes_a_ledger_its_group_reads_it_and_others_do_not(ledger: Ledger, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name("events.log").stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o7777 == 0o2750


def test_only_the_owner_opens_the_inbox(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    inbox.open()
    assert (tmp_path / "inbox.db").stat().st_mode & 0o777 == 0o600
    assert [inbox.put("me", b"a"), inbox.put("you", b"b")] == [1, 2]
    assert inbox.after(0) == [(1, "me", b"a"), (2, "you", b"b")]
    assert inbox.after(1) == [(2, "you", b"b")]
    inbox.close()


# Problems


def test_creating_a_ledger_never_overwrites_one(ledger: Ledger, path: Path) -> None:
    ledger.append(said("a"))
    with pytest.raises((FileExistsError, LedgerError)):
        Ledger.create(path)
    assert texts(ledger.since(0)) == ["a"]


def test_a_missing_ledger_is_one_sentence_and_is_not_created(path: Path) -> None:
    for opened in (Ledger.open, lambda path: LedgerReader(SessionFolder(path.parent))):
        with pytest.raises(LedgerError, match="check that it exists"):
            opened(path)
    assert not path.exists()


def test_a_newer_ledger_asks_for_an_upgrade_and_stays_unchanged(ledger: Ledger, path: Path) -> None:
    ledger.append(said("a"))
    ledger.close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    db.commit()
    db.close()
    stream = path.with_name("events.log")
    stream.write_bytes(stream.read_bytes().replace(b"events 4", b"events 5", 1))
    before = path.read_bytes(), stream.read_bytes()
    for opened in (Ledger.open, lambda path: LedgerReader(SessionFolder(path.parent))):
        with pytest.raises(LedgerError, match=r"newer cockpit.* upgrade"):
            opened(path)
    assert (path.read_bytes(), stream.read_bytes()) == before


@pytest.mark.parametrize("body", [b"", b"no database\n" * 1000])
def test_another_file_is_refused_in_one_sentence(path: Path, body: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(body)
    for opened in (Ledger.open, lambda path: LedgerReader(SessionFolder(path.parent))):
        with pytest.raises(LedgerError, match=r"is not a cockpit ledger|is torn"):
            opened(path)
    assert path.read_bytes() == body


def test_a_torn_ledger_shows_how_to_repair_it(ledger: Ledger, path: Path) -> None:
    ledger.append(said(*("word " * 200 for _ in range(200))))
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LedgerError, match=r"is torn .*cockpit repair night"):
        Ledger.open(path).since(0)


def test_an_unknown_event_is_refused_in_one_sentence(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("cockpit.session.ledger.encode_event", lambda event: b'{"kind":"FromTheFuture","at":1.0}')
        ledger.append(said("a"))
    for opened in (ledger, LedgerReader(SessionFolder(ledger.path.parent))):
        with pytest.raises(LedgerError, match=r"an event this cockpit cannot read .* upgrade"):
            opened.state()


def test_a_limit_of_file_sizes_is_one_true_sentence_and_loses_nothing(path: Path) -> None:
    script = f"""
        import resource, signal
        from pathlib import Path
        from cockpit.core.events import Said
        from cockpit.session.ledger import Ledger
        from cockpit.session.ledger_errors import LedgerError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ledger = Ledger.create(Path({str(path)!r}))
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        kept = 0
        try:
            while True:
                ledger.append([Said(at=1.0, author="me", text="word " * 500)])
                kept += 1
        except LedgerError as error:
            print(kept, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ledger.append([Said(at=1.0, author="me", text="goes on")])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    kept, sentence = done.stdout.split(" ", 1)
    assert "(ulimit -f): raise that limit, then try again" in sentence
    found = texts(Ledger.open(path).since(0))
    assert len(found) == int(kept) + 1
    assert found[-1] == "goes on"


def can_mount(place: Path) -> bool:
    return (
        os.getuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place]).returncode == 0
    )


def test_a_full_file_system_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if shutil.which("mount") is None or not can_mount(place):
        pytest.skip("a small disk can be mounted by root only")
    try:
        ledger = Ledger.create(place / "night" / "ledger.db")
        kept = 0
        with pytest.raises(LedgerError, match="is full: free some space"):
            while kept < 10_000:
                ledger.append(said("word " * 500))
                kept += 1
        reader = LedgerReader(SessionFolder(place / "night"))
        assert len(texts(reader.since(0))) == kept
        reader.close()
        ledger.close()
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_compacted_ledger_is_small_and_reads_as_before(ledger: Ledger, path: Path) -> None:
    ledger.append(a_running_story())
    written = [f"the same words {number}" for number in range(2_345)]
    for text in written:
        ledger.append(said(text))
    last, link = ledger.last_seq(), ledger.last_link()
    ledger.compact(ledger.state())
    ledger.append(said("after it"))
    assert texts(ledger.since(0)) == [*written, "after it"]
    ledger.close()
    assert path.stat().st_size < 20 * len(written)
    again = Ledger.open(path)
    assert (again.notes, again.last_seq()) == ([], last + 1)
    assert texts(again.since(last - 1)) == [written[-1], "after it"]
    assert again._table.chain_at(last) == link
    again.compact(again.state())
    assert texts(again.since(0)) == [*written, "after it"]
    again.close()


@pytest.mark.parametrize("again_at_most", [20_000, 1_000])
def test_packs_of_a_session_that_ran_are_packed_again_unless_they_are_many(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch, again_at_most: int
) -> None:
    monkeypatch.setattr(event_table, "EVENTS_AT_REST", 2_500)
    monkeypatch.setattr(event_table, "PACKED_AGAIN", again_at_most)
    ledger.append(a_running_story())
    written = [f"words {number * 7919 % 10_007}" for number in range(7_200)]
    for first in range(0, len(written), 100):
        ledger.append(said(*written[first : first + 100]))
    in_use, rows = sizes_of_packs(path), ledger.last_seq()
    ledger.compact(ledger.state(), within_s=600.0)
    at_rest = sizes_of_packs(path)
    assert set(in_use) == {1_000} and sum(at_rest) == rows
    if again_at_most == 1_000:
        assert at_rest[: len(in_use)] == in_use
    else:
        assert at_rest == [2_000, 2_000, 2_500, rows - 6_500]
    ledger.compact(ledger.state(), within_s=600.0)
    assert sizes_of_packs(path) == at_rest
    assert texts(ledger.since(0)) == written and texts(ledger.since(rows - 2)) == written[-2:]
    ledger.close()
    assert verify(SessionFolder(path.parent)).problems == []


def sizes_of_packs(path: Path) -> list[int]:
    db = sqlite3.connect(path)
    found = [int(row[0]) for row in db.execute("SELECT events FROM packs ORDER BY last")]
    db.close()
    return found


def test_readers_of_a_session_that_comes_to_rest_read_on(ledger: Ledger, path: Path) -> None:
    """Let a session rest twice, with events before, between and after: its stream becomes small, and says the same."""
    folder = SessionFolder(path.parent)
    early = LedgerReader(folder)
    ledger.append(a_running_story())
    ledger.snapshot(ledger.state())
    for turn in range(3):
        for number in range(1_111):
            ledger.append(said(f"the same words {turn} {number}"))
        seen = early.last_seq()
        unpacked = folder.events.stat().st_size
        ledger.compact(ledger.state())
        assert folder.events.stat().st_size < unpacked - 1_000 * 33, "a header less for each frame"
        ledger.append(said("after it"))
        late = LedgerReader(folder)
        assert texts(early.since(seen)) == texts(late.since(seen)) == ["after it"]
        assert late.since(0) == ledger.since(0)
        assert late.state() == early.state() == ledger.state() and late.glance().seq == ledger.last_seq()
        late.close()
    early.close()
    ledger.close()
    again = Ledger.open(path)
    assert again.notes == []
    again.close()


def test_a_stream_that_cannot_be_written_again_stays_as_it_is(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SessionFolder(path.parent)
    ledger.append(a_running_story())
    for number in range(100):
        ledger.append(said(f"the same words {number}"))
    before = folder.events.read_bytes()

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    ledger.compact(ledger.state())
    assert folder.events.read_bytes() == before and folder.snapshot.exists()
    assert [file.name for file in folder.root.glob("*.partial")] == []
    ledger.append(said("after it"))
    reader = LedgerReader(folder)
    assert reader.since(0) == ledger.since(0)
    reader.close()


def test_a_worker_that_ends_spends_no_time_without_bound_on_a_small_stream(ledger: Ledger, path: Path) -> None:
    folder = SessionFolder(path.parent)
    ledger.append(a_running_story())
    for number in range(2_000):
        ledger.append(said(f"the same words {number}"))
    before = folder.events.read_bytes()
    ledger.compact(ledger.state(), within_s=0.0)
    assert folder.events.read_bytes() == before and folder.snapshot.exists()
    assert [file.name for file in folder.root.glob("*.partial")] == []
    ledger.append(said("after it"))
    reader = LedgerReader(folder)
    assert reader.since(0) == ledger.since(0) and reader.state() == ledger.state()
    reader.close()
