"""Inputs and artifacts of a run: data that git does not store, the repository's Python, the checkpoint it leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

from cockpit.core.model import ExperimentStatus, Outcome
from cockpit.create.data_paths import outside_data
from cockpit.create.error import CreateError
from cockpit.fleet.node import confinement
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from cockpit.variant.inputs import Inputs
from tests.worker.sessions import end_baseline, git, make, repository, state_of

READS = 'DEPTH = 8\nprint("val_bpb:", float(open("data/val.txt").read()))\n'
LEAVES = (
    'DEPTH = 8\nopen("model.pt", "wb").write(b"weights")\nopen("notes.txt", "w").write("x")\nprint("val_bpb: 0.98")\n'
)


def measured(place: Path, repo: Path) -> SessionFolder:
    """Make a session on this machine, and wait until its baseline has ended."""
    return end_baseline(make(place, repo, NewSession(fleet="local", clusters=1, mode="manual"), 1_772_000_000.0))


def commit(repo: Path) -> None:
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "more")


def test_an_ignored_data_folder_is_linked_into_the_run(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", READS)
    (repo / ".gitignore").write_text("data/\n")
    (repo / "data").mkdir()
    (repo / "data" / "val.txt").write_text("0.98")
    state = state_of(measured(tmp_path, repo))
    assert state.experiments["e0000"].scores == {"CPU": [0.98]}
    assert any("data" in message.text and "git does not store" in message.text for message in state.messages)


def test_a_committed_link_to_a_data_disk_is_kept(tmp_path: Path) -> None:
    repo, disk = repository(tmp_path / "repo", READS), tmp_path / "disk"
    disk.mkdir()
    (disk / "val.txt").write_text("0.98")
    (repo / "data").symlink_to(disk)
    git(repo, "add", "data")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "data")
    assert state_of(measured(tmp_path, repo)).experiments["e0000"].scores == {"CPU": [0.98]}
    assert (disk / "val.txt").read_text() == "0.98"


def test_a_file_that_git_annex_stores_is_linked(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", READS)
    content = repo / ".git" / "annex" / "objects" / "kM" / "SHA256E-s4--ab.txt"
    content.parent.mkdir(parents=True)
    content.write_text("0.98")
    (repo / "data").mkdir()
    (repo / "data" / "val.txt").symlink_to("../.git/annex/objects/kM/SHA256E-s4--ab.txt")
    commit(repo)
    assert state_of(measured(tmp_path, repo)).experiments["e0000"].scores == {"CPU": [0.98]}
    content.unlink()
    with pytest.raises(CreateError, match=r"data/val.txt leads to .*annex.*, which does not exist"):
        make(tmp_path / "later", repo, NewSession(fleet="local", clusters=1), 1_772_000_000.0)


def test_a_link_to_nothing_is_refused_when_the_session_is_made(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", READS)
    (repo / "data").symlink_to(tmp_path / "gone")
    git(repo, "add", "data")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "data")
    with pytest.raises(CreateError, match=r"data leads to .*gone, which does not exist"):
        make(tmp_path, repo, NewSession(fleet="local", clusters=1), 1_772_000_000.0)


def test_a_link_to_nothing_that_no_code_names_stays_as_it_is(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", 'DEPTH = 8\nprint("val_bpb: 0.98")\n')
    (repo / "paper.pdf").symlink_to("/home/author/paper.pdf")
    commit(repo)
    state = state_of(measured(tmp_path, repo))
    assert state.experiments["e0000"].scores == {"CPU": [0.98]}
    said = "These links lead to nothing here, and no code names them: paper.pdf"
    assert [message.text for message in state.messages if "paper.pdf" in message.text] == [said]


def test_data_that_a_package_of_the_repository_names_are_linked(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", 'from lib.loading import load\nDEPTH = 8\nprint("val_bpb:", load())\n')
    (repo / "lib").mkdir()
    (repo / "lib" / "loading.py").write_text('def load():\n    return float(open("data/val.txt").read())\n')
    commit(repo)
    (repo / "data").mkdir()
    (repo / "data" / "val.txt").write_text("0.98")
    assert state_of(measured(tmp_path, repo)).experiments["e0000"].scores == {"CPU": [0.98]}


@pytest.mark.parametrize(
    ("research", "sentence"),
    [
        (ResearchSettings(links=("/etc",)), "a link is a path inside the repository: instead of --links /etc give"),
        (ResearchSettings(links=("../data",)), "instead of --links ../data give --readable ../data"),
        (ResearchSettings(links=("train.py",)), "git stores train.py, so every run has it"),
        (ResearchSettings(artifacts=("/tmp/*",)), r"artifacts: /tmp/\* leads out of the folder of a run"),
        (ResearchSettings(artifacts=("../*.pt",)), "leads out of the folder of a run"),
        (ResearchSettings(env=("A B",)), "'A B' is not the name of a variable"),
        (ResearchSettings(command="python other.py"), "command: git stores no other.py, so no run would have it"),
        (ResearchSettings(command="env A=1 python3 -u pkg/other.py --lr 1"), "git stores no pkg/other.py"),
        (ResearchSettings(time_budget_s=100, time_limit_s=10), "time_limit_s: 10 s would end every run within its"),
    ],
)
def test_a_path_or_a_name_that_no_run_can_have_is_refused(
    tmp_path: Path, research: ResearchSettings, sentence: str
) -> None:
    repo = repository(tmp_path / "repo", READS)
    (tmp_path / "data").mkdir()
    with pytest.raises(CreateError, match=sentence):
        make(tmp_path, repo, NewSession(fleet="local", clusters=1), 1_772_000_000.0, research=research)


@pytest.mark.parametrize("command", ["env -C sub python3 inner.py", "python3 lib/other.py", "python3 sub/inner.py"])
def test_a_python_file_of_another_folder_or_of_a_submodule_is_accepted(tmp_path: Path, command: str) -> None:
    library = repository(tmp_path / "library", READS)
    (library / "other.py").write_text(READS)
    repo = repository(tmp_path / "repo", READS)
    (repo / "sub").mkdir()
    (repo / "sub" / "inner.py").write_text(READS)
    git(library, "add", ".")
    git(library, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "other")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "sub")
    session = NewSession(fleet="local", clusters=1, mode="manual")
    assert make(tmp_path, repo, session, 1_772_000_000.0, research=ResearchSettings(command=command))


def test_an_imported_module_that_was_not_committed_is_refused_by_name(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", 'from model import X\nprint("val_bpb:", X)\n')
    (repo / "model.py").write_text("X = 0.98\n")
    with pytest.raises(CreateError, match=r"train.py imports model.py, which git does not store"):
        make(tmp_path, repo, NewSession(fleet="local", clusters=1), 1_772_000_000.0)


def test_a_folder_of_uncommitted_modules_is_refused_by_its_files(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", 'from pkg.model import X\nprint("val_bpb:", X)\n')
    (repo / "pkg").mkdir()
    (repo / "pkg" / "model.py").write_text("X = 0.98\n")
    with pytest.raises(CreateError, match=r"imports pkg/model\.py, which git does not store"):
        make(tmp_path, repo, NewSession(fleet="local", clusters=1, mode="manual"), 1_772_000_000.0)


def test_data_outside_the_repository_are_named_when_the_session_is_made(tmp_path: Path) -> None:
    script = 'import sys\nsys.path.append("..")\nDEPTH = 8\nprint("val_bpb:", open("../shared/val.txt").read())\n'
    repo = repository(tmp_path / "top" / "repo", script)
    (tmp_path / "top" / "shared").mkdir()
    (tmp_path / "top" / "shared" / "val.txt").write_text("0.98")
    folder = make(tmp_path, repo, NewSession(fleet="local", clusters=1, mode="manual"), 1_772_000_000.0)
    [said] = [message.text for message in state_of(folder).messages if "outside the repository" in message.text]
    assert said.startswith("train.py names ../shared/val.txt, outside the repository") and "absolute path" in said


def test_data_named_by_its_whole_path_is_read_in_a_confined_run(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "val.txt").write_text("0.98")
    repo = repository(tmp_path / "repo", f'DEPTH = 8\nprint("val_bpb:", float(open("{disk}/val.txt").read()))\n')
    state = state_of(measured(tmp_path, repo))
    assert state.experiments["e0000"].scores == {"CPU": [0.98]}
    assert state.data, "its content is measured before and after each run"
    assert f"Runs may read {disk}/val.txt, which the code names" in " ".join(one.text for one in state.messages)


VARIABLES = """
import os
DEPTH = 8
print(os.environ.get("LR_SCALE", "1"), os.getenv("HF_TOKEN"), os.environ.get("SEED"), os.environ.get("UNSET"))
print("val_bpb:", float(open(os.environ["MY_SETS"] + "/val.txt").read()))
"""


def test_a_variable_that_the_code_reads_is_named_and_leads_to_its_data_once_it_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "val.txt").write_text("0.98")
    for name, value in {"MY_SETS": str(tmp_path / "sets"), "LR_SCALE": "2", "HF_TOKEN": "x", "SEED": "3"}.items():
        monkeypatch.setenv(name, value)
    repo = repository(tmp_path / "repo", VARIABLES)
    new = NewSession(fleet="local", clusters=1, mode="manual")
    told = state_of(make(tmp_path / "told", repo, new, 1_772_000_000.0)).messages
    said = [one.text for one in told if "train.py reads" in one.text]
    assert said == [
        "train.py reads HF_TOKEN: it looks like a secret, and no secret reaches a run",
        "train.py reads LR_SCALE, MY_SETS from the environment, and a run does not get it: --env LR_SCALE passes it on",
    ]
    passed = ResearchSettings(env=("MY_SETS",))
    state = state_of(end_baseline(make(tmp_path, repo, new, 1_772_000_000.0, research=passed)))
    assert state.experiments["e0000"].scores == {"CPU": [0.98]}


def test_the_configuration_and_the_command_name_data_that_are_linked(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", 'import sys, json\nDEPTH = 8\nprint("val_bpb: 0.98")\n')
    (repo / "config.json").write_text('{"train_data": "corpus/train.bin", "out_dir": "runs_of_mine"}')
    (repo / ".gitignore").write_text("corpus\nruns_of_mine\nsets\n")
    for name in ("corpus", "runs_of_mine", "sets"):
        (repo / name).mkdir()
        (repo / name / "file").write_text("x")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "configured")
    research = ResearchSettings(command=f"{sys.executable} train.py --input sets")
    new = NewSession(fleet="local", clusters=1, mode="manual")
    folder = make(tmp_path, repo, new, 1_772_000_000.0, research=research)
    assert sorted(state_of(folder).session.access.links) == ["corpus", "sets"]


def test_the_checkpoint_of_a_kept_experiment_survives_its_run(tmp_path: Path) -> None:
    folder = measured(tmp_path, repository(tmp_path / "repo", LEAVES))
    assert state_of(folder).experiments["e0000"].status is ExperimentStatus.KEPT
    assert (folder.artifacts / "e0000.1" / "model.pt").read_bytes() == b"weights"
    assert not list(folder.artifacts.rglob("notes.txt"))
    assert not folder.source("e0000.1").exists()


def test_runs_use_the_repositorys_own_python(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", 'import only_here\nDEPTH = 8\nprint("val_bpb: 0.98")\n')
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(repo / ".venv")], check=True)
    [packages] = (repo / ".venv" / "lib").glob("python3*/site-packages")
    (packages / "only_here.py").write_text("")
    state = state_of(measured(tmp_path, repo))
    assert state.outcome_counts == {Outcome.VALID: 1}
    assert state.session.run_command[0] == str(repo / ".venv" / "bin" / "python")


@pytest.mark.skipif(confinement.available().wall is confinement.Wall.NONE, reason="runs are unconfined here")
def test_a_run_reads_the_hub_of_hugging_face_and_not_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "hf"
    (home / "hub").mkdir(parents=True)
    (home / "hub" / "weights").write_text("w")
    (home / "token").write_text("hf_secret")
    monkeypatch.setenv("HF_HOME", str(home))
    script = (
        "import os\nDEPTH = 8\nhome = os.environ['HF_HOME']\n"
        "print('sees', os.path.exists(home + '/hub/weights'), os.access(home + '/token', os.R_OK))\n"
        "print('val_bpb: 0.98')\n"
    )
    folder = measured(tmp_path, repository(tmp_path / "repo", script))
    assert "sees True False" in folder.log("e0000.1").read_text()


def test_a_usual_folder_of_data_is_not_taken_for_the_repositorys_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    usual, own = tmp_path / ".cache" / "autoresearch", tmp_path / ".cache" / "autoresearch" / "mine"
    own.mkdir(parents=True)
    found = Inputs(absolute=(str(usual), str(own)))
    assert outside_data(found, (), tmp_path / "repo") == (str(own),), "other sessions fetch into the usual one"
