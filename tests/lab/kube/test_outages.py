"""Outages under a running experiment, on the real SkyPilot and kubectl. Minutes each; `pytest -m lab`.

One session and its one cluster serve all scenarios: each of them costs the cluster's pod, and the next begins on the
pod that was launched in its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from cockpit.core.model import Attempt, Outcome
from tests.lab.kube.conftest import INFRA
from tests.lab.kube.lab import KubeLab
from tests.lab.processes import PATIENCE
from tests.lab.sessions import LabSession

pytestmark = [pytest.mark.lab, pytest.mark.lab_slow, pytest.mark.timeout(2400 * PATIENCE)]


FIRST_S, RETRY_S = 3000, 5
"""Seconds of an experiment's first run, which an outage ends, and of its retry; `sky down` may take minutes."""


LAUNCHES = ("there is no", "gpu-01 cannot be had now")
"""Words of a launch that is asked for again, as while the pod of its name still goes: that is not an outage."""


class Victim:
    """A session with one H100 cluster. The first run of an experiment is long, so that an outage finds it, its retry
    short. Its arms are worse than the baseline, so that none is repeated."""

    def __init__(self, session: LabSession, kube: KubeLab) -> None:
        self.session, self.kube = session, kube
        self._waves = itertools.count(1)
        self._outages = 0

    def runs(self) -> tuple[str, str]:
        """Have an experiment run. Returns its attempt and its pod."""
        number = next(self._waves)
        self.session.wave(number, SECONDS=[FIRST_S + number], MATRIX_LR=[0.01])
        self.session.until(lambda: not self.session.state.waiting and self.session.running(), 1200, "a run")
        self._outages = len(self.session.outages())
        return self.session.running()[0], self.kube.pod_of(self.cluster)

    @property
    def cluster(self) -> str:
        """The name of its cluster in SkyPilot, where other sessions may have theirs."""
        return f"gpu-01-{self.session.state.session.id}"

    def lost(self, attempt: str) -> tuple[Attempt, str]:
        """Wait until the attempt has ended and its experiment has a result of another one. Returns the attempt, and
        what was said of the one outage."""
        session = self.session
        session.until(lambda: session.state.attempts[attempt].outcome, 600, "the run to be lost")
        experiment = attempt.partition(".")[0]
        session.until(lambda: session.state.experiments[experiment].scores, 1200, "the retry's result")
        later = session.outages()[self._outages :]
        outages = [event for event in later if not event.message.startswith(LAUNCHES)]
        assert len(outages) == 1, outages
        return session.state.attempts[attempt], outages[0].message


@pytest.fixture(scope="module")
def victim(kube: KubeLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    session = LabSession(
        kube, tmp_path_factory.mktemp("kube"), "kube-outages", seconds=RETRY_S, infra=INFRA, again=RETRY_S
    )
    session.new("--hardware", "H100:1", "--time-limit", "3600")
    session.until(lambda: not session.state.in_flight and session.up(), 1200, "the baseline")
    yield Victim(session, kube)
    done = session.cockpit("down", session.name, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    own = session.state.session.id
    session.until(lambda: not [pod for pod in kube.pods() if own in pod], 240, "the pods to go")
    session.close()
    assert not [name for name in kube.clusters() if own in name]


def test_a_deleted_pod_loses_its_run_once_and_is_launched_again(victim: Victim) -> None:
    attempt, pod = victim.runs()
    victim.kube.kubectl("delete", "pod", pod)
    lost, said = victim.lost(attempt)
    assert lost.outcome is Outcome.LOST and not lost.preempted
    # SkyPilot drops the record of a cluster whose pod is gone, often before Cockpit asks.
    assert said.startswith(("gpu-01 went down", "gpu-01 was taken down outside Cockpit"))


def test_an_evicted_pod_is_preempted_and_no_failure_of_the_cluster(victim: Victim) -> None:
    attempt, pod = victim.runs()
    victim.kube.evict(pod)
    lost, said = victim.lost(attempt)
    assert lost.outcome is Outcome.LOST and lost.preempted
    assert "gpu-01 was evicted" in said and "ephemeral-storage" in said


def test_a_node_that_dies_loses_its_run_once_and_another_one_serves(victim: Victim) -> None:
    attempt, pod = victim.runs()
    node = victim.kube.pods()[pod]
    victim.kube.kill_node(node)
    try:
        lost, _ = victim.lost(attempt)
        assert lost.outcome is Outcome.LOST
        assert victim.kube.pods()[victim.kube.pod_of(victim.cluster)] != node
    finally:
        victim.kube.revive_node(node)


def test_a_cluster_taken_down_by_hand_is_said_with_what_keeps_it_down(victim: Victim) -> None:
    attempt, _ = victim.runs()
    victim.kube.sky("down", "--yes", victim.cluster)
    lost, said = victim.lost(attempt)
    assert lost.outcome is Outcome.LOST
    kept = "gpu-01 was taken down outside Cockpit, and is launched again: `cockpit hold gpu-01` keeps it down"
    assert said.startswith(f"{kept}; {attempt} loses "), said


def test_a_full_cluster_is_asked_for_again_and_serves_once_there_is_room(victim: Victim) -> None:
    attempt, pod = victim.runs()
    kube = victim.kube
    nodes = [node for node in kube.nodes() if node.startswith("h100")]
    kube.cordon(*nodes)
    try:
        kube.kubectl("delete", "pod", pod)
        session = victim.session
        session.until(lambda: any(event.refused for event in session.outages()[-1:]), 900, "no room")
        said = session.outages()[-1].message
        assert "gpu-01 cannot be had now" in said, said
        assert session.state.clusters["gpu-01"].failures == 1, "the deleted pod's"
    finally:
        kube.uncordon(*nodes)
    session.until(lambda: session.state.experiments[attempt.partition(".")[0]].scores, 1500, "the retry's result")
