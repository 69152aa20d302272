"""The folders of runs on a cluster's disk go once their runs are over, and not before."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.fleet.base import JobEnded
from cockpit.fleet.sky.disk import AT_MOST, LeftFolders, removal_script
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight, quick

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNight]:
    quick(monkeypatch)
    made = FakeNight(tmp_path, FakeCloud())
    made.up("gpu-01")
    yield made
    made.close()


def finish(night: FakeNight) -> None:
    before = len(night.of(JobEnded))
    night.cloud.finish("gpu-01-s1", "1.25")
    night.until(lambda: len(night.of(JobEnded)) > before)


def removes(night: FakeNight) -> list[str]:
    """Return the first line of each submitted script that removes folders, empty for the others."""
    lines = [str(task.run).splitlines()[0] for task in night.cloud.tasks]
    return [line if line.startswith("rm ") else "" for line in lines]


def test_the_next_run_removes_the_folders_of_those_that_are_over_once(night: FakeNight) -> None:
    for name in ("e0001.1", "e0002.1", "e0003.1"):
        night.run(name)
        finish(night)
    assert removes(night) == ["", "rm -rf -- */e0001.1-s1", "rm -rf -- */e0002.1-s1"]


def test_the_folder_of_a_run_that_is_not_over_is_kept(night: FakeNight) -> None:
    night.run("e0001.1")
    night.run("e0002.1", waits_for_start=False)
    assert removes(night) == ["", ""]


def test_a_restarted_worker_removes_what_an_earlier_one_left(night: FakeNight, tmp_path: Path) -> None:
    night.run("e0001.1")
    finish(night)
    night.cloud.strange_job("gpu-01-s1", "their-training")
    night.cloud.finish("gpu-01-s1", "9")
    night.fleet.close()
    again = FakeNight(tmp_path, night.cloud)
    again.recovered("gpu-01")
    again.run("e0002.1")
    again.close()
    assert removes(again)[-1] == "rm -rf -- */e0001.1-s1"


def test_only_the_folders_of_these_runs_are_removed(tmp_path: Path) -> None:
    for folder in ("variants/e0001.1-s1", "runners/e0001.1-s1", "variants/e0001.10-s1", "variants/e0002.1-s1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "train.py").touch()
    script = removal_script(["e0001.1-s1", "e0009.1-s1"]) + "echo runs"
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "runs\n"
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert left == ["variants/e0001.10-s1", "variants/e0002.1-s1"]
    assert removal_script([]) == ""


def test_a_run_removes_a_bounded_number_of_folders() -> None:
    left = LeftFolders()
    left.add(f"e{number}.1-s1" for number in range(AT_MOST + 5))
    left.discard(left.next())
    assert left.next() == tuple(f"e{number}.1-s1" for number in range(AT_MOST, AT_MOST + 5))
