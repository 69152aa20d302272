"""A glance at a session gives the status that the whole state gives."""

from itertools import islice
from pathlib import Path

import msgspec
import pytest

from benchmarks.ledger import night
from cockpit.cli.listing import print_list
from cockpit.core.events import Event
from cockpit.core.fold import fold_all
from cockpit.report.status import status
from cockpit.session import packed_state
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader


@pytest.mark.parametrize("after", [0, 1, 40, 700])
def test_the_status_of_a_glance_is_that_of_the_state(tmp_path: Path, after: int) -> None:
    folder = SessionFolder(tmp_path / "sessions" / "bench")
    events: list[Event] = list(night(200))
    ledger = Ledger.create(folder.ledger)
    snapshot_at = len(events) - after
    ledger.append(events[:snapshot_at])
    ledger.snapshot(fold_all(islice(night(200), snapshot_at)))
    ledger.append(events[snapshot_at:])
    ledger.close()
    reader = LedgerReader(folder)
    whole, glanced = reader.state(), reader.glance()
    reader.close()
    assert status(glanced, glanced.now, {}) == status(whole, whole.now, {})
    assert len(glanced.experiments) == len(whole.experiments) == 200
    assert dict(glanced.experiments.items()) == whole.experiments
    assert msgspec.msgpack.encode(glanced.attempts.values()) == msgspec.msgpack.encode(list(whole.attempts.values()))
    assert glanced.experiments.get("e9999") is None
    with pytest.raises(KeyError):
        glanced.attempts["e9999.1"]


def test_a_list_of_sessions_decodes_none_of_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SessionFolder(tmp_path / "sessions" / "bench")
    ledger = Ledger.create(folder.ledger)
    events: list[Event] = list(night(200))
    ledger.append(events)
    ledger.snapshot(fold_all(events))
    ledger.close()
    monkeypatch.setenv("COCKPIT_SESSIONS", str(folder.root.parent))
    for decoder in ("_experiment", "_attempt"):
        monkeypatch.setattr(packed_state, decoder, msgspec.msgpack.Decoder(int))
    print_list(as_json=False)
    assert "200 experiments" in capsys.readouterr().out
