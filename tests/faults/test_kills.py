"""A short set of the kills by count; `python -m tests.faults.kills` makes all of them."""

from pathlib import Path

import pytest

from cockpit.core.events import Ended, Said, Started
from cockpit.core.model import Outcome
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from tests.faults.checks import (
    a_fold_from_nothing_is_the_state,
    every_start_has_one_end,
    nothing_counted_twice,
    numbered_bodies,
)
from tests.faults.runs import kill_in_a_process
from tests.worker.sessions import sim_session


@pytest.mark.timeout(240)
def test_a_simulated_night_survives_kills_at_points_by_count() -> None:
    said = kill_in_a_process("--simulated", "16", "--local", "0")
    assert said.startswith("simulated: 16 kills in ") and said.endswith("nothing lost, nothing twice\n")


@pytest.mark.timeout(240)
def test_real_runs_survive_kills_at_points_by_count() -> None:
    said = kill_in_a_process("--simulated", "0", "--local", "4")
    assert said.startswith("local: 4 kills in 1 sessions of ")


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return sim_session(tmp_path, speed=1.0, clusters=1)


def test_the_checks_find_a_second_end_and_a_missing_one(folder: SessionFolder) -> None:
    nothing_counted_twice(folder)
    ledger = Ledger.open(folder.ledger)
    state = ledger.state()
    ledger.append([Started(at=state.now, attempt="e0000.1")])
    ledger.close()
    with pytest.raises(AssertionError, match="without an end"):
        every_start_has_one_end(folder)
    ledger = Ledger.open(folder.ledger)
    ledger.append([Ended(at=state.now, attempt="e0000.1", outcome=Outcome.CRASH)] * 2)
    ledger.close()
    with pytest.raises(AssertionError, match="ended twice"):
        nothing_counted_twice(folder)


def test_the_checks_find_a_snapshot_of_another_state(folder: SessionFolder) -> None:
    a_fold_from_nothing_is_the_state(folder)
    ledger = Ledger.open(folder.ledger)
    state = ledger.state()
    state.phase = "never said"
    ledger.snapshot(state)
    ledger.close()
    with pytest.raises(AssertionError, match="another one"):
        a_fold_from_nothing_is_the_state(folder)


def test_the_checks_read_packed_events_too(folder: SessionFolder) -> None:
    ledger = Ledger.open(folder.ledger)
    first = ledger.last_seq()
    for _ in range(7):
        ledger.append([Said(at=1.0, author="ann", text="so far so good")] * 1_000)
    ledger.close()
    assert len(numbered_bodies(folder.ledger)) == first + 7_000
    nothing_counted_twice(folder)
