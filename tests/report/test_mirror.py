"""A session in Trackio: each attempt once, whatever ends the mirror. Needs the extra `mirror`."""

from pathlib import Path
from typing import Any

import pytest

from cockpit.core.errors import CockpitError
from cockpit.core.model import AttemptStatus
from cockpit.core.state import State
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit, refusal
from tests.tui import stories

trackio = pytest.importorskip("trackio")
storage = pytest.importorskip("trackio.sqlite_storage")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SessionFolder:
    """Return a session's folder, with a Trackio of its own."""
    for module in (storage, pytest.importorskip("trackio.utils")):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio", raising=False)
    return SessionFolder(stories.night().write(tmp_path))


def ended(state: State) -> set[str]:
    return {name for name, one in state.attempts.items() if one.status is AttemptStatus.ENDED}


def names(folder: SessionFolder) -> list[str]:
    return sorted(run.name for run in trackio.Api().runs(folder.name))


def logs(folder: SessionFolder, attempt: str) -> list[dict[str, Any]]:
    return list(storage.SQLiteStorage.get_logs(folder.name, attempt))


def test_each_ended_attempt_is_a_run_with_its_constants_curve_and_score(folder: SessionFolder) -> None:
    from cockpit.report.mirror import Mirror

    state = stories.night().state
    mirror = Mirror(folder)
    assert mirror.write(state) == len(ended(state))
    mirror.close()
    assert names(folder) == sorted(ended(state))
    attempt = state.attempts["e0012.1"]
    assert attempt.metrics is not None
    run = next(run for run in trackio.Api().runs(folder.name) if run.name == attempt.id)
    assert run.config["class"] == attempt.hardware and run.config["constant.ASPECT_RATIO"] == 96
    last = logs(folder, attempt.id)[-1]
    assert last["val_bpb"] == pytest.approx(attempt.metrics.score) and last["step"] == 1000


def test_a_mirror_that_starts_again_writes_nothing_twice(folder: SessionFolder) -> None:
    from cockpit.report.mirror import Mirror

    state = stories.night().state
    first = Mirror(folder)
    first.write(state)
    first.close()
    record = folder.mirrored.read_text().splitlines()
    wrote = logs(folder, record[-1])
    folder.mirrored.write_text("\n".join(record[:-1]) + "\n")  # it was ended between the last run and its record
    again = Mirror(folder)
    assert again.write(state) == 1 and again.write(state) == 0
    again.close()
    assert names(folder) == sorted(ended(state))
    assert len(logs(folder, record[-1])) == len(wrote) > 0


def test_a_run_whose_answer_was_lost_is_not_made_twice_on_a_server(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trackio's list of runs is that of this machine, so a mirror removes none from a server."""
    from cockpit.report.mirror import Mirror

    monkeypatch.setattr(Mirror, "_remove_partial", lambda mirror, new: None)
    state, lost = stories.night().state, "e0012.1"
    for _ in range(2):
        mirror = Mirror(folder)
        mirror.write(state)
        mirror.close()
        record = folder.mirrored.read_text().split()
        folder.mirrored.write_text("\n".join(name for name in record if name != lost) + "\n")
    assert names(folder) == sorted(ended(state))
    metrics = state.attempts[lost].metrics
    assert metrics is not None
    scores = {entry["val_bpb"] for entry in logs(folder, lost) if "val_bpb" in entry}
    assert scores == {metrics.score}


def test_two_mirrors_of_one_session_are_refused(folder: SessionFolder) -> None:
    from cockpit.report.mirror import Mirror

    first = Mirror(folder)
    with pytest.raises(CockpitError, match="another process mirrors night"):
        Mirror(folder)
    first.close()


def test_the_command_mirrors_a_session_without_a_worker(night_folder: SessionFolder, tmp_path: Path) -> None:
    place = night_folder.root.parents[1]
    told = cockpit(place, "mirror", "night", TRACKIO_DIR=str(tmp_path / "trackio"))
    assert "Trackio has every ended attempt of night" in told.stdout and "attempts written" in told.stdout
    assert "no session" in refusal(cockpit(place, "mirror", "nigth", TRACKIO_DIR=str(tmp_path / "trackio")))
