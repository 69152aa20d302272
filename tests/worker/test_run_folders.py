"""A run's folder is written a bounded part a tick: a repository of many files delays no other run and no answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.intents import Kill, Say
from cockpit.core.model import AttemptStatus, Outcome
from cockpit.fleet.base import Job
from cockpit.variant.errors import VariantError
from cockpit.variant.git import tree as variant_tree
from cockpit.variant.store import VariantStore
from cockpit.worker import run_folders
from cockpit.worker.run_folders import RunFolders
from tests.worker.night import BASELINE, Night
from tests.worker.sessions import git

FILES = 40


@pytest.fixture
def store(tmp_path: Path) -> VariantStore:
    """A repository of many files."""
    repo = tmp_path / "repo"
    (repo / "data").mkdir(parents=True)
    for name in ("train.py", "prepare.py", *(f"data/{number}.txt" for number in range(FILES))):
        (repo / name).write_text(f"# {name}\n")
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "begin")
    return VariantStore(repo, "night")


def job(place: Path, name: str) -> Job:
    return Job(name, "gpu-01", place / "runs" / name, place / "log", {}, (), 60.0)


def writes(folders: RunFolders) -> Iterator[list[str]]:
    """Yield the names of the folders that each tick completes."""
    while folders.has_work:
        folders.new_tick()
        yield [written.job.name for written in folders.write()]


def test_a_tree_is_written_over_several_ticks_and_appears_once_it_is_complete(
    store: VariantStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folders, "FILES_A_TICK", 10)
    folders, wanted = RunFolders(store), job(tmp_path, "e0001.1")
    folders.begin(wanted, store.head(), {})
    ended = []
    for names in writes(folders):
        assert wanted.source.exists() == bool(names)
        ended.append(names)
    assert ended == [[], [], [], [], ["e0001.1"]]
    assert len(list((wanted.source / "data").iterdir())) == FILES
    assert (wanted.source / "train.py").read_text() == "# train.py\n"


def test_the_bytes_of_a_tick_are_bounded_too(
    store: VariantStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folders, "BYTES_A_TICK", 40)
    folders = RunFolders(store)
    folders.begin(job(tmp_path, "e0001.1"), store.head(), {})
    assert len(list(writes(folders))) > 10


def test_the_folder_begun_first_is_complete_first(
    store: VariantStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folders, "FILES_A_TICK", 30)
    folders = RunFolders(store)
    for name in ("e0001.1", "e0002.1"):
        folders.begin(job(tmp_path, name), store.head(), {})
    assert [name for names in writes(folders) for name in names] == ["e0001.1", "e0002.1"]


def test_a_dropped_folder_leaves_nothing_behind(
    store: VariantStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folders, "FILES_A_TICK", 10)
    folders = RunFolders(store)
    folders.begin(job(tmp_path, "e0001.1"), store.head(), {})
    assert folders.write() == [] and list((tmp_path / "runs").iterdir())
    folders.drop("e0001.1")
    assert not folders.has_work and list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_written_delays_no_other(store: VariantStore, tmp_path: Path) -> None:
    folders = RunFolders(store)
    (tmp_path / "runs" / "e0001.1").mkdir(parents=True)
    for name in ("e0001.1", "e0002.1"):
        folders.begin(job(tmp_path, name), store.head(), {})
    first, second = folders.write()
    assert isinstance(first.problem, VariantError) and second.problem is None and second.job.source.exists()


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    monkeypatch.setattr(run_folders, "FILES_A_TICK", 1)
    return Night(tmp_path)


def test_an_intent_is_answered_while_a_folder_is_written(night: Night) -> None:
    night.tick_until_writing()
    night.send(Say("Are you there?"))
    night.worker.tick()
    assert [message.text for message in night.state.messages][-1:] == ["Are you there?"]
    assert not night.source.exists() and night.state.attempts[BASELINE].status is AttemptStatus.SUBMITTING
    night.tick_until_ended()
    assert night.state.attempts[BASELINE].outcome is Outcome.VALID


def test_a_run_that_is_killed_while_its_folder_is_written_ends_cancelled(night: Night) -> None:
    night.tick_until_writing()
    night.send(Kill(BASELINE))
    night.tick_until_ended()
    assert night.state.attempts[BASELINE].outcome is Outcome.CANCELLED


def test_the_kill_of_a_run_whose_folder_cannot_be_written_stands(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.tick_until_writing()
    write = variant_tree._write

    def refuse(path: Path, content: bytes, executable: bool) -> None:
        if night.state.attempts[BASELINE].cancelling:
            raise PermissionError(13, "Permission denied", str(path))
        write(path, content, executable)

    monkeypatch.setattr(variant_tree, "_write", refuse)
    night.send(Kill(BASELINE))
    night.worker._take_intents()
    night.tick_until_ended()
    assert night.state.attempts[BASELINE].outcome is Outcome.CANCELLED
    assert not night.state.waiting and "cannot be written" in night.state.held_reason


def test_a_folder_that_a_killed_worker_began_is_written_anew(night: Night) -> None:
    night.tick_until_writing()
    night.restart()
    night.tick_until_ended()
    assert night.state.attempts[BASELINE].outcome is Outcome.VALID


def test_a_worker_that_ends_leaves_no_half_written_folder(night: Night) -> None:
    night.tick_until_writing()
    night.worker.close("it was asked to stop")
    assert not list(night.source.parent.glob(".*.partial"))
