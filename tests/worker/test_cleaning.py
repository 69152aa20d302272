"""Cleaning up after a run takes a bounded part of each tick, and nothing is left after a kill."""

from pathlib import Path

import pytest

from cockpit.core.intents import Say
from cockpit.worker import cleaning
from cockpit.worker.artifacts import saving
from cockpit.worker.cleaning import Cleaning, Steps, removing
from tests.worker.night import BASELINE, Night


def tree(place: Path, files: int) -> Path:
    for number in range(files):
        path = place / f"folder{number % 7}" / "deeper" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return place


def ticks(left: Cleaning) -> int:
    """Carry a cleaning out. Return the number of ticks that it takes."""
    number = 0
    while left.has_work:
        left.new_tick()
        assert left.continue_work() == []
        number += 1
    return number


def test_a_folder_is_removed_a_bounded_part_a_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "STEPS_A_TICK", 10)
    left, run = Cleaning(), tree(tmp_path / "run", 95)
    left.begin("e0001.1", removing((run, tmp_path / "never made")))
    assert ticks(left) >= 10 and not run.exists()


def test_a_folder_of_many_entries_is_listed_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "LISTED", 3)
    run = tree(tmp_path / "run", 50)
    left = Cleaning()
    left.begin("e0001.1", removing((run,)))
    ticks(left)
    assert not run.exists()


def test_the_targets_of_links_stay(tmp_path: Path) -> None:
    data, run = tree(tmp_path / "data", 3), tree(tmp_path / "run", 3)
    (run / "data").symlink_to(data)
    (tmp_path / "link").symlink_to(data)
    left = Cleaning()
    left.begin("e0001.1", removing((run, tmp_path / "link")))
    ticks(left)
    assert not run.exists() and len(list(data.rglob("*.txt"))) == 3


def test_folders_that_a_run_left_read_only_are_removed(tmp_path: Path) -> None:
    run = tree(tmp_path / "run", 3)
    for folder in (run / "folder1" / "deeper", run / "folder1"):
        folder.chmod(0o500)
    left = Cleaning()
    left.begin("e0001.1", removing((run,)))
    ticks(left)
    assert not run.exists()


def test_an_entry_that_cannot_be_removed_ends_no_cleaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, unlink = tree(tmp_path / "run", 20), Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.name == "8.txt":
            raise PermissionError(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    left = Cleaning()
    left.begin("e0001.1", removing((run,)))
    ticks(left)
    assert [path.name for path in run.rglob("*.txt")] == ["8.txt"]


def test_artifacts_are_looked_for_a_file_a_step(tmp_path: Path) -> None:
    run = tree(tmp_path / "run", 30)
    (run / "folder1" / "model.pt").write_bytes(b"weights")
    steps: Steps = saving(run, ["*.pt"], tmp_path / "kept", 1.0)
    assert sum(1 for _ in steps) >= 31
    assert [path.relative_to(tmp_path / "kept") for path in (tmp_path / "kept").rglob("*.pt")] == [
        Path("folder1/model.pt")
    ]


def test_a_pattern_may_name_folders(tmp_path: Path) -> None:
    run = tree(tmp_path / "run", 8)
    for _ in saving(run, ["folder1/*/*.txt", "3.*"], tmp_path / "kept", 1.0):
        pass
    assert sorted(path.name for path in (tmp_path / "kept").rglob("*.txt")) == ["1.txt", "3.txt"]


@pytest.mark.parametrize("pattern", ["out/**", "out", "out/", "**/best*", "*.ckpt"])
def test_a_pattern_covers_the_files_of_a_folder(tmp_path: Path, pattern: str) -> None:
    best = tmp_path / "run" / "out" / "step_100.ckpt" / "best.bin"
    best.parent.mkdir(parents=True)
    best.write_bytes(b"weights")
    (tmp_path / "run" / "notes.txt").write_text("x")
    for _ in saving(tmp_path / "run", [pattern], tmp_path / "kept", 1.0):
        pass
    assert [path.name for path in (tmp_path / "kept").rglob("*.*") if path.is_file()] == ["best.bin"]


def test_an_artifact_over_the_limit_is_reported_with_its_run(tmp_path: Path) -> None:
    run = tree(tmp_path / "run", 1)
    (run / "model.pt").write_bytes(bytes(2 << 20))
    left = Cleaning()
    left.begin("e0001.1", saving(run, ["*.pt"], tmp_path / "kept", 1.0))
    [(name, sentence)] = left.continue_work()
    assert name == "e0001.1" and sentence.startswith("model.pt is larger than the rest of the 1 MB")


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """A night whose baseline has ended and has left a folder that is removed a file a tick."""
    monkeypatch.setattr(cleaning, "STEPS_A_TICK", 1)
    night = Night(tmp_path)
    night.tick_until_in_flight()
    tree(night.source, 20)
    tree(night.source.with_name(f"{BASELINE}.run"), 2)
    night.tick_until_ended()
    assert night.source.exists()
    return night


def clean_up(night: Night) -> None:
    for _ in range(200):
        night.worker.tick()
    assert not list(night.folder.runs.iterdir())


def test_an_intent_is_answered_while_a_folder_is_removed(night: Night) -> None:
    night.send(Say("Are you there?"))
    night.worker.tick()
    assert [message.text for message in night.state.messages][-1:] == ["Are you there?"]
    assert night.source.exists()
    clean_up(night)


def test_a_killed_worker_s_cleaning_is_finished_by_the_next(night: Night) -> None:
    tree(night.folder.source(".e0007.1.partial"), 2)
    night.restart()
    clean_up(night)


def test_a_run_that_ended_long_ago_leaves_no_folder(night: Night) -> None:
    night.state.recent.clear()
    night.worker.snapshot()
    night.restart()
    assert BASELINE not in night.state.recent
    clean_up(night)


def test_a_worker_that_stops_leaves_the_rest_to_the_next(night: Night) -> None:
    night.worker.close("it was asked to stop")
    assert night.source.exists()
    night.restart(stopped=True)
    clean_up(night)


def test_a_session_that_ends_leaves_no_folder(night: Night) -> None:
    night.state.ended_at = night.state.now
    night.worker.close("the session ends")
    assert not list(night.folder.runs.iterdir())
