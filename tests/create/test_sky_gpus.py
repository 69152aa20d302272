"""On SkyPilot a run has all GPUs of its cluster, or `gpus_per_run` of them; other numbers are refused by `new`."""

from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.create.error import CreateError
from cockpit.create.sky_session import sky_fleet
from cockpit.session.settings import NewSession

SKY = NewSession(fleet="sky", clusters=2)


def task(folder: Path, fields: str) -> Path:
    (folder / "experiment.yaml").write_text(f"run: python train.py\n{fields}\n")
    return folder


@pytest.mark.parametrize(
    ("fields", "gpus_per_run"),
    [
        ("resources: {accelerators: H100:8}", 0),
        ("resources: {accelerators: H100:8}", 8),
        ("num_nodes: 2\nresources: {accelerators: H100:8}", 16),
        ("resources: {accelerators: {H100: 2, H200: 2}}", 2),
        ("", 0),
    ],
)
def test_all_gpus_of_a_cluster_are_taken(tmp_path: Path, fields: str, gpus_per_run: int) -> None:
    fleet = sky_fleet(SKY, task(tmp_path, fields), gpus_per_run)
    assert [spec.name for spec in fleet.clusters] == ["gpu-01", "gpu-02"]
    assert fleet.depth == 2, "the next run is queued behind the one that runs"


def test_runs_of_fewer_gpus_share_each_cluster(tmp_path: Path) -> None:
    fleet = sky_fleet(SKY, task(tmp_path, "resources: {accelerators: H100:8}"), 4)
    assert [spec.name for spec in fleet.clusters] == ["gpu-01/1", "gpu-01/2", "gpu-02/1", "gpu-02/2"]
    assert {spec.gpus for spec in fleet.clusters} == {4}
    assert fleet.depth == 1, "the next job starts in any share"


def test_the_shares_of_a_class_follow_its_own_gpus(tmp_path: Path) -> None:
    new = NewSession(fleet="sky", hardware="H100:1,h200:1")
    fleet = sky_fleet(new, task(tmp_path, "resources: {accelerators: {H100: 4, H200: 2}}"), 2)
    assert [(spec.name, spec.hardware, spec.gpus) for spec in fleet.clusters] == [
        ("gpu-01/1", "H100", 2),
        ("gpu-01/2", "H100", 2),
        ("gpu-02", "H200", 1),
    ]


@pytest.mark.parametrize(
    ("fields", "gpus_per_run", "said"),
    [
        (
            "resources: {accelerators: H100:8}",
            3,
            "a cluster of experiment.yaml has 8 H100, which runs of 3 do not fill; give one of 1, 2, 4, 8",
        ),
        (
            "num_nodes: 2\nresources: {accelerators: H100:8}",
            8,
            ("a cluster of experiment.yaml has 16 H100 on 2 nodes, and a run gets all of them; leave gpus_per_run out"),
        ),
        (
            "resources: {accelerators: {H100: 1, H200: 2}}",
            1,
            "a cluster of experiment.yaml has 1 H100 or 2 H200; give --hardware, such as H100:1,H200:1",
        ),
        ("", 2, "experiment.yaml names no accelerator; name one there"),
    ],
)
def test_another_number_is_refused_with_what_to_write(
    tmp_path: Path, fields: str, gpus_per_run: int, said: str
) -> None:
    with pytest.raises(CreateError) as refused:
        sky_fleet(SKY, task(tmp_path, fields), gpus_per_run)
    assert str(refused.value) == f"gpus_per_run = {gpus_per_run} does not fit: {said}"
