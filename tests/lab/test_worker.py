"""The worker by the command line, on the real SkyPilot and a real Slurm. Minutes each; `pytest -m lab`."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.model import ClusterState, Outcome
from cockpit.decide.budget import accounts
from cockpit.session import lock, worker_process
from tests.lab.cluster import Lab
from tests.lab.fleets import TASK
from tests.lab.processes import PATIENCE
from tests.lab.sessions import LabSession

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400 * PATIENCE)]


@pytest.fixture
def session(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LabSession]:
    """A session that is not made yet, named after its test's first word."""
    made = LabSession(lab, tmp_path, f"night-{request.node.name.split('_')[2]}")
    yield made
    made.close()
    if left := lab.clusters():
        lab.sky("down", "--yes", *left)


def nothing_is_left(lab: Lab) -> None:
    assert lab.clusters() == []
    assert lab.jobs() == {}


@pytest.mark.lab_slow
def test_a_night_survives_five_kills_drains_and_leaves_nothing(session: LabSession, lab: Lab) -> None:
    session.new("--hardware", "H100:2,H200:1")
    session.wave(1, MATRIX_LR=[0.01, 0.02, 0.03, 0.035], DEPTH=[3, 5])  # none better: none repeated
    session.until(session.began, 900, "the first run")
    dice = random.Random(5)
    for _ in range(5):
        time.sleep(dice.uniform(0.5, 8.0))
        session.kill()
        worker_process.start(session.folder)
    session.kill()
    before = sum(session.ended().values())
    time.sleep(30)  # queued jobs run to their end without a worker
    worker_process.start(session.folder)
    session.until(lambda: not session.state.waiting and not session.state.in_flight, 900, "the wave to end")
    assert sum(session.ended().values()) > before
    state = session.state
    assert len(state.experiments) == 9
    assert all(experiment.scores for experiment in state.experiments.values()), "a result was lost"
    assert set(session.began().values()) == {1}, f"an attempt ran twice: {session.began()}"
    assert set(session.ended().values()) == {1}, "an attempt ended twice"
    assert set(session.began()) == {name for name, x in state.attempts.items() if x.outcome is Outcome.VALID}

    session.wave(2, SECONDS=[40, 41, 42])
    session.until(session.running, 300, "the second wave to run")
    running = session.running()
    done = session.cockpit("stop", session.name, "--drain", "--wait", "600")
    assert done.returncode == 0 and "its runs ended" in done.stdout, done.stdout + done.stderr
    state = session.state
    assert not state.in_flight
    assert {state.attempts[name].outcome for name in running} == {Outcome.VALID}, "draining lost a run"
    assert session.cockpit("down", session.name, "--cancel").returncode == 1, "it asks before it takes clusters down"
    done = session.cockpit("down", session.name, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no cluster of it is up" in done.stdout
    nothing_is_left(lab)


@pytest.mark.lab_slow
def test_a_session_whose_budget_is_spent_leaves_nothing(session: LabSession, lab: Lab) -> None:
    # 10 cents a second: a launch is some $8, a run $2 and $6 at most, and $18 are kept for the tear-down.
    (session.repo / "cockpit.toml").write_text("[usd_per_hour]\nH100 = 360.0\n")
    session.new("--hardware", "H100:1", "--budget", "45", "--time-limit", "60")
    session.wave(1, MATRIX_LR=[round(0.01 + 0.001 * i, 3) for i in range(24)])
    session.until(lambda: session.stopped_because(), 600, "the budget to be spent")
    session.until(lambda: session.states() == {"gpu-01": ClusterState.DOWN}, 300, "the cluster to be down")
    assert session.stopped_because() == ["the budget of $45.00 is spent"]
    assert accounts(session.state, time.time()).total_usd <= 45.0
    assert lock.worker_status(session.folder).state == "running", "a person may raise the budget"
    nothing_is_left(lab)


@pytest.mark.lab_slow
def test_a_fleet_without_room_for_four_clusters_works_with_the_others(session: LabSession, lab: Lab) -> None:
    # One H200 for five, and three launches at a time: those that wait would keep others from being launched.
    session.new("--hardware", "H200:5,H100:2")
    crowded = {"gpu-01", "gpu-02", "gpu-03", "gpu-04", "gpu-05"}
    session.until(
        lambda: session.up() >= {"gpu-06", "gpu-07"} and session.up() & crowded, 900, "what there is room for"
    )
    crowded -= session.up()
    session.wave(1, MATRIX_LR=[0.01, 0.02, 0.03, 0.035])
    session.until(lambda: not session.state.waiting and not session.state.in_flight, 600, "the wave to end")
    assert all(experiment.scores for experiment in session.state.experiments.values())
    session.until(
        lambda: any(c.refusals for c in session.state.clusters.values()), 300, "one to give way to the others"
    )
    state = session.state
    said = [message.text for message in state.messages if message.author in crowded]
    for name in crowded:
        cluster = state.clusters[name]
        assert cluster.state in (ClusterState.LAUNCHING, ClusterState.LOST), f"{name} is {cluster.state}"
        assert cluster.failures == 0
    assert any("waits in the cloud's queue for its H200 (" in text for text in said), said
    assert any("there is no room for gpu-0" in text for text in said), said
    assert len(said) <= 2 * len(crowded), "it is said again and again"
    done = session.cockpit("down", session.name, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    nothing_is_left(lab)


@pytest.mark.lab_slow
def test_a_cluster_launched_by_hand_is_adopted_and_another_sessions_is_not(session: LabSession, lab: Lab) -> None:
    by_hand = session.place / "by-hand.yaml"
    idle = TASK.replace("python prepare.py", "true").replace('"${COCKPIT_PYTHON:-python}" -u train.py', "true")
    by_hand.write_text(idle)
    lab.sky("launch", "--yes", "--cluster", "by-hand", "--gpus", "H100:1", "--detach-run", str(by_hand))
    theirs = by_hand.with_name("theirs.yaml")
    theirs.write_text(by_hand.read_text() + "envs:\n  COCKPIT_SESSION: theirs\n")
    lab.sky("launch", "--yes", "--cluster", "gpu-theirs", "--gpus", "H100:1", "--detach-run", str(theirs))

    session.new("--hardware", "H200:1")
    done = session.cockpit("adopt", "by-hand", "-s", session.name)
    assert done.returncode == 0 and "has taken over by-hand (H100)" in done.stdout, done.stdout + done.stderr
    done = session.cockpit("adopt", "gpu-theirs", "gpu-nowhere", "-s", session.name)
    assert done.returncode == 1
    assert "gpu-theirs is a cluster of session theirs" in done.stderr
    assert "there is no cluster gpu-nowhere to take over" in done.stderr
    session.wave(1, MATRIX_LR=[0.01, 0.02, 0.03, 0.035])
    session.until(lambda: not session.state.waiting and not session.state.in_flight, 900, "the wave to end")
    state = session.state
    assert {attempt.cluster for attempt in state.attempts.values()} >= {"by-hand"}
    assert all(experiment.scores for experiment in state.experiments.values())
    done = session.cockpit("down", session.name, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.clusters() == ["gpu-theirs"], "a cluster of another session was taken down"
