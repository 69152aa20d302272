"""The real kubectl on the stand-in of Kubernetes, without SkyPilot: what it is given there is what it expects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.kube.lab import KubeLab
from tests.lab.processes import LabError
from tests.worker.sessions import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


class Pods:
    """Pods of one H200 each that wait until they are ended."""

    def __init__(self, plane: KubeLab, folder: Path) -> None:
        self.plane, self._folder = plane, folder
        self.names: list[str] = []

    def create(self, name: str) -> None:
        container = {
            "name": "main",
            "command": ["sh", "-c", "echo up; trap exit TERM; while :; do sleep 0.1; done"],
            "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"cpu": 2}},
        }
        spec = {"containers": [container], "nodeSelector": {"skypilot.co/accelerator": "h200"}}
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
        self.plane.kubectl("create", "--validate=false", "-f", str(path))
        self.names.append(name)

    def wait(self, name: str, condition: str) -> None:
        self.plane.kubectl("wait", f"--for={condition}", f"pod/{name}", "--timeout=120s", timeout_s=180)

    def sh(self, name: str, script: str) -> str:
        return self.plane.kubectl("exec", name, "--", "sh", "-c", script)


@pytest.fixture
def pods(plane: KubeLab, tmp_path: Path) -> Iterator[Pods]:
    made = Pods(plane, tmp_path)
    yield made
    for name in made.names:
        plane.kubectl("delete", "pod", name, "--ignore-not-found")
    assert plane.pods() == {}


def test_exec_runs_in_the_pods_own_namespaces_and_gives_its_exit_code(pods: Pods) -> None:
    pods.create("one")
    pods.wait("one", "condition=Ready")
    assert pods.sh("one", "hostname; pwd") == "one\n/podhome\n"
    assert pods.sh("one", "touch /usr/mine; ls /usr/mine") == "/usr/mine\n"
    assert not Path("/usr/mine").exists(), "a pod's root is a copy"
    with pytest.raises(LabError, match="failed with 7"):
        pods.sh("one", "exit 7")
    assert pods.plane.kubectl("logs", "one") == "up\n"
    pod = json.loads(pods.plane.kubectl("get", "pod", "one", "-o", "json"))
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "2"}, "a quantity is text"


def test_a_full_class_leaves_a_pod_pending_until_one_is_deleted(pods: Pods) -> None:
    for name in ("one", "two", "three", "four"):
        pods.create(name)
    reason = "{.status.conditions[0].message}"
    # A pod has no condition until the scheduler has seen it, and `kubectl wait` refuses an index into nothing.
    reasons = ("get", "pod", "four", "-o", "jsonpath={.status.conditions[*].reason}")
    wait_for(lambda: "Unschedulable" in pods.plane.kubectl(*reasons), 120, "the scheduler to see the pod")
    said = pods.plane.kubectl("get", "pod", "four", "-o", f"jsonpath={reason}")
    assert said.startswith("0/17 nodes are available: 3 Insufficient nvidia.com/gpu, 14 node(s) didn't match")
    pods.plane.kubectl("delete", "pod", "one")
    pods.wait("four", "condition=Ready")


def test_an_evicted_pod_is_failed_and_takes_no_command(pods: Pods) -> None:
    pods.create("one")
    pods.wait("one", "condition=Ready")
    pods.plane.evict("one")
    assert (
        pods.plane.kubectl("get", "pod", "one", "-o", "jsonpath={.status.phase} {.status.reason}") == "Failed Evicted"
    )
    with pytest.raises(LabError, match="completed pod; current phase is Failed"):
        pods.sh("one", "true")


def test_a_dead_node_loses_its_pods_and_takes_new_ones_once_it_is_back(pods: Pods) -> None:
    pods.create("one")
    pods.wait("one", "condition=Ready")
    node = pods.plane.pods()["one"]
    pods.plane.kill_node(node)
    with pytest.raises(LabError):
        pods.sh("one", "true")
    wait_for(lambda: "deletionTimestamp" in pods.plane.kubectl("get", "pod", "one", "-o", "yaml"), 120, "its deletion")
    with pytest.raises(LabError, match='object is being deleted: pods "one" already exists'):
        pods.create("one")
    pods.plane.kubectl("delete", "pod", "one", "--force")
    pods.wait("one", "delete")
    pods.plane.revive_node(node)
    pods.create("two")
    pods.wait("two", "condition=Ready")
    assert pods.plane.pods() == {"two": node}
