"""A command that no run could start is refused when the session is made, not by the first run."""

from pathlib import Path

import pytest

from cockpit.create.command import command_words
from cockpit.create.error import CreateError
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from tests.cli.shell import cockpit, refusal
from tests.worker.sessions import git, make, repository

NO_PROGRAM = "there is no program not-here on the PATH: install it, or give its whole path"
SCRIPT = "DEPTH = 8\nprint('val_bpb: 0.98')\n"


def made(place: Path, **research: str) -> None:
    """Make a session of a repository with run.sh, the executable go.sh, and the uncommitted built.sh."""
    repo = repository(place / "repo", SCRIPT)
    for name in ("run.sh", "go.sh"):
        (repo / name).write_text("#!/bin/sh\npython3 train.py\n")
    (repo / "go.sh").chmod(0o755)
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "second")
    (repo / ".tools").mkdir()
    (repo / ".tools" / "built").write_text("#!/bin/sh\n")
    settings = ResearchSettings(**research)  # type: ignore[arg-type]
    make(place, repo, NewSession(fleet="local", clusters=1, mode="manual"), 1.0, research=settings)


@pytest.mark.parametrize("setting", ["command", "score_command"])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("not-here a.txt", NO_PROGRAM),
        ("env LR=1 not-here", NO_PROGRAM),
        ("/opt/not/here a.txt", "/opt/not/here is not an executable file: give the path of one"),
        ("/tmp a.txt", "/tmp is not an executable file: give the path of one"),
        (
            "./run.sh",
            "git stores run.sh as a file that is not executable: `git update-index --chmod=+x run.sh`, then commit",
        ),
        ("./absent.sh", "git stores no absent.sh, so no run would have it: commit it"),
    ],
)
def test_a_program_that_is_not_there_is_refused(tmp_path: Path, setting: str, command: str, said: str) -> None:
    with pytest.raises(CreateError) as refused:
        made(tmp_path, **{setting: command})
    assert str(refused.value) == f"[research] {setting}: {said}"
    assert not (tmp_path / "sessions").exists()


def test_a_program_that_git_does_not_store_is_refused_with_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(CreateError) as refused:
        made(tmp_path, command=".tools/built")
    assert str(refused.value) == (
        "[research] command: git stores no .tools/built, so no run would have it: give its whole path,"
        f" {tmp_path}/repo/.tools/built"
    )


@pytest.mark.parametrize("command", ["./go.sh", "env LR=1 sh run.sh", "env -u LR sh run.sh", "env PATH=/opt not-here"])
def test_a_program_that_may_be_there_is_taken(tmp_path: Path, command: str) -> None:
    made(tmp_path, command=command)


def test_the_python_of_the_runs_starts_a_score_command_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").symlink_to("/usr/bin/git")
    repo = repository(tmp_path / "repo", SCRIPT)
    (repo / "score.py").write_text("print('val_bpb: 0.98')\n")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "second")
    monkeypatch.setenv("PATH", str(programs))
    settings = ResearchSettings(score_command="python score.py")
    make(tmp_path, repo, NewSession(fleet="local", clusters=1, mode="manual"), 1.0, research=settings)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("LR=1 python3 train.py", "'LR=1' is for a shell, and none starts it: write env LR=1 python3 train.py"),
        ("cd src && python3 a.py", "'&&' is for a shell, and none starts it: write sh -c 'cd src && python3 a.py'"),
        ("python3 a.py >log", "'>' is for a shell, and none starts it: write sh -c 'python3 a.py >log'"),
        ("python3 a.py; rm b", "';' is for a shell, and none starts it: write sh -c 'python3 a.py; rm b'"),
        ("python3 a.py $DATA", "'$DATA' is for a shell, and none starts it: write sh -c 'python3 a.py $DATA'"),
        (
            "torchrun -n $(nproc) a.py",
            "'$(nproc)' is for a shell, and none starts it: write sh -c 'torchrun -n $(nproc) a.py'",
        ),
        ("~/venv/bin/python a.py", "'~' is for a shell, and none starts it: write sh -c '~/venv/bin/python a.py'"),
        ("python3 'a.py", '"python3 \'a.py" is not a command: No closing quotation'),
    ],
)
def test_a_command_for_a_shell_is_refused_with_what_to_write(command: str, said: str) -> None:
    with pytest.raises(CreateError) as refused:
        command_words("command", command)
    assert str(refused.value) == f"[research] command: {said}"


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'python3 a.py > log'",
        "awk '{print $1}' b",
        'python3 a.py "x;y" --color "#f00"',
        "python3 a.py --x=~/b \\$c",
    ],
)
def test_a_command_whose_quotes_protect_it_is_taken(command: str) -> None:
    assert command_words("command", command)


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--setup", "not-here", NO_PROGRAM),
        ("--setup", "./a.sh", "git stores no a.sh, so no run would have it: commit it"),
        ("--setup", "pip install .; ls", "';' is for a shell, and none starts it: write sh -c 'pip install .; ls'"),
        ("--command", "not-here", NO_PROGRAM),
    ],
)
def test_new_says_so_before_anything_is_run_or_made(tmp_path: Path, flag: str, value: str, said: str) -> None:
    repo = repository(tmp_path / "repo", SCRIPT)
    done = cockpit(tmp_path, "new", "night", "--mode", "manual", flag, value, cwd=repo)
    assert refusal(done) == f"[research] {flag.removeprefix('--')}: {said}"
    assert not (tmp_path / "sessions" / "night").exists()
