"""`cockpit new` on repositories that the defaults do not fit: the guess, the trial run, the questions."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import researched
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import read_settings
from tests.cli.shell import cockpit, refusal, terminal
from tests.worker.sessions import git, session_of

SCRIPT = 'import os\nLR = 0.1\nprint("loss: 3.0")\nprint(f"val_acc: {0.9 + LR / 10:.4f}")\n'
NEW = ("new", "night", "--mode", "manual", "--clusters", "1")


def made(tmp_path: Path, script: str = SCRIPT) -> Path:
    """Make a repository whose README shows how main.py is run."""
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "main.py").write_text(script)
    (repo / "README.md").write_text("# classifier\n\n    $ python main.py\n")
    commit(repo)
    return repo


def commit(repo: Path) -> None:
    """Make a repository of a folder, with all its files in the first commit."""
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    cockpit(tmp_path, "stop", "night", "--cancel", "--yes")


def test_without_a_terminal_the_guess_is_printed_with_the_flags_that_set_it(place: Path) -> None:
    done = cockpit(place, *NEW, cwd=made(place))
    assert refusal(done) == (
        "nothing was made: take this guess with --yes, or give --files main.py --command 'python main.py'"
        " --metric val_acc --direction max"
    )
    assert "command    python main.py                      README.md line 3" in done.stdout
    assert "metric     val_acc                             main.py line 4 prints it" in done.stdout
    assert not (place / "sessions").exists()


def test_yes_takes_the_guess_once_a_trial_run_has_shown_the_metric(place: Path) -> None:
    repo = made(place)
    done = cockpit(place, *NEW, "--yes", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "trial      it printed val_acc 0.9100 within" in done.stdout
    session = session_of(SessionFolder(place / "sessions" / "night"))
    assert (session.script, session.metric.name, session.metric.is_higher_better) == ("main.py", "val_acc", True)
    assert session.access.confine
    assert 'write under [research] in cockpit.toml: files = ["main.py"]; ' in done.stdout
    assert '; metric = "val_acc"; direction = "max"\n' in done.stdout
    assert not (repo / "cockpit.toml").exists()
    assert list((place / "sessions").glob(".trial*")) == []
    assert "trial" not in git(repo, "for-each-ref")


def test_files_that_were_given_stay_all_of_them(place: Path) -> None:
    repo = made(place)
    (repo / "cfg.yaml").write_text("width: 8\n")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "configuration")
    done = cockpit(place, *NEW, "--yes", "--files", "main.py", "--files", "cfg.yaml", cwd=repo)
    assert done.returncode == 0, done.stderr
    session = session_of(SessionFolder(place / "sessions" / "night"))
    assert session.editable == ("main.py", "cfg.yaml") and session.constants == {"LR": 0.1, "width": 8}


def test_two_likely_metrics_are_refused_by_their_flags(place: Path) -> None:
    repo = made(place, SCRIPT + 'print("test_acc:", LR)\n')
    said = refusal(cockpit(place, *NEW, "--yes", cwd=repo))
    assert said.endswith("because the repository does not tell it: give --metric val_acc or --metric test_acc")
    done = cockpit(place, *NEW, "--yes", "--metric", "test_acc", cwd=repo)
    assert done.returncode == 0, done.stderr


def test_on_a_terminal_the_person_is_asked(place: Path) -> None:
    repo = made(place, SCRIPT + 'print("test_acc:", LR)\n')
    with terminal(place, *NEW, columns=100, rows=30, cwd=repo) as shown:
        shown.until("Try it, then make the session? [Y/n]")
        shown.keys("\r")
        shown.until("metric, 1 to 2 or another [1]:")
        shown.keys("2\r")
        shown.until("so that later sessions need no guess? [Y/n]")
        shown.keys("n\r")
        shown.until("session night runs in the background")
    assert session_of(SessionFolder(place / "sessions" / "night")).metric.name == "test_acc"
    assert not (repo / "cockpit.toml").exists()


def test_an_accepted_guess_is_written_with_its_reasons_and_not_guessed_again(place: Path) -> None:
    repo = made(place)
    (repo / "cockpit.toml").write_text("[session]\nclusters = 1  # this laptop\n")
    with terminal(place, *NEW, columns=120, rows=40, cwd=repo) as shown:
        shown.until("Try it, then make the session? [Y/n]")
        shown.keys("\r")
        shown.until('metric = "val_acc" # main.py line 4 prints it')
        shown.until("so that later sessions need no guess? [Y/n]")
        assert "files" not in (repo / "cockpit.toml").read_text()
        shown.keys("\r")
        shown.until("session night runs in the background")
    written = (repo / "cockpit.toml").read_text()
    assert written.startswith("[session]\nclusters = 1  # this laptop\n")
    research = read_settings(repo).research
    assert (research.files, research.metric, research.direction) == (("main.py",), "val_acc", "max")
    again = cockpit(place, "new", "later", "--mode", "manual", cwd=repo)
    assert again.returncode == 0, again.stderr
    assert "trial" not in again.stdout
    later = session_of(SessionFolder(place / "sessions" / "later"))
    first = session_of(SessionFolder(place / "sessions" / "night"))
    assert (later.script, later.metric, later.run_command) == (first.script, first.metric, first.run_command)
    assert later.access.confine == first.access.confine
    cockpit(place, "stop", "later", "--cancel", "--yes")


def test_a_name_that_is_taken_is_refused_before_anything_long(place: Path) -> None:
    repo = made(place)
    assert cockpit(place, *NEW, "--yes", cwd=repo).returncode == 0
    again = cockpit(place, *NEW, "--yes", cwd=repo)
    assert refusal(again) == "there is a session night already: open it with `cockpit open night`"
    assert again.stdout == ""


def test_an_unrequested_environment_is_asked_about(place: Path) -> None:
    repo = made(place)
    (repo / "uv.lock").write_text('[[package]]\nname = "torch"\n\n[[package]]\nname = "numpy"\n')
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "lock")
    tools = place / "tools"
    tools.mkdir()
    (tools / "uv").write_text(
        '#!/bin/sh\nmkdir -p "$UV_PROJECT_ENVIRONMENT/bin"\n'
        f'ln -s {sys.executable} "$UV_PROJECT_ENVIRONMENT/bin/python"\n'
    )
    (tools / "uv").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    flags = ("--files", "main.py", "--metric", "val_acc")
    said = refusal(cockpit(place, *NEW, *flags, cwd=repo, PATH=path))
    assert said.startswith(
        "runs need the environment of uv.lock: `uv sync --frozen` downloads and installs up to 2 packages"
    )
    assert said.endswith("add --yes to confirm")
    assert not (place / "sessions" / ".setup").exists()
    done = cockpit(place, *NEW, *flags, "--yes", cwd=repo, PATH=path)
    assert done.returncode == 0, done.stderr


def test_a_refusal_on_a_terminal_makes_nothing(place: Path) -> None:
    with terminal(place, *NEW, columns=100, rows=30, cwd=made(place)) as shown:
        shown.until("Try it, then make the session? [Y/n]")
        shown.keys("n\r")
        shown.until("nothing was made: give --files main.py")
    assert not (place / "sessions" / "night").exists()


def test_code_that_fails_is_quoted_before_a_session_is_made(place: Path) -> None:
    done = cockpit(place, *NEW, "--yes", cwd=made(place, f"{SCRIPT}print(no_such_name)\n"))
    assert done.returncode == 1
    assert "NameError: name 'no_such_name' is not defined; give --command WORDS" in done.stderr
    assert not (place / "sessions" / "night").exists()


def test_a_run_without_the_metric_shows_its_last_lines(place: Path) -> None:
    script = 'print("hello\\x1b[31m")\nif False:\n    print(f"val_acc: {1}")\n'
    done = cockpit(place, *NEW, "--yes", cwd=made(place, script))
    assert "without val_acc; it ended with exit code 0. Its last lines:" in done.stdout
    assert "\x1b" not in done.stdout
    assert "the trial run ended well and printed no metric" in done.stderr


def test_a_folder_without_evidence_is_refused_by_the_flags(place: Path) -> None:
    repo = made(place, "print(1)\n")
    (repo / "README.md").write_text("")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-a", "-m", "second")
    said = refusal(cockpit(place, *NEW, "--yes", cwd=repo))
    assert said == (
        "nothing was made, because the repository does not tell it: give --files PATH; --command WORDS;"
        " --metric NAME, --pattern REGEX, or --score-command WORDS for what it leaves"
    )


def test_a_script_that_the_documents_start_and_that_is_gone_is_named(place: Path) -> None:
    repo = made(place, "print(1)\n")
    (repo / "README.md").write_text("    $ python train.py --fast\n")
    (repo / "tools").mkdir()
    (repo / "tools" / "train.py").write_text("")
    commit(repo)
    shown = cockpit(place, *NEW, "--yes", cwd=repo).stdout
    assert (
        "command    not found: README.md line 1 starts train.py, which is not there; there is tools/train.py" in shown
    )


def test_the_reading_of_a_large_file_is_reported(place: Path) -> None:
    repo = made(place)
    (repo / "train.py").write_text('DEPTH = 8\nprint("val_bpb: 0.98")\n' + f"# {'x' * 98}\n" * 3_000)
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "second")
    done = cockpit(place, *NEW, cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "reading the constants of 0.3 MB of files that may be edited; ^C ends it" in done.stderr


def test_a_train_py_that_prints_val_bpb_needs_nothing(place: Path) -> None:
    repo = made(place)
    (repo / "train.py").write_text('DEPTH = 8\nprint("val_bpb: 0.98")\n')
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "second")
    done = cockpit(place, *NEW, cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "trial" not in done.stdout


def test_a_script_in_another_encoding_is_named_before_its_text_is_searched(place: Path) -> None:
    repo = made(place)
    (repo / "train.py").write_bytes('print("val_bpb: 0.98")\n'.encode("utf-16"))
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "second")
    assert refusal(cockpit(place, *NEW, "--yes", cwd=repo)) == "train.py is not UTF-8 text; save it as UTF-8"


@pytest.mark.parametrize(
    ("path", "quoted"), [("main.ipynb", "main.ipynb"), ("lectures/part 1.ipynb", "'lectures/part 1.ipynb'")]
)
def test_a_notebook_is_refused_with_the_way_to_make_it_a_script(place: Path, path: str, quoted: str) -> None:
    repo = made(place)
    (repo / path).parent.mkdir(exist_ok=True)
    (repo / "main.py").rename(repo / path)
    said = refusal(cockpit(place, *NEW, cwd=repo))
    assert f"{path} is a notebook" in said and f"`jupyter nbconvert --to script {quoted}`" in said


def test_a_bare_repository_is_refused_as_one(place: Path) -> None:
    git(made(place), "clone", "-q", "--bare", ".", str(place / "bare.git"))
    said = refusal(cockpit(place, *NEW, "--repo", str(place / "bare.git")))
    assert said == f"{place}/bare.git is a bare git repository: clone it, and name the clone with --repo"


def test_a_removed_current_folder_is_one_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "cwd", _removed)
    with pytest.raises(CommandError, match="the current folder was removed: `cd` to another"):
        researched(None)


def _removed() -> Path:
    raise FileNotFoundError


PRINTED_BY_A_LIBRARY = """
LR = 0.1
def report(scores):
    for name, value in scores.items():
        print(name, "=", value)
