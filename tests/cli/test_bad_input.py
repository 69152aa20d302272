"""Bad input gets one sentence that says what to do, a status that is not 0, and costs nothing that was there."""

import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.session import lock, worker_process
from cockpit.session.event_stream import MAGIC, StreamReader, StreamWriter
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.settings import NewSession
from tests.cli.shell import cockpit, environment, refusal, terminal
from tests.worker.sessions import ROOT, SCRIPT, git, make, repository, state_of, wait_for

NEW = ("new", "night", "--fleet", "local", "--clusters", "1", "--mode", "manual")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with a repository in `repo`; the workers of its sessions end with the test."""
    script = SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt")))
    repository(tmp_path / "repo", script)
    yield tmp_path
    for ledger in (tmp_path / "sessions").glob("*/ledger.db"):
        worker_process.terminate(SessionFolder(ledger.parent))


def new(place: Path, *words: str, **more: str) -> str:
    """Make a session in the repository; returns what was said."""
    done = cockpit(place, *NEW, *words, cwd=place / "repo", **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def no_session(place: Path) -> bool:
    return not list(place.glob("sessions/*/ledger.db"))


@pytest.mark.parametrize("command", [(), ("open",), ("watch",), ("demo",), ("replay",)])
def test_a_command_that_draws_needs_a_terminal_and_names_one_that_does_not(
    place: Path, command: tuple[str, ...]
) -> None:
    said = refusal(cockpit(place, *command, cwd=place / "repo"))
    assert "needs a terminal" in said and "status --json" in said
    assert not said.startswith("cockpit"), "the name is before each sentence already"
    assert no_session(place)


def test_a_screen_whose_standard_error_goes_elsewhere_is_refused(place: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cockpit", "demo"],
            cwd=place, env=environment(place / "sessions", TERM="xterm"),
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert "draws on standard error" in refusal(done)
    assert no_session(place)


def test_a_terminal_that_cannot_draw_is_refused(place: Path) -> None:
    with terminal(place, columns=80, rows=24, cwd=place / "repo", TERM="dumb") as shown:
        shown.until("cannot draw on this terminal")
        assert shown.ended() == 1


def test_a_terminal_of_20x5_says_how_large_it_must_be_and_lets_go(place: Path) -> None:
    new(place)
    with terminal(place, "watch", columns=20, rows=5, cwd=place / "repo") as shown:
        shown.until("60×20")
        assert shown.leave() == 0


def test_a_folder_without_train_py_is_refused(tmp_path: Path) -> None:
    assert "there is no train.py" in refusal(cockpit(tmp_path, *NEW))
    assert "is not a folder" in refusal(cockpit(tmp_path, *NEW, "--repo", str(tmp_path / "nowhere")))


def test_a_folder_outside_git_is_refused_with_the_command_to_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    assert "git init" in refusal(cockpit(tmp_path, *NEW))
    assert no_session(tmp_path)


def test_a_repository_without_a_commit_is_refused_with_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    git(tmp_path, "init", "-q")
    assert "git commit" in refusal(cockpit(tmp_path, *NEW))


def test_a_dirty_repository_works_and_is_called_dirty(place: Path) -> None:
    train = place / "repo" / "train.py"
    train.write_text(train.read_text().replace("MATRIX_LR = 0.04", "MATRIX_LR = 0.03"))
    before = git(place / "repo", "status", "--porcelain")
    assert "train.py has changes that are not committed" in new(place)
    session = state_of(SessionFolder(place / "sessions" / "night")).session
    assert session is not None and session.constants["MATRIX_LR"] == 0.03
    assert git(place / "repo", "status", "--porcelain") == before == " M train.py\n"


def test_a_script_without_constants_works_and_is_reported_to_take_patches_only(place: Path) -> None:
    (place / "repo" / "train.py").write_text('print("val_bpb: 1.0")\n')
    assert "only patches can be proposed" in new(place)
    refused = cockpit(place, "propose", "LR=1,2", "-s", "night", cwd=place / "repo")
    assert "There is no constant 'LR' in train.py" in refusal(refused)


def test_a_script_with_a_syntax_error_is_refused_with_its_line(place: Path) -> None:
    train = place / "repo" / "train.py"
    train.write_text(train.read_text() + "\ndef (:\n")
    said = refusal(cockpit(place, *NEW, cwd=place / "repo"))
    assert re.search(r"line \d+", said, re.IGNORECASE)
    assert no_session(place)


def test_a_script_that_can_print_no_score_is_refused_before_it_runs(place: Path) -> None:
    (place / "repo" / "train.py").write_text("LR = 1\nprint(LR)\n")
    assert "val_bpb" in refusal(cockpit(place, *NEW, cwd=place / "repo"))
    assert no_session(place)


def with_corpus(place: Path) -> None:
    """Cockpit's own prepare.py, beside a script that needs no torch."""
    shutil.copy(ROOT / "prepare.py", place / "repo")
    git(place / "repo", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "corpus")


