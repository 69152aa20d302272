"""The watcher's screen as the forced command of an SSH key, on a real sshd."""

import getpass
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cockpit.session import lock, worker_process
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from tests.tui.terminal import ROOT, needs_tmux, terminal
from tests.worker.sessions import local_session, state_of, wait_for

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"

pytestmark = [
    needs_tmux,
    pytest.mark.skipif(not (Path(SSHD).exists() and shutil.which("ssh")), reason="openssh-server is not installed"),
]

DOCUMENTED = (
    'command="/usr/bin/env -i TERM=\\"$TERM\\" COLORTERM=\\"$COLORTERM\\" SSH_CONNECTION=\\"$SSH_CONNECTION\\"'
    " LANG=C.UTF-8 /srv/autoresearch/.venv/bin/python -I -m cockpit watch /srv/autoresearch/sessions/night"
    '",restrict,pty '
)
PYTHON_M_COCKPIT = "/srv/autoresearch/.venv/bin/python -I -m cockpit"
RUN_THIS_TREE = (
    f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('cockpit', run_name='__main__')"
)
"""Runs this working tree as `python -m cockpit` would an installed one: `-I` keeps the folder it starts in out."""
PYTHON_VARIABLES = {"PYTHONHOME": "/nowhere", "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error", "PYTHONNOUSERSITE": ""}


class Server:
    """An sshd on loopback that lets one key in, for the documented command, and takes all variables of the client."""

    def __init__(self, place: Path, session: SessionFolder, more: str = "") -> None:
        """Start it; `more` is added to its configuration."""
        self.place = place
        for name in ("host", "watcher"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
            subprocess.run(make, check=True, capture_output=True)
        this_tree = shlex.join([sys.executable, "-I", "-c", RUN_THIS_TREE]).replace('"', '\\"')
        line = DOCUMENTED.replace(PYTHON_M_COCKPIT, this_tree)
        line = line.replace("/srv/autoresearch/sessions/night", str(session.root))
        (place / "authorized_keys").write_text(line + (place / "watcher.pub").read_text())
        self.port = free_port()
        (place / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized_keys\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin yes\nAcceptEnv *\n"
            f"{more}"
        )
        self.log = (place / "sshd.log").open("wb")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd started by root needs this folder
        # `-D` keeps it a child of this process, and the monitor of every connection: it can be ended with them.
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(place / "sshd_config")], stderr=self.log)
        wait_for(self._listens, 20, "sshd to listen")

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self.place / "sshd.log").read_text()
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def ssh(self, *options: str) -> list[str]:
        """Return the client's command, which trusts this server and knows the watcher's key only."""
        return [
            "ssh", "-F", "none", "-i", str(self.place / "watcher"), "-p", str(self.port),
            "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
            "-o", f"UserKnownHostsFile={self.place}/known", *options, f"{getpass.getuser()}@127.0.0.1",
        ]  # fmt: skip

    def close(self) -> None:
        for child in psutil.Process(self.process.pid).children(recursive=True):
            child.kill()
        self.process.kill()
        self.process.wait()
        self.log.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionFolder]:
    folder = local_session(tmp_path_factory.mktemp("ssh"), clusters=1, mode="manual")
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).outcome_counts, 40, "the baseline")
    yield folder
    worker_process.terminate(folder)


@pytest.fixture(scope="module")
def server(session: SessionFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("sshd"), session)
    yield made
    made.close()


def watchers(server: Server) -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process(server.process.pid).children(recursive=True)
        if RUN_THIS_TREE in process.cmdline() and "watch" in process.cmdline()
    ]


def test_the_tested_line_is_the_documented_one() -> None:
    assert DOCUMENTED in (ROOT / "docs" / "watching.md").read_text()


def test_the_ssh_key_gets_the_screen_and_no_key_acts(server: Server, session: SessionFolder) -> None:
    with terminal(server.ssh("-t"), 80, 24) as screen:
        screen.wait_for("WATCHING", "cpu-01", "worker running")
        for key in ("a", "x", "H", "E", "i", "s"):
            screen.press(key)
        screen.press("3")
        shown = screen.wait_for("step 00000")
        assert "Cancel" not in shown
        screen.press("q")
        screen.wait_for("ended with 0")
    inbox = Inbox(session.inbox)
    assert inbox.after(0) == []
    inbox.close()


