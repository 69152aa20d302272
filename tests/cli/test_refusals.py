"""Words that cannot be carried out get one true sentence, and JSON where JSON was asked for."""

import json
from pathlib import Path

import pytest

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session
from cockpit.cli.main import main
from cockpit.create.error import CreateError
from cockpit.create.new_session import check
from cockpit.fleet.node import confinement
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import NewSession, Settings
from tests.worker.sessions import local_session, repository


def test_an_error_under_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["propose", "LR", "--json"])
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert "is not a factor" in json.loads(shown.out)["error"]


def test_json_that_is_nested_too_deeply_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = local_session(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["tool", "brief", str(folder.root), "--json", "[" * 200_000])
    assert ended.value.code == 1
    assert "--json expects a JSON object: it is nested too deeply" in capsys.readouterr().err


def test_a_folder_without_a_ledger_is_not_a_session(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"is not a session: it has no ledger\.db"):
        session(str(tmp_path))


@pytest.mark.parametrize("name", ["x" * 300, "\N{GREEK SMALL LETTER PI}" * 200, '{"question": "' + "?" * 400 + '"}'])
def test_a_name_that_no_file_can_have_is_refused_in_short(name: str) -> None:
    with pytest.raises(CommandError, match="cannot name a session: use letters") as refused:
        session(name)
    assert len(str(refused.value)) < 250


def test_a_slip_in_a_proposer_s_name_makes_no_session(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    folder = SessionFolder(tmp_path / "sessions" / "night")
    with pytest.raises(CreateError, match=r"did you mean search\?"):
        check(folder, repo, Settings(session=NewSession(proposer="serach")))
    check(folder, repo, Settings(session=NewSession(proposer="claude-code")))


def test_the_doctor_names_the_wall_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    (found,) = (one for one in json.loads(capsys.readouterr().out) if one["about"] == "walls")
    assert str(confinement.available().wall) in found["said"].lower()


def test_a_corpus_is_refused_if_the_repository_takes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = repository(tmp_path / "repo")
    monkeypatch.setenv("COCKPIT_SESSIONS", str(tmp_path / "sessions"))
    with pytest.raises(SystemExit):
        main(["new", "night", "--repo", str(repo), "--corpus", "stdlib"])
    assert "--corpus has no effect here" in capsys.readouterr().err
    assert not (tmp_path / "sessions" / "night").exists()


def test_a_session_is_found_by_name_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_session(tmp_path)
    (tmp_path / folder.name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COCKPIT_SESSIONS", str(folder.root.parent))
    assert session(folder.name).root == folder.root
