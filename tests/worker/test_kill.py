"""After a kill at any moment a restart finds everything again: nothing lost, nothing run or counted twice."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from cockpit.core.events import Ended
from cockpit.core.intents import Approve, Draft, End, Propose, encode_intent
from cockpit.core.model import AttemptStatus, EndMode, Outcome
from cockpit.fleet.sim.fleet import open_sim
from cockpit.session import lock, worker_process
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.worker.sessions import kill, local_session, session_of, sim_session, state_of, wait_for


def approve(folder: SessionFolder, draft: Draft) -> None:
    """Leave a wave and its approval in the inbox."""
    inbox = Inbox(folder.inbox)
    inbox.put("tester", encode_intent(Propose(draft)))
    inbox.put("tester", encode_intent(Approve("w001")))
    inbox.close()


def ended_once(folder: SessionFolder) -> None:
    ledger = LedgerReader(folder)
    ended = Counter(event.attempt for event in ledger.since(0) if isinstance(event, Ended))
    ledger.close()
    assert set(ended.values()) <= {1}, "an attempt ended twice"


def nothing_to_run(folder: SessionFolder) -> bool:
    """Look at one state: between two, a run in flight may go back to waiting."""
    state = state_of(folder)
    return not state.waiting and not state.in_flight


@pytest.mark.timeout(240)
def test_a_simulated_night_survives_25_kills(tmp_path: Path) -> None:
    folder = sim_session(tmp_path, speed=200.0, mode="manual")
    approve(folder, Draft("human", "how wide?", factors={"ASPECT_RATIO": [*range(40, 120, 2)], "DEPTH": [7, 8, 9]}))
    dice = random.Random(7)
    for _ in range(25):
        worker_process.start(folder)
        time.sleep(dice.uniform(0.0, 1.2))
        kill(folder)
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).outcome_counts.get(Outcome.VALID, 0) > 10, 90, "the night to do some work")
    Inbox(folder.inbox).put("tester", encode_intent(End(EndMode.DRAIN)))
    wait_for(lambda: lock.worker_status(folder).state == "stopped", 60, "the session to drain")

    state = state_of(folder)
    assert not state.in_flight
    ended_once(folder)
    world, _ = open_sim(session_of(folder).fleet, folder.sim_world, state.session.created_at)
    starts = world.starts()
    world.close()
    assert max(starts.values()) == 1, "a job was started twice"
    known = {name for name, attempt in state.attempts.items() if attempt.started_at}
    assert {name for name, count in starts.items() if count} <= known | {
        name for name, attempt in state.attempts.items() if attempt.status is AttemptStatus.ENDED
    }, "a job ran that the ledger knows nothing of"


@pytest.mark.timeout(120)
def test_real_runs_survive_5_kills(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=2, confine=False, mode="manual", early_stopping=False)
    approve(folder, Draft("human", "does it matter?", factors={"MATRIX_LR": [0.01, 0.02, 0.03, 0.05], "DEPTH": [3, 5]}))
    dice = random.Random(3)
    for _ in range(5):
        worker_process.start(folder)
        time.sleep(dice.uniform(0.2, 1.5))
        kill(folder)
    worker_process.start(folder)
    try:
        wait_for(lambda: nothing_to_run(folder), 60, "all runs to end")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    runs = Counter((tmp_path / "runs.txt").read_text().split())
    assert set(runs.values()) == {1}, f"an attempt ran twice: {runs}"
    valid = {name for name, attempt in state.attempts.items() if attempt.outcome is Outcome.VALID}
    # A result may have asked for one more run of the baseline just before the worker was told to stop.
    rest = {name: (one.outcome, one.message) for name, one in state.attempts.items() if name not in valid}
    assert valid <= set(runs) <= valid | set(state.in_flight), f"runs without a result: {rest}"
    assert len(state.experiments) == 9
    assert all(experiment.scores for experiment in state.experiments.values())
    ended_once(folder)