report({"seconds": 3, "val_" + "acc": 0.9})
"""


def test_a_metric_that_the_code_does_not_name_is_read_from_the_trial_run(place: Path) -> None:
    done = cockpit(place, *NEW, "--yes", cwd=made(place, PRINTED_BY_A_LIBRARY))
    assert done.returncode == 0, done.stderr
    assert "metric     not found in the code: the trial run is read for it\n" in done.stdout
    assert "trial      it printed val_acc 0.9 within" in done.stdout
    session = session_of(SessionFolder(place / "sessions" / "night"))
    assert (session.metric.name, session.metric.is_higher_better) == ("val_acc", True)


def test_two_likely_metrics_in_the_output_are_a_question(place: Path) -> None:
    script = PRINTED_BY_A_LIBRARY.replace("seconds", "val_loss")
    said = refusal(cockpit(place, *NEW, "--yes", cwd=made(place, script)))
    assert said.endswith("give --metric val_loss or --metric val_acc")


def test_an_agents_program_is_enough_for_a_guess_in_another_language(place: Path) -> None:
    repo = place / "repo"
    repo.mkdir()
    (repo / "rule.txt").write_text("3")
    (repo / "judge.sh").write_text("echo score: 0.$(cat rule.txt)\n")
    program = "`rule.txt` is the only file you edit.\n\n```\nmake judge > run.log\n```\n`score`: higher is better\n"
    (repo / "program.md").write_text(program)
    (repo / "Makefile").write_text("judge:\n\t@sh judge.sh\n")
    commit(repo)
    done = cockpit(place, *NEW, "--yes", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "file       rule.txt                            program.md line 1" in done.stdout
    assert "command    make judge                          program.md line 4" in done.stdout
    assert "runs in    the programs on your PATH" in done.stdout
    session = session_of(SessionFolder(place / "sessions" / "night"))
    assert (session.script, session.metric.name, session.metric.is_higher_better) == ("rule.txt", "score", True)


def test_a_program_that_is_not_there_is_named_before_the_trial_run(place: Path) -> None:
    done = cockpit(place, *NEW, "--yes", "--command", "no-such-runner run main.py", cwd=made(place))
    said = "[research] command: there is no program no-such-runner on the PATH: install it, or give its whole path"
    assert refusal(done) == said and "trial" not in done.stdout


def test_a_given_python_is_named_beside_an_environment_that_it_leaves_out(place: Path) -> None:
    repo = made(place, "import not_here_at_all\n")
    (repo / ".venv" / "bin").mkdir(parents=True)
    (repo / ".venv" / "bin" / "python").symlink_to(sys.executable)
    done = cockpit(place, *NEW, "--yes", "--metric", "val_acc", "--command", "python3 main.py", cwd=repo)
    assert "the Python of this terminal; not in .venv, whose Python --command names if you want it" in done.stdout


def test_missing_data_are_refused_with_their_remedy(place: Path) -> None:
    repo = made(place, SCRIPT + 'open("data/prices.csv")\n')
    said = refusal(cockpit(place, *NEW, "--yes", cwd=repo))
    assert said == (
        "nothing was made: the trial run ended with exit code 1: FileNotFoundError: [Errno 2] No such file or"
        " directory: 'data/prices.csv'; make the file as the repository tells, or give --readable PATH for data outside"
        " it, or --command WORDS"
    )


def test_a_missing_module_is_refused_with_its_remedy(place: Path) -> None:
    repo = made(place, "import not_here_at_all\n" + SCRIPT)
    said = refusal(cockpit(place, *NEW, "--yes", cwd=repo))
    assert said == (
        "nothing was made: the trial run ended with exit code 1: ModuleNotFoundError: No module named"
        " 'not_here_at_all'; activate the environment that has it, make that the repository's .venv, or give --command"
        " with its Python"
    )


def test_a_submodule_that_is_not_checked_out_is_named_where_the_code_needs_it(place: Path) -> None:
    library = place / "library"
    library.mkdir()
    (library / "shared.py").write_text("X = 1\n")
    commit(library)
    repo = made(place, 'import sys\nsys.path.insert(0, "lib")\nimport shared\n' + SCRIPT)
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    commit(repo)
    git(place, "clone", "--quiet", str(repo), "clone")
    said = refusal(cockpit(place, *NEW, "--yes", cwd=place / "clone"))
    assert said.endswith("not checked out: the submodule lib; `git submodule update --init --recursive` brings it")


def test_code_in_another_language_needs_no_python_beside_it(place: Path) -> None:
    repo = place / "repo"
    repo.mkdir()
    (repo / "README.md").write_text("Edit `sort.c`, the only file. Run `make bench`. Lower `time_ms` is better.\n")
    (repo / "Makefile").write_text("bench:\n\t@echo time_ms: 3.5\n")
    (repo / "sort.c").write_text('int main() { printf("time_ms: %.3f", 1.0); }\n')
    commit(repo)
    done = cockpit(place, *NEW, "--repo", str(repo), "--yes")
    assert done.returncode == 0, done.stderr
    assert "trial      it printed time_ms 3.5" in done.stdout


@pytest.mark.parametrize("run", ["./run.sh", "bash run.sh", "sh run.sh > run.log 2>&1"])
def test_a_shell_script_that_builds_the_edited_file_is_the_command(place: Path, run: str) -> None:
    repo = place / "repo"
    repo.mkdir()
    (repo / "README.md").write_text(
        f"Make `sort.c` faster.\n\n```sh\n./setup.sh\n{run}\n```\n\nLower `time_ms` is better.\n"
    )
    (repo / "run.sh").write_text("#!/bin/sh\n# cc -o sort sort.c && ./sort\necho time_ms: 3.5\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "setup.sh").write_text("#!/bin/sh\n")
    (repo / "sort.c").write_text('int main() { printf("time_ms: %.3f", 1.0); }\n')
    commit(repo)
    done = cockpit(place, *NEW, "--repo", str(repo), "--yes")
    assert done.returncode == 0, done.stderr
    assert f"command    {run.split(' >')[0]} " in done.stdout and "README.md line 5" in done.stdout


def test_a_value_beside_other_words_each_time_is_refused_with_a_pattern(place: Path) -> None:
    repo = made(
        place,
        'for part in ("train", "test"):\n    print(f"The accuracy on the {part} set is {0.5 + len(part) / 10}")\n',
    )
    done = cockpit(place, *NEW, "--repo", str(repo), "--yes", "--metric", "accuracy")
    assert done.returncode == 1
    assert "accuracy is printed beside other words each time: give --pattern" in done.stderr


def test_a_value_that_is_left_open_is_refused_before_the_trial_run_has_ended(place: Path) -> None:
    script = "import time\nfor what in ('train', 'test'):\n    print(f'{what} final score: {3}/500', flush=True)\n"
    said = refusal(cockpit(place, *NEW, "--yes", cwd=made(place, f"{script}time.sleep(600)\n")))
    assert said.startswith(
        "nothing was made: in the trial run final score is printed beside other words each time: give"
    )
    assert not (place / "sessions" / "night").exists()


def test_a_score_in_sentences_is_read_from_the_trial_run_or_asked_about(place: Path) -> None:
    script = "what = 'acc' + 'uracy of the network on the '\nprint(what + '100 test images:', 54, '%')\n"
    repo = made(place, script)
    done = cockpit(place, *NEW, "--yes", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "trial      it printed accuracy 54 within" in done.stdout
    cockpit(place, "stop", "night", "--cancel", "--yes")
    (repo / "main.py").write_text(script + "print(what + '900 training images:', 99, '%')\n")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "second")
    said = refusal(cockpit(place, "new", "later", "--mode", "manual", "--yes", cwd=repo))
    assert said.startswith(
        "nothing was made: the trial run ended well, and accuracy is printed beside other words each"
    )
    assert not (place / "sessions" / "later").exists()


def test_the_names_that_a_run_printed_are_offered(place: Path) -> None:
    repo = made(place, 'report = "zeal: 3.0"\nprint(report)\n')
    done = cockpit(place, *NEW, "--repo", str(repo), "--yes")
    assert done.returncode == 1 and "--metric NAME (it printed zeal)" in done.stderr