def test_the_screen_runs_in_place_of_any_other_command(server: Server, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with terminal([*server.ssh("-t"), f"touch {touched}; sh"]) as screen:
        screen.wait_for("WATCHING", "cpu-01")
    done = subprocess.run([*server.ssh(), f"touch {touched}"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cockpit: watch needs a terminal")
    copied = subprocess.run([*server.ssh("-s"), "sftp"], input=b"", capture_output=True, timeout=60)
    assert copied.returncode != 0
    assert not touched.exists()


def test_no_variable_of_the_client_runs_its_code(server: Server, tmp_path: Path) -> None:
    touched, own = tmp_path / "touched", tmp_path / "own"
    own.mkdir()
    noted = f"from pathlib import Path\nPath({str(touched)!r}).touch()\n"
    for name in ("sitecustomize", "usercustomize", "cockpit", "textual", "msgspec", "encodings", "evil"):
        (own / f"{name}.py").write_text(noted)
    for name in ("tmux", "git", "env", "python", "ps"):
        (own / name).write_text(f"#!/bin/sh\ntouch {touched}\n")
        (own / name).chmod(0o755)
    sent = PYTHON_VARIABLES | {
        "PYTHONPATH": str(own), "PYTHONSTARTUP": str(own / "evil.py"), "PYTHONUSERBASE": str(own), "PATH": str(own),
        "PYTHONBREAKPOINT": "evil.evil", "PYTHONPYCACHEPREFIX": str(own), "HOME": str(own), "TMUX": f"{own}/socket,1,0",
        "TEXTUAL_DRIVER": "evil:Driver", "TEXTUAL": "debug", "COCKPIT_DATA_DIR": str(own), "XDG_CONFIG_HOME": str(own),
    }  # fmt: skip
    # `SetEnv` is one option: ssh takes the first of several.
    options = ["-o", "SetEnv=" + " ".join(f"{name}={value}" for name, value in sent.items() if value)]
    with terminal(server.ssh("-t", *options), 80, 24) as screen:
        screen.wait_for("WATCHING", "cpu-01", "worker running")
        screen.press("3")
        screen.wait_for("step 00000")
        screen.press("y")
        screen.press("q")
        screen.wait_for("ended with 0")
    assert not touched.exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash alone takes functions from its environment")
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_no_function_of_the_client_s_shell_replaces_a_word_of_the_command(
    session: SessionFolder, tmp_path: Path, shell: str
) -> None:
    """Send functions as bash hands them on: one of them would run in the place of a program or builtin of its name."""
    touched = tmp_path / "touched"
    command = DOCUMENTED.removeprefix('command="').partition('",restrict')[0].replace('\\"', '"')
    command = command.replace(PYTHON_M_COCKPIT, shlex.join([sys.executable, "-I", "-c", RUN_THIS_TREE]))
    command = command.replace("/srv/autoresearch/sessions/night", str(session.root))
    words = ("exec", "env", "command", "eval", "builtin", "python", "/usr/bin/env")
    sent = {f"BASH_FUNC_{word}%%": f"() {{ touch {touched}; }}" for word in words}
    mine = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}  # they have .bashrc read
    done = subprocess.run(
        [shell, "-c", command], env=mine | sent, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert "watch needs a terminal" in done.stderr
    assert not touched.exists()


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler")
@pytest.mark.parametrize("documented", [True, False], ids=["documented", "without it"])
def test_the_documented_match_keeps_the_variables_of_loader_and_shell_out(
    session: SessionFolder, tmp_path: Path, documented: bool
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "evil.c").write_text(
        f'#include <fcntl.h>\n__attribute__((constructor)) void f(void) {{ open("{touched}", O_CREAT, 0600); }}\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "evil.so", tmp_path / "evil.c"], check=True)
    (tmp_path / "evil.sh").write_text(f"touch {touched}\n")
    found = re.search(r"Match User watcher\n    (SetEnv .*)\n", (ROOT / "docs" / "watching.md").read_text())
    assert found is not None
    (tmp_path / "sshd").mkdir()
    more = f"Match User {getpass.getuser()}\n    {found[1]}\n" if documented else ""
    server = Server(tmp_path / "sshd", session, more)
    try:
        for sent in (
            f"LD_PRELOAD={tmp_path}/evil.so",
            f"LD_AUDIT={tmp_path}/evil.so",
            f"BASH_ENV={tmp_path}/evil.sh",
            f'SHELLOPTS=xtrace "PS4=$(touch {touched})"',
        ):
            command = server.ssh("-o", f"SetEnv={sent} ENV={tmp_path}/evil.sh")
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert "watch needs a terminal" in done.stderr
    finally:
        server.close()
    assert touched.exists() != documented, "what is sent does act where nothing keeps it out"


def test_no_port_is_forwarded_out(server: Server) -> None:
    port = free_port()
    there = f"{port}:127.0.0.1:{server.port}"
    with subprocess.Popen(server.ssh("-N", "-L", there), stderr=subprocess.DEVNULL) as link:
        try:
            # The client listens here, but the server opens no connection for it.
            wait_for(lambda: answer(port) is not None, 30, "the client to listen")
            assert answer(server.port) == b"SSH"
            assert answer(port) == b""
        finally:
            link.kill()


def test_no_port_is_forwarded_in(server: Server) -> None:
    there = f"{free_port()}:127.0.0.1:{server.port}"
    asked = subprocess.run(
        server.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-R", there), capture_output=True, text=True, timeout=30
    )
    assert asked.returncode != 0
    assert "remote port forwarding failed" in asked.stderr


def answer(port: int) -> bytes | None:
    """Return the first bytes from a port; None where nothing listens."""
    with socket.socket() as through:
        through.settimeout(20)
        if through.connect_ex(("127.0.0.1", port)) != 0:
            return None
        try:
            return through.recv(3)
        except ConnectionResetError:
            return b""


def test_a_link_that_drops_leaves_no_process_and_nothing_broken(server: Server, session: SessionFolder) -> None:
    with terminal(server.ssh("-t")) as screen:
        screen.wait_for("WATCHING", "cpu-01")
        left = watchers(server)
        assert left
        screen.hang_up()
        _, alive = psutil.wait_procs(left, timeout=40)
        assert not alive
    assert lock.worker_status(session).state == "running"
    with terminal(server.ssh("-t")) as screen:
        screen.wait_for("WATCHING", "cpu-01", "worker running")
