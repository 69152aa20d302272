"""On SkyPilot a run has all GPUs of its cluster; another number is refused when the session is made."""

from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.session.settings import NewSession
from cockpit.worker.create_error import CreateError
from cockpit.worker.sky_session import sky_fleet

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
    assert len(sky_fleet(SKY, task(tmp_path, fields), gpus_per_run).clusters) == 2


@pytest.mark.parametrize(
    ("fields", "gpus_per_run", "said"),
    [
        (
            "resources: {accelerators: H100:8}",
            2,
            (
                "gpus_per_run = 2 does not fit: a cluster of experiment.yaml has 8 H100, and a run gets all of them;"
                " write H100:2 there and give more --clusters, which SkyPilot may put on one node"
            ),
        ),
        (
            "num_nodes: 2\nresources: {accelerators: H100:8}",
            8,
            (
                "gpus_per_run = 8 does not fit: a cluster of experiment.yaml has 16 H100, and a run gets all of them;"
                " leave gpus_per_run out"
            ),
        ),
        (
            "resources: {accelerators: {H100: 1, H200: 2}}",
            1,
            (
                "gpus_per_run = 1 does not fit: a cluster of experiment.yaml has 2 H200, and a run gets all of them;"
                " write H200:1 there and give more --clusters, which SkyPilot may put on one node"
            ),
        ),
        ("", 2, "gpus_per_run = 2 does not fit: experiment.yaml names no accelerator; name one there"),
    ],
)
def test_another_number_is_refused_with_what_to_write(
    tmp_path: Path, fields: str, gpus_per_run: int, said: str
) -> None:
    with pytest.raises(CreateError) as refused:
        sky_fleet(SKY, task(tmp_path, fields), gpus_per_run)
    assert str(refused.value) == said
