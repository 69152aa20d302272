"""A ledger that an older cockpit wrote opens, and its state is the one that the older cockpit had.

`data/ledger_2026_11.db` is a simulated session of November 2026, from before events and state had their present names.
Its snapshot has an older format. The JSON file beside it holds the facts of the state in that cockpit.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cockpit.core.cluster_events import ClusterFlagged
from cockpit.core.event_codec import decode_event
from cockpit.core.events import EarlyStopSkipped, SessionEnding, WorkerStarted
from cockpit.core.fold import fold, fold_all
from cockpit.core.model import EndMode
from cockpit.core.state import State
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader

DATA = Path(__file__).parent / "data"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(DATA / "ledger_2026_11.db", tmp_path / "ledger.db"))


def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "ledger_2026_11.json").read_text())
    return found


def facts_of(state: State) -> dict[str, Any]:
    """Return the same facts of a state."""
    return {
        "seq": state.seq,
        "now": state.now,
        "mode": state.mode,
        "ending": f"{state.ending}{'+down' if state.clusters_down else ''}",
        "end_reason": state.end_reason,
        "incumbent": state.incumbent,
        "status_counts": state.status_counts,
        "outcome_counts": state.outcome_counts,
        "flagged": state.flagged,
        "early_stop_skipped": [one.id for one in state.attempts.values() if one.skipped_stop],
        "scores": {one.id: one.scores for one in state.experiments.values() if one.scores},
        "clusters": {cluster.name: cluster.state for cluster in state.clusters.values()},
        "gpu_hours": state.spend.gpu_hours,
        "worker_running": state.worker_running,
        "words_unanswered": state.words_unanswered,
        "waves_finished": state.waves_finished,
        "messages": len(state.messages),
    }


def test_an_old_ledger_opens_with_its_old_state(path: Path) -> None:
    ledger = Ledger.open(path)
    assert facts_of(ledger.state()) == facts()
    assert facts_of(fold_all(ledger.since(0))) == facts()
    ledger.close()


def test_a_watcher_reads_an_old_ledger_and_a_worker_continues_it(path: Path) -> None:
    reader = LedgerReader(SessionFolder(path.parent))
    state = reader.state()
    reader.close()
    ledger = Ledger.open(path)
    again = WorkerStarted(at=state.now, pid=2, host="lab")
    ledger.append([again])
    ledger.snapshot(fold(state, again))
    assert ledger.state().seq == facts()["seq"] + 1
    assert ledger.state().ending is None, "its worker had stopped, so this one reopens the session"
    ledger.close()


@pytest.mark.parametrize(
    ("how", "mode", "clusters_down"),
    [("drain", EndMode.DRAIN, False), ("cancel", EndMode.CANCEL, False), ("drain+down", EndMode.DRAIN, True),
     ("cancel+down", EndMode.CANCEL, True)],
)  # fmt: skip
def test_an_old_end_decodes_to_a_typed_end(how: str, mode: EndMode, clusters_down: bool) -> None:
    body = json.dumps({"kind": "Ending", "at": 1.0, "author": "ann", "how": how, "reason": "enough"})
    ending = SessionEnding(at=1.0, author="ann", how=mode, clusters_down=clusters_down, reason="enough")
    assert decode_event(body) == ending


def test_renamed_events_keep_their_stored_names() -> None:
    flagged = '{"kind": "ClusterSuspect", "at": 1.0, "cluster": "gpu-01", "message": "it is back", "suspect": false}'
    assert decode_event(flagged) == ClusterFlagged(at=1.0, cluster="gpu-01", message="it is back", flagged=False)
    skipped = '{"kind": "Spared", "at": 1.0, "attempt": "e0001.1", "bar": 0.9, "reason": "so"}'
    assert decode_event(skipped) == EarlyStopSkipped(at=1.0, attempt="e0001.1", bar=0.9, reason="so")
