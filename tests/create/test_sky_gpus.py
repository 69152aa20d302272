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
    ("accelerators", "hardware", "specs"),
    [
        ("H100:8", "h100:1", [("gpu-01", "H100")]),
        ("RTXA6000-Ada", "rtxa6000-ada:1", [("gpu-01", "RTXA6000-Ada")]),
        ("tpu-v5litepod-8", "TPU-V5litepod-8:1", [("gpu-01", "tpu-v5litepod-8")]),
        (
            "[A10, 'A10:0.167']",
            "A10:0.167:2,a10:1:1",
            [("gpu-01", "A10:0.167"), ("gpu-02", "A10:0.167"), ("gpu-03", "A10:1")],
        ),
        ("['H100:8', H100]", "H100:8:1,H100:1:1", [("gpu-01", "H100:8"), ("gpu-02", "H100:1")]),
    ],
)
def test_a_class_is_given_in_any_case_and_is_spelled_as_skypilot_spells_it(
    tmp_path: Path, accelerators: str, hardware: str, specs: list[tuple[str, str]]
) -> None:
    fleet = sky_fleet(
        NewSession(fleet="sky", hardware=hardware), task(tmp_path, f"resources: {{accelerators: {accelerators}}}")
    )
    assert [(spec.name, spec.hardware) for spec in fleet.clusters] == specs


@pytest.mark.parametrize(
    ("hardware", "said"),
    [
        ("A10:2", "experiment.yaml has no A10 among its accelerators, which are A10:1, A10:0.167"),
        ("A10:0.167", "'A10:0.167' is not a hardware list: write CLASS:COUNT, such as H100:13,H200:3"),
        ("A10:1:1,a10:1:2", "--hardware A10:1:1,a10:1:2 has a10:1 twice: give one number of clusters for each class"),
    ],
)
def test_a_class_that_the_task_does_not_have_is_refused(tmp_path: Path, hardware: str, said: str) -> None:
    with pytest.raises(CreateError) as refused:
        sky_fleet(
            NewSession(fleet="sky", hardware=hardware), task(tmp_path, "resources: {accelerators: [A10, 'A10:0.167']}")
        )
    assert str(refused.value) == said


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
        (
            "resources: {accelerators: ['H100:8', H100]}",
            2,
            "a cluster of experiment.yaml has 8 H100 or 1 H100; give --hardware, such as H100:8:1,H100:1:1",
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
