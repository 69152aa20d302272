"""The snapshot of a large session is written by another process, from the session's files and without its worker."""

import os
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from cockpit.core.fold import fold_all
from cockpit.session import ledger as ledgers
from cockpit.session import packed_state, snapshot
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.snapshot_process import write_at
from tests.session.test_ledger import a_running_story, said


def test_a_large_state_is_packed_by_another_process(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SessionFolder(path.parent)
    monkeypatch.setattr(ledgers, "PACKED_IN_A_TICK", 0)
    ledger.append(a_running_story())
    state = ledger.state()
    with monkeypatch.context() as patch:
        patch.delattr(packed_state, "pack")
        for number in range(2):  # the second continues from the first
            ledger.append(said(f"before it {number}"))
            state = fold_all(ledger.since(state.seq), state)
            ledger.begin_snapshot(state)
            ledger.append(said("meanwhile"))
            assert ledger._snapshot_process.wait() == 0
            found = snapshot.read_snapshot(folder.snapshot)
            assert found is not None and found.state() == fold_all(ledger.since(0, state.seq))
            state = fold_all(ledger.since(state.seq), state)
    reader = LedgerReader(folder)
    assert reader.state() == ledger.state() == state
    reader.close()
    ledger.close()
    again = Ledger.open(path)
    assert again.notes == [] and again.state() == state
    again.close()


@pytest.mark.parametrize("wanted", [True, False])
def test_a_snapshot_for_a_worker_that_has_ended_is_left_to_the_next(
    ledger: Ledger, path: Path, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SessionFolder(path.parent)
    ledger.append(a_running_story())
    place = ledger._stream.start_segment()
    write_at(folder, place, os.getppid() if wanted else -1)
    assert folder.snapshot.exists() == wanted
    assert [file.name for file in folder.root.glob("*.partial")] == []


def test_a_snapshot_of_another_stream_is_not_written(ledger: Ledger, path: Path) -> None:
    folder = SessionFolder(path.parent)
    ledger.append(a_running_story())
    place = ledger._stream.start_segment()
    for other in (replace(place, seq=place.seq - 1), replace(place, chain=bytes(16)), replace(place, offset=0)):
        with pytest.raises(ValueError, match="has no frame that ends at event"):
            write_at(folder, other, os.getppid())
    assert not folder.snapshot.exists()


def test_a_worker_that_ends_leaves_no_process_that_packs(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "PACKED_IN_A_TICK", 0)
    ledger.append(a_running_story())
    others = set(psutil.Process().children())
    ledger.begin_snapshot(ledger.state())
    ledger.close()
    assert [file.name for file in path.parent.glob("*.partial")] == []
    assert set(psutil.Process().children()) <= others