@pytest.mark.timeout(180)
def test_a_corpus_that_is_empty_or_torn_is_prepared_anew(place: Path) -> None:
    with_corpus(place)
    data = place / "data"
    (data / "stdlib").mkdir(parents=True)
    new(place, COCKPIT_DATA_DIR=str(data))
    whole = (data / "stdlib" / "train.jsonl").read_bytes()
    (data / "stdlib" / "train.jsonl").write_bytes(whole[:1000])
    again = cockpit(place, "new", "again", "--fleet", "local", "--clusters", "1", "--mode", "manual",
                    cwd=place / "repo", COCKPIT_DATA_DIR=str(data))  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "preparing the corpus stdlib" in again.stderr
    assert (data / "stdlib" / "train.jsonl").read_bytes() == whole
    labels = {state_of(SessionFolder(place / "sessions" / name)).session.corpus for name in ("night", "again")}
    assert len(labels) == 1 and labels.pop().startswith("stdlib ")


def test_a_corpus_that_cannot_be_prepared_is_one_sentence(place: Path) -> None:
    with_corpus(place)
    (place / "data").write_text("a file where the folder should be")
    done = cockpit(place, *NEW, cwd=place / "repo", COCKPIT_DATA_DIR=str(place / "data"))
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "COCKPIT_DATA_DIR" in last
    unknown = cockpit(place, *NEW, "--corpus", "novels", cwd=place / "repo")
    assert "climbmix or stdlib" in refusal(unknown)
    assert no_session(place)


def test_a_repository_that_will_not_do_is_refused_before_a_corpus_takes_its_time(place: Path) -> None:
    with_corpus(place)
    data = place / "data"
    (place / "repo" / "train.py").write_text("LR = 1\nprint(LR)\n")
    done = cockpit(place, *NEW, cwd=place / "repo", COCKPIT_DATA_DIR=str(data))
    assert "val_bpb" in refusal(done) and not data.exists()
    assert git(place / "repo", "for-each-ref", "refs/cockpit") == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--fleet local --hardware H100:1", "--hardware is for SkyPilot"),
        ("--fleet sim --infra k8s", "--infra is for SkyPilot"),
        ("--fleet sim --corpus stdlib", "--corpus is for runs on this machine"),
    ],
)
def test_a_flag_that_would_change_nothing_is_refused(place: Path, words: str, said: str) -> None:
    assert said in refusal(cockpit(place, "new", "night", *words.split(), cwd=place / "repo"))
    assert no_session(place)


def test_a_baseline_without_a_result_is_reported_with_why(place: Path) -> None:
    train = place / "repo" / "train.py"
    train.write_text(train.read_text() + '\nprint("val_bpb: nan")\n')
    new(place)
    folder = SessionFolder(place / "sessions" / "night")
    wait_for(lambda: lock.worker_status(folder).state == "stopped", 30, "the session to end")
    shown = cockpit(place, "status", cwd=place / "repo").stdout
    assert "! the unchanged train.py gives no result (it printed val_bpb nan, which is not a number): mend" in shown


@pytest.mark.parametrize("name", ["a/b", "../night", "", "..", "-x y", "ü", "a" * 65])
def test_a_name_that_no_folder_should_have_is_refused(place: Path, name: str) -> None:
    said = refusal(cockpit(place, "new", "--", name, cwd=place / "repo"))
    assert "name" in said
    assert no_session(place)


@pytest.mark.parametrize("command", ["open", "status", "results", "report", "watch", "stop", "down"])
def test_a_session_that_is_not_there_is_refused_by_name(place: Path, command: str) -> None:
    with terminal(place, command, "nihgt", columns=80, rows=24, cwd=place / "repo") as shown:
        shown.until("there is no session 'nihgt'")
        assert shown.ended() == 1


def test_a_name_that_is_taken_is_refused(place: Path) -> None:
    new(place)
    before = state_of(SessionFolder(place / "sessions" / "night")).session
    assert "there is a session night already" in refusal(cockpit(place, *NEW, cwd=place / "repo"))
    assert state_of(SessionFolder(place / "sessions" / "night")).session == before


