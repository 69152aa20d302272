"""Files of another session in a session's folder: none of its events or states is taken for this session's."""

import shutil
from pathlib import Path

import pytest

from cockpit.core.events import Said
from cockpit.session import repair
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.snapshot_process import write_at
from tests.core.histories import Histories
from tests.faults.checks import a_fold_from_nothing_is_the_state

SHORT, LONG = 5, 400


def session_of(place: Path, events: int) -> SessionFolder:
    """Make a session, whose snapshot stands in the middle of its events."""
    folder = SessionFolder(place / "sessions" / "night")
    ledger = Ledger.create(folder.ledger)
    history = Histories()
    history.create()
    ledger.append(history.story)
    for first in (0, events // 2):
        ledger.append([Said(at=1.0, author="ann", text=f"{place.name} {n}") for n in range(first, first + events // 2)])
        if not first:
            ledger.snapshot(ledger.state())
    ledger.close()
    return folder


@pytest.fixture(params=[(SHORT, LONG), (LONG, SHORT)], ids=["longer", "shorter"])
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[SessionFolder, SessionFolder]:
    """Return a session, and another one that is longer or shorter."""
    mine, theirs = request.param
    return session_of(tmp_path / "mine", mine), session_of(tmp_path / "theirs", theirs)


def texts(folder: SessionFolder) -> list[str]:
    reader = LedgerReader(folder)
    try:
        return [event.text for event in reader.since(0) if isinstance(event, Said)]
    finally:
        reader.close()


def test_a_snapshot_of_another_session_is_not_read(pair: tuple[SessionFolder, SessionFolder]) -> None:
    mine, theirs = pair
    before = texts(mine)
    shutil.copyfile(theirs.snapshot, mine.snapshot)
    reader = LedgerReader(mine)
    for state in (reader.state(), reader.glance()):
        assert [message.text for message in state.messages] == before
    reader.close()
    a_fold_from_nothing_is_the_state(mine)


def test_a_snapshot_is_packed_over_one_of_another_session(pair: tuple[SessionFolder, SessionFolder]) -> None:
    mine, theirs = pair
    ledger = Ledger.open(mine.ledger)
    place = ledger._stream.start_segment()
    shutil.copyfile(theirs.snapshot, mine.snapshot)
    write_at(mine, place, 0)
    ledger.close()
    a_fold_from_nothing_is_the_state(mine)


def test_a_stream_of_another_session_is_moved_away_and_written_again(
    pair: tuple[SessionFolder, SessionFolder],
) -> None:
    mine, theirs = pair
    before, other = texts(mine), theirs.events.read_bytes()
    shutil.copyfile(theirs.events, mine.events)
    assert any("holds other events" in problem for problem in repair.verify(mine).problems)
    ledger = Ledger.open(mine.ledger)
    note = ledger.notes[-1]
    ledger.close()
    [aside] = mine.root.glob("events.log.moved-*")
    assert aside.read_bytes() == other and aside.name in note
    assert texts(mine) == before
    a_fold_from_nothing_is_the_state(mine)


def test_a_repair_takes_no_events_of_another_session(pair: tuple[SessionFolder, SessionFolder]) -> None:
    mine, theirs = pair
    before, count = texts(mine), repair.verify(mine).events
    shutil.copyfile(theirs.events, mine.events)
    report = repair.repair(mine)
    assert (report.events, report.lost) == (count, 0)
    assert texts(mine) == before
    assert repair.verify(mine).problems == []
