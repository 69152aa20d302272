"""Sessions on the real SkyPilot and kubectl, on a stand-in of Kubernetes. Minutes each; `pytest -m lab`."""

from __future__ import annotations

import json

import pytest

from cockpit.core.model import Outcome
from tests.lab.kube.lab import KubeLab
from tests.lab.processes import PATIENCE
from tests.lab.sessions import LabSession

pytestmark = [pytest.mark.lab, pytest.mark.lab_slow, pytest.mark.timeout(2400 * PATIENCE)]


def test_the_doctor_shows_what_is_free(session: LabSession) -> None:
    done = session.cockpit("doctor", "--fleet", "sky", "--json")
    found = {finding["about"]: finding for finding in json.loads(done.stdout)}
    assert {about for about in ("task", "set-up", "infra", "clusters", "room") if found[about]["ok"]} == {
        "task", "set-up", "infra", "clusters", "room",
    }, found  # fmt: skip
    assert found["room"]["said"] == "13 of 13 H100 of Kubernetes are free; 3 of 3 H200 of Kubernetes are free"


def test_a_session_scores_experiments_and_leaves_no_pod(session: LabSession, kube: KubeLab) -> None:
    session.new("--hardware", "H100:1")
    session.wave(1, MATRIX_LR=[0.01, 0.02])
    session.until(lambda: len(session.ended()) == 3, 1500, "the baseline and the wave to end")
    state = session.state
    assert {attempt.wall for attempt in state.attempts.values()} <= {"bubblewrap", "landlock"}
    assert all(experiment.scores for experiment in state.experiments.values())
    assert {attempt.outcome for attempt in state.attempts.values()} == {Outcome.VALID}
    pods = [pod for pod in kube.pods() if state.session.id in pod]
    assert len(pods) == 1 and kube.pods()[pods[0]].startswith("h100-")
    done = session.cockpit("down", session.name, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    session.until(lambda: not set(pods) & set(kube.pods()), 240, "the pod to go, which SkyPilot does not wait for")
    assert not [name for name in kube.clusters() if state.session.id in name]