def test_a_second_worker_is_refused_and_the_first_continues(place: Path) -> None:
    new(place)
    folder = SessionFolder(place / "sessions" / "night")
    first = lock.worker_status(folder)
    second = subprocess.run(
        [sys.executable, "-m", "cockpit.worker.main", str(folder.root)], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert second.stderr.strip().startswith("a worker already runs session night")
    assert "cockpit stop night" in second.stderr and "Traceback" not in second.stderr
    now = lock.worker_status(folder)
    assert (now.state, now.pid) == ("running", first.pid)


def stopped_session(place: Path) -> SessionFolder:
    return make(place, place / "repo", NewSession(fleet="local", clusters=1, mode="manual"), 1.0)


READERS = (("status",), ("status", "--json"), ("results",), ("report", "-o", "-"), ("log", "e0000"), ("hold",))


def test_a_damaged_event_stream_is_named_by_every_command_and_left_unchanged(place: Path) -> None:
    folder = stopped_session(place)
    whole = folder.events.read_bytes()
    damaged = whole[:-1] + bytes([whole[-1] ^ 1])
    folder.events.write_bytes(damaged)
    for words in READERS:
        said = refusal(cockpit(place, *words, cwd=place / "repo"))
        assert f"{folder.events} is damaged after event" in said and "`cockpit repair night`" in said
    assert folder.events.read_bytes() == damaged
    listed = cockpit(place, "list", cwd=place / "repo")
    assert listed.returncode == 0 and "is damaged" in listed.stdout
    repaired = cockpit(place, "repair", cwd=place / "repo")
    assert repaired.returncode == 0 and "repaired; the damaged files are in" in repaired.stdout
    assert cockpit(place, "status", cwd=place / "repo").returncode == 0


def test_a_torn_ledger_stops_its_worker_and_no_reader(place: Path) -> None:
    folder = stopped_session(place)
    torn = folder.ledger.read_bytes()[:5_000]
    for extra in folder.root.glob("ledger.db-*"):
        extra.unlink()
    folder.ledger.write_bytes(torn)
    with pytest.raises(lock.WorkerError, match="`cockpit repair night` keeps"):
        worker_process.start(folder)
    assert cockpit(place, "status", cwd=place / "repo").returncode == 0
    checked = cockpit(place, "verify", cwd=place / "repo")
    assert checked.returncode == 1 and str(folder.ledger) in checked.stdout
    assert folder.ledger.read_bytes() == torn


def test_a_file_that_is_not_an_event_stream_is_refused(place: Path) -> None:
    folder = stopped_session(place)
    for body in (b"not a ledger at all, " * 500, b""):
        folder.events.write_bytes(body)
        assert "is damaged after event 0" in refusal(cockpit(place, "status", cwd=place / "repo"))


def test_a_session_without_its_files_is_refused(place: Path) -> None:
    folder = stopped_session(place)
    folder.events.unlink()
    folder.ledger.write_bytes(b"not a ledger at all, " * 500)
    assert "is torn" in refusal(cockpit(place, "status", cwd=place / "repo"))
    folder.ledger.write_bytes(b"")
    assert "is not a cockpit ledger" in refusal(cockpit(place, "status", cwd=place / "repo"))


def test_a_newer_event_stream_is_refused_with_upgrade(place: Path) -> None:
    folder = stopped_session(place)
    folder.events.write_bytes(folder.events.read_bytes().replace(MAGIC, b"cockpit events 9\n", 1))
    for words in READERS:
        said = refusal(cockpit(place, *words, cwd=place / "repo"))
        assert "newer cockpit" in said and "upgrade" in said


def test_a_newer_ledger_is_refused_by_the_worker_with_upgrade(place: Path) -> None:
    folder = stopped_session(place)
    db = sqlite3.connect(folder.ledger)
    db.execute("PRAGMA user_version=99")
    db.close()
    before = folder.ledger.read_bytes()
    with pytest.raises(lock.WorkerError, match=r"newer cockpit.* upgrade"):
        worker_process.start(folder)
    assert folder.ledger.read_bytes() == before


def test_an_event_of_a_newer_cockpit_is_refused_with_upgrade(place: Path) -> None:
    folder = stopped_session(place)
    reader = StreamReader(folder.events)
    for _ in reader.frames():
        pass
    writer = StreamWriter(folder.events, reader.place)
    body = b'{"kind":"Teleported","at":2.0}'
    writer.append([body])
    db = sqlite3.connect(folder.ledger)
    db.execute("INSERT INTO events (at, body, chain) VALUES (2.0, ?, ?)", (body, writer.end.chain))
    db.commit()
    db.close()
    writer.close()
    reader.close()
    said = refusal(cockpit(place, "status", cwd=place / "repo"))
    assert "newer cockpit" in said and "upgrade" in said
    before = folder.ledger.read_bytes()
    with pytest.raises(lock.WorkerError, match="newer cockpit"):
        worker_process.start(folder)
    assert folder.ledger.read_bytes() == before


def test_a_wrong_setting_is_refused_by_name(place: Path) -> None:
    (place / "repo" / "cockpit.toml").write_text("[session]\nclustres = 2\n")
    said = refusal(cockpit(place, "new", "night", cwd=place / "repo"))
    assert "there is no setting 'clustres' in [session]: did you mean 'clusters'?" in said
    (place / "repo" / "cockpit.toml").write_text("[session]\nclusters = 'two'\n")
    said = refusal(cockpit(place, "new", "night", cwd=place / "repo"))
    assert "cockpit.toml: [session] clusters: expected `int`, got `str`" in said
    for wrong, of in (("mode", "auto"), ("fleet", "cloud")):
        (place / "repo" / "cockpit.toml").write_text(f"[session]\n{wrong} = '{of}'\n")
        assert f"there is no {wrong} '{of}'" in refusal(cockpit(place, "new", "night", cwd=place / "repo"))
    assert no_session(place)


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5"])
def test_an_invalid_count_of_clusters_is_refused(place: Path, count: str) -> None:
    said = refusal(cockpit(place, "new", f"--clusters={count}", cwd=place / "repo"))
    assert f"'{count}' is invalid: expected an integer of at least 1" in said
    assert no_session(place)


def test_more_clusters_than_any_fleet_has_are_refused(place: Path) -> None:
    done = cockpit(place, "new", "--fleet", "sim", "--clusters", "99999999", cwd=place / "repo")
    assert "expected 1 to 10000" in refusal(done)


def test_a_refusal_of_the_worker_is_the_commands_own_sentence(place: Path) -> None:
    new(place)
    for words, said in (
        (("approve", "w777"), "there is no wave 'w777'"),
        (("reject", "w000"), "w000 is "),
        (("rerun", "e7777"), "there is no experiment 'e7777'"),
        (("kill", "e7777.1"), "e7777.1 is not running"),
        (("hold", "gpu-99"), "there is no wave or cluster 'gpu-99'"),
        (("relaunch", "gpu-99"), "there is no cluster 'gpu-99'"),
        (("propose", "NOPE=1,2"), "NOPE"),
        (("diff", "e7777"), "there is no experiment 'e7777'"),
        (("log", "e7777"), "there is no experiment 'e7777'"),
    ):
        assert said in refusal(cockpit(place, *words, cwd=place / "repo"))


def as_nobody(folder: SessionFolder, *words: str) -> tuple[int, str]:
    """Run `cockpit WORDS` as another Unix user of the folder's group. Returns (exit status, its output)."""
    code = f"""
import contextlib, getpass, io, os, sys
import cockpit.cli.ending, cockpit.cli.steer, cockpit.decide.handle_intents, psutil
from cockpit.cli.main import main
from cockpit.cli.parser import parser

parser()
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["status", {str(folder.root)!r}, "--json"])  # imports the rest while this user may still read it
os.setgroups([])
os.setgid({folder.root.stat().st_gid})
os.setuid(65534)
main(sys.argv[1:])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment(folder.root.parent), cwd="/", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_s_session_can_be_read_and_not_steered_or_stopped() -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        place = Path(open_to_all)
        place.chmod(0o755)
        repository(place / "repo", SCRIPT.replace("RUNS_FILE", repr("/dev/null")))
        folder = stopped_session(place)
        worker_process.start(folder)
        try:
            root = str(folder.root)
            status, said = as_nobody(folder, "status", root, "--json")
            assert status == 0 and json.loads(said)["session"] == "night", said
            status, said = as_nobody(folder, "hold", "-s", root)
            assert status == 1 and "you may watch session night, not steer it" in said
            status, said = as_nobody(folder, "stop", root, "--leave")
            assert status == 1 and said.startswith("cockpit: you may watch session night, not stop it"), said
            assert lock.worker_status(folder).state == "running"
        finally:
            worker_process.terminate(folder)


def test_nothing_of_a_refused_steering_reaches_the_ledger(place: Path) -> None:
    folder = stopped_session(place)
    ledger = LedgerReader(folder)
    before = ledger.last_seq()
    refusal(cockpit(place, "propose", "LR", cwd=place / "repo"))
    refusal(cockpit(place, "kill", "e0000", cwd=place / "repo"))
    assert ledger.last_seq() == before
    ledger.close()
