"""A class is one kind of node: a part of a GPU, or another number of GPUs, is other hardware."""

from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")


from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import ClusterReady
from cockpit.fleet.sky.classes import class_of
from cockpit.fleet.sky.parts import LaunchOrder, TaskNews
from cockpit.fleet.sky.task_file import TaskReading, describe, numbers_in
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight, client_of, quick

pytestmark = pytest.mark.timeout(120)
BOTH = "resources: {any_of: [{accelerators: 'A10:0.167'}, {accelerators: A10}, {accelerators: 'A10:2'}]}\nrun: x\n"


def reading(folder: Path, accelerators: str) -> TaskReading:
    (folder / "experiment.yaml").write_text(f"run: x\nresources: {{accelerators: {accelerators}}}\n")
    return describe(folder / "experiment.yaml")


@pytest.mark.parametrize(
    ("accelerators", "gpus"),
    [
        ("H100", {"H100": 1}),
        ("H100:8", {"H100": 8}),
        ("[H100, 'A100:2']", {"H100": 1, "A100": 2}),
        ("['H100:8', 'H100:1']", {"H100:8": 8, "H100:1": 1}),
        ("{L4:4, H100: 1, A100:2}", {"L4": 4, "H100": 1, "A100": 2}),
        ("['H100:1', 'H100:8', 'H200:8']", {"H100:1": 1, "H100:8": 8, "H200": 8}),
        ("'A10:0.167'", {"A10:0.167": 1}),
        ("['A10:0.167', A10]", {"A10:0.167": 1, "A10:1": 1}),
        ("'A10:0.5'", {"A10:0.5": 1}),
        ("'A100-80GB:0.5'", {"A100-80GB:0.5": 1}),
        ("{A100-80GB: 1, A100: 1}", {"A100-80GB": 1, "A100": 1}),
        ("tpu-v5litepod-8", {"tpu-v5litepod-8": 1}),
        ("['tpu-v5litepod-8', 'tpu-v5litepod-4']", {"tpu-v5litepod-8": 1, "tpu-v5litepod-4": 1}),
        ("tpu-v5e-8", {"tpu-v5e-8": 1}),
        ("A100-SXM4-40GB-MIG-1G.5GB", {"A100-SXM4-40GB-MIG-1G.5GB": 1}),
    ],
)
def test_each_kind_of_node_is_a_class(tmp_path: Path, accelerators: str, gpus: dict[str, int]) -> None:
    found = reading(tmp_path, accelerators)
    assert list(found.gpus.items()) == list(gpus.items()), "in the order of the file"


@pytest.mark.parametrize(
    ("has", "name"),
    [
        ({}, "CPU"),
        ({"H100": 1}, "H100:1"),
        ({"H100": 8.0}, "H100"),
        ({"H100": 0.5}, "H100:0.5"),
        ({"H200": 4}, "H200"),
        ({"tpu-v5litepod-8": 1}, "tpu-v5litepod-8"),
    ],
)
def test_a_cluster_that_the_task_does_not_describe_is_compared_with_its_like_alone(
    has: dict[str, float], name: str
) -> None:
    assert class_of(has, {"H100": {8}}) == name, "an adopted one may have any number"


def test_a_part_of_a_gpu_and_the_gpu_come_up_as_two_classes_at_their_own_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    cloud = FakeCloud()
    kinds = ("A10:0.167", "A10:1", "A10:2")
    clusters = [ClusterSpec(f"gpu-0{number}", kind) for number, kind in enumerate(kinds, 1)]
    night = FakeNight(tmp_path, cloud, *clusters, task=BOTH, prices={"A10": 0.6})
    night.up("gpu-01", "gpu-02", "gpu-03")
    ready = sorted(night.of(ClusterReady), key=lambda one: one.cluster)
    night.close()
    assert [(one.hardware, one.gpus) for one in ready] == [("A10:0.167", 1), ("A10:1", 1), ("A10:2", 2)]
    assert [one.usd_per_hour for one in ready] == pytest.approx([0.1002, 0.6, 1.2])


def test_a_price_is_that_of_one_gpu_and_a_cluster_pays_for_all(tmp_path: Path) -> None:
    text = "num_nodes: 2\nresources: {accelerators: H100:8}\nrun: x\n"
    cloud = FakeCloud()
    client = client_of(tmp_path, cloud, text, prices={"H100": 2.0})
    client.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    record = client.clusters(["gpu-01-s1"])["gpu-01-s1"]
    assert (record.hardware, record.gpus, record.usd_per_hour) == ("H100", 16, 32.0)


def launched(cloud: FakeCloud) -> list[list[dict[str, float]]]:
    return [[dict(one.accelerators) for one in resources] for _, resources, _ in cloud.launches]


@pytest.mark.parametrize(
    ("hardware", "wanted"),
    [
        ("A10:0.167", [{"A10": 0.167}]),
        ("a10:2", [{"A10": 2}]),
        ("A10", [{"A10": 0.167}, {"A10": 1}, {"A10": 2}]),
    ],
)
def test_a_launch_of_a_class_asks_for_its_nodes_alone(
    tmp_path: Path, hardware: str, wanted: list[dict[str, float]]
) -> None:
    cloud = FakeCloud()
    client_of(tmp_path, cloud, BOTH).launch(LaunchOrder("gpu-01-s1", tmp_path, hardware=hardware), lambda request: None)
    (asked,) = launched(cloud)
    assert sorted(asked, key=str) == wanted, "an accelerator without its number is the class of an older session"


def test_a_launch_avoids_a_class_and_not_its_neighbours(tmp_path: Path) -> None:
    cloud = FakeCloud()
    client = client_of(tmp_path, cloud, BOTH)
    client.launch(LaunchOrder("gpu-01-s1", tmp_path, avoid=frozenset({"A10:1"})), lambda request: None)
    (asked,) = launched(cloud)
    assert {"A10": 1} not in asked and {"A10": 0.167} in asked
    assert client.classes() == {"A10:0.167", "A10:1", "A10:2"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "resources: {accelerators: H100:1}",
            "resources: {accelerators: H100:8}",
            "a node has 8 H100 there, and 1 in this session: another number needs a new session",
        ),
        (
            "resources: {accelerators: A10}",
            "resources: {accelerators: [A10, 'A10:0.167']}",
            "a node has 0.167 or 1 A10 there, and 1 in this session: another number needs a new session",
        ),
        (
            "resources: {accelerators: H100:8}",
            "num_nodes: 2\nresources: {accelerators: H100:8}",
            "a cluster has 2 nodes there, and 1 in this session: another number needs a new session",
        ),
        ("resources: {accelerators: H100:1}", "resources: {accelerators: [H100:1, H200:8]}", ""),
        ("resources: {accelerators: H100:1}", "resources: {accelerators: H200:8}", ""),
    ],
)
def test_a_task_with_another_number_of_gpus_is_not_that_of_the_session(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    """Clusters that are up would keep their class, and be compared with those of the changed task."""
    client = client_of(tmp_path, FakeCloud(), f"run: x\n{before}\n")
    (tmp_path / "experiment.yaml").write_text(text := f"run: x\n{after}\n")
    news = client.look_at_task()
    assert news is not None
    assert news == TaskNews("", said) if said else news.text == text


def test_the_numbers_of_a_task_are_those_at_its_place() -> None:
    text = "resources: {any_of: [{infra: k8s, accelerators: H100:1}, {infra: aws, accelerators: H100:8}]}"
    assert numbers_in(text) == {"H100": {1, 8}}
    assert numbers_in(text, "aws") == {"H100": {8}}
    assert numbers_in("run: x") == {}
