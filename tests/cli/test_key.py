"""The API key reaches no file of a session, nothing that is printed, and no process that a session starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit, environment
from tests.worker.sessions import SCRIPT, git, repository, state_of, wait_for

SECRETS = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-do-not-tell-1",
    "ANTHROPIC_AUTH_TOKEN": "do-not-tell-2",
    "ANTHROPIC_CUSTOM_HEADERS": "x-key: do-not-tell-3",
}
LOOKS_ROUND = """
import glob
looked = found = 0
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        environment = open(path, "rb").read()
    except OSError:
        continue
    looked += 1
    found += KEY in environment
    told = [line for line in environment.split(b"\\0") if KEY in line]
    if told:
        print("found a key in", path, open(path.replace("environ", "cmdline"), "rb").read())
print("looked into", looked, "processes,", found, "told")
""".replace("KEY", "bytes([100, 111]) + b'-not-tell'")
"""An experiment of a curious model, which looks for the key. It does not hold the words it looks for."""
TELLS_ALL = "import os, sys\nprint(dict(os.environ))\n"


def leaks(place: Path) -> list[str]:
    """Return the files that hold any of it."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(secret.encode() in path.read_bytes() for secret in ("do-not-tell",))]


def test_preparing_a_corpus_does_not_see_it(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SCRIPT)
    (repo / "prepare.py").write_text(
        f"# COCKPIT_DATA_DIR\n{TELLS_ALL}open('seen.txt', 'w').write(str(os.environ))\nsys.exit(1)\n"
    )
    done = cockpit(tmp_path, "new", "night", "--fleet", "local", cwd=repo, COCKPIT_DATA_DIR=str(tmp_path), **SECRETS)
    assert done.returncode == 1 and "PATH" in (repo / "seen.txt").read_text()
    assert "do-not-tell" not in done.stdout + done.stderr
    assert leaks(tmp_path) == []


@pytest.mark.timeout(120)
def test_runs_git_and_on_event_do_not_see_it(tmp_path: Path) -> None:
    script = TELLS_ALL + SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt")))
    repo = repository(tmp_path / "repo", script)
    (repo / "cockpit.toml").write_text("on_event = 'env >> told.txt'\n")
    hook = repo / ".git" / "hook.sh"
    hook.write_text(f"#!/bin/sh\nenv >> {tmp_path}/git.txt\n")
    hook.chmod(0o755)
    git(repo, "config", "core.fsmonitor", str(hook))
    words = ("new", "night", "--fleet", "local", "--clusters", "1", "--mode", "manual", "--proposer", "claude")
    done = cockpit(tmp_path, *words, cwd=repo, **SECRETS)
    assert done.returncode == 0, done.stderr
    folder = SessionFolder(tmp_path / "sessions" / "night")
    try:
        assert cockpit(tmp_path, "propose", "MATRIX_LR=0.02", cwd=repo, **SECRETS).returncode == 0
        wait_for(lambda: (repo / "told.txt").exists(), 30, "the command to be told")
        wait_for(lambda: state_of(folder).incumbent, 30, "the baseline")
    finally:
        worker_process.terminate(folder)
    assert "PATH" in folder.log("e0000.1").read_text()
    assert leaks(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.timeout(120)
def test_an_experiment_that_looks_into_every_process_finds_no_key(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", LOOKS_ROUND + SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt"))))
    words = ("new", "night", "--fleet", "local", "--clusters", "1", "--mode", "manual", "--proposer", "claude")
    folder = SessionFolder(tmp_path / "sessions" / "night")
    done = cockpit(tmp_path, *words, cwd=repo, **SECRETS)
    assert done.returncode == 0, done.stderr
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "cockpit", "mcp", "night"],
            cwd=repo, env=environment(tmp_path / "sessions", **SECRETS), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as beside:  # fmt: skip
            assert beside.stdin and beside.stdout
            beside.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
            beside.stdin.flush()
            beside.stdout.readline()
            wait_for(lambda: state_of(folder).incumbent, 60, "the baseline")
            assert cockpit(tmp_path, "propose", "MATRIX_LR=0.02", cwd=repo, **SECRETS).returncode == 0
            assert cockpit(tmp_path, "approve", "w001", cwd=repo).returncode == 0
            wait_for(lambda: state_of(folder).experiments["e0001"].scores, 60, "the second run")
            beside.stdin.close()
    finally:
        worker_process.terminate(folder)
    # A process has its environment until its first lines have run: the baseline may see others begin, never the worker.
    assert "worker" not in folder.log("e0000.1").read_text()
    said = folder.log("e0001.1").read_text()
    assert "found a key" not in said
    assert ", 0 told" in said and "looked into 0" not in said


@pytest.mark.timeout(120)
def test_a_worker_that_is_started_again_has_the_key_and_one_without_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = repository(tmp_path / "repo", SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt"))))
    words = ("new", "night", "--fleet", "local", "--clusters", "1", "--mode", "manual", "--proposer", "claude")
    (repo / "cockpit.toml").write_text('[agent]\nbase_url = "http://127.0.0.1:9"\ntries = 1\nkey_file = ""\n')
    assert cockpit(tmp_path, *words, cwd=repo).returncode == 0
    folder = SessionFolder(tmp_path / "sessions" / "night")

    def troubles() -> str:
        return "\n".join(message.text for message in state_of(folder).messages if message.kind == "trouble")

    try:
        assert cockpit(tmp_path, "say", "Where are we?", cwd=repo).returncode == 0
        wait_for(lambda: "There is no API key" in troubles(), 60, "it to say that there is no key")
        assert worker_process.terminate(folder)
        for name, secret in SECRETS.items():
            monkeypatch.setenv(name, secret)
        worker_process.start(folder)
        assert cockpit(tmp_path, "budget", "100", cwd=repo).returncode == 0
        assert cockpit(tmp_path, "say", "And now?", cwd=repo).returncode == 0
        wait_for(lambda: "the API is unreachable" in troubles(), 60, "the API to be asked with the key")
    finally:
        worker_process.terminate(folder)
    assert leaks(tmp_path) == []
