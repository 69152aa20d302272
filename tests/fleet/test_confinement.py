"""Promises of the walls around a run on this machine, each tried from inside by a hostile script."""

import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.fleet.node import confinement, system_calls
from cockpit.fleet.node.confinement import (
    LANDLOCK_ABI_AT_LEAST,
    Sandbox,
    Wall,
    confined,
    environment_paths,
    landlock_abi,
)
from cockpit.fleet.node.system_calls import Confinement

PYTHON = [sys.executable, "-u", "attempt.py"]
PRELUDE = """
import json, os, signal, socket, subprocess, sys, time
def outcome(act):
    try:
        return act()
    except OSError as error:
        return f"refused: {type(error).__name__}"
"""


def usable(wall: Wall) -> bool:
    if wall is Wall.BUBBLEWRAP:
        return confinement.available().wall is Wall.BUBBLEWRAP
    return sys.platform == "linux" and landlock_abi() >= LANDLOCK_ABI_AT_LEAST


@pytest.fixture(params=[Wall.BUBBLEWRAP, Wall.LANDLOCK])
def wall(request: pytest.FixtureRequest) -> Wall:
    chosen: Wall = request.param
    if not usable(chosen):
        pytest.skip(f"this machine does not allow {chosen}")
    return chosen


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    folder, data = tmp_path / "run", tmp_path / "data"
    for path in (folder, data):
        path.mkdir()
    (data / "corpus.txt").write_text("words")
    return Sandbox(folder, (*environment_paths(PYTHON), data))


def attempt(sandbox: Sandbox, wall: Wall, expression: str, locks: bool = True, **environment: str) -> object:
    """Return the value of `expression` inside the confinement, or its refusal."""
    script = f"{PRELUDE}\nprint(json.dumps(outcome(lambda: {expression})))\n"
    (sandbox.folder / "attempt.py").write_text(script)
    ran = subprocess.run(
        [*system_calls.refusing(Confinement(wall, sandbox.network, locks)), *confined(PYTHON, sandbox, wall)],
        cwd=sandbox.folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def refused(found: object) -> bool:
    return isinstance(found, str) and found.startswith("refused")


def test_a_run_writes_its_own_folder(sandbox: Sandbox, wall: Wall) -> None:
    assert attempt(sandbox, wall, "open('model.pt', 'w').write('weights')") == 7
    assert (sandbox.folder / "model.pt").read_text() == "weights"


def test_a_run_reads_its_data_and_cannot_change_it(sandbox: Sandbox, wall: Wall) -> None:
    data = sandbox.folder.parent / "data" / "corpus.txt"
    assert attempt(sandbox, wall, f"open({str(data)!r}).read()") == "words"
    assert refused(attempt(sandbox, wall, f"open({str(data)!r}, 'w').write('easy words')"))
    assert refused(attempt(sandbox, wall, f"os.unlink({str(data)!r})"))
    assert data.read_text() == "words"


def test_a_run_does_not_see_another_run_or_the_session(sandbox: Sandbox, wall: Wall) -> None:
    for name in ("e0001.1/model.pt", "ledger.db", "inbox.db"):
        other = sandbox.folder.parent / "session" / name
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text("private")
        assert refused(attempt(sandbox, wall, f"open({str(other)!r}).read()")), name


def test_a_run_does_not_see_the_home_of_its_owner(sandbox: Sandbox, wall: Wall, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text("key")
    assert refused(attempt(sandbox, wall, "open(os.path.expanduser('~/.ssh/id_ed25519')).read()", HOME=str(home)))


def test_a_readable_folder_does_not_show_the_hidden_one_in_it(sandbox: Sandbox, wall: Wall, tmp_path: Path) -> None:
    """Hide the session and the sealed shard where a person lets runs read the folder above them."""
    repo = tmp_path / "repo"
    session = repo / "sessions" / "night"
    folder = session / "runs" / "e0001.1"
    folder.mkdir(parents=True)
    (repo / "words.txt").write_text("seen")
    (session / "ledger.db").write_text("secret")
    inside = Sandbox(folder, (*sandbox.readable, repo), hidden=(session,))
    assert attempt(inside, wall, f"open({str(repo / 'words.txt')!r}).read()") == "seen"
    assert refused(attempt(inside, wall, f"open({str(session / 'ledger.db')!r}).read()"))
    assert attempt(inside, wall, "open('own', 'w').write('x')") == 1


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/gshadow", "/root/.ssh", "/proc/1/environ"])
def test_a_run_does_not_read_what_holds_secrets(sandbox: Sandbox, wall: Wall, path: str) -> None:
    found = attempt(sandbox, wall, f"open({path!r}, 'rb').read().decode('latin-1')")
    own_first_process = path.startswith("/proc") and wall is Wall.BUBBLEWRAP  # its own namespace's
    assert refused(found) or own_first_process


def test_a_run_does_not_read_the_environment_of_another_process(sandbox: Sandbox, wall: Wall) -> None:
    with subprocess.Popen(["sleep", "30"], env={"PATH": os.environ["PATH"], "SECRET": "sk-1"}) as other:
        try:
            assert refused(attempt(sandbox, wall, f"open('/proc/{other.pid}/environ').read()"))
        finally:
            other.kill()


def test_a_run_cannot_signal_another_process(sandbox: Sandbox, wall: Wall) -> None:
    with subprocess.Popen(["sleep", "30"]) as other:
        try:
            assert refused(attempt(sandbox, wall, f"os.kill({other.pid}, signal.SIGKILL)"))
            assert other.poll() is None
        finally:
            other.kill()


@pytest.fixture
def server() -> Iterator[int]:
    """A port of this machine that takes connections; the system completes them before `accept`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_run_reaches_no_network(sandbox: Sandbox, wall: Wall, server: int) -> None:
    connect = f"bool(socket.create_connection(('127.0.0.1', {server}), timeout=5))"
    assert refused(attempt(sandbox, wall, connect))
    assert attempt(sandbox._replace(network=True), wall, connect) is True


@pytest.mark.skipif(not hasattr(socket, "AF_VSOCK"), reason="this Python knows no sockets of virtual machines")
def test_a_run_reaches_no_host_of_a_virtual_machine(sandbox: Sandbox, wall: Wall) -> None:
    assert refused(attempt(sandbox, wall, "bool(socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))"))
    for kind in ("AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"):
        kind_of = "SOCK_RAW" if kind == "AF_NETLINK" else "SOCK_STREAM"
        assert attempt(sandbox, wall, f"bool(socket.socket(socket.{kind}, socket.{kind_of}))") is True


KEYRINGS = """
import ctypes
ENOSYS, READ, SEARCH = 38, 11, 10
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *given):
    ctypes.set_errno(0)
    return libc.syscall(NUMBERS[name], *given)
def keys():
    return [call("keyctl", SEARCH, ring, b"user", b"of-the-login", 0) for ring in (-3, -4, -5)]
"""
"""Defines `call` of a system call by its name, and `keys`: the numbers of a key in the rings of session and user."""


def numbers() -> str:
    machine = system_calls.MACHINES.get(os.uname().machine)
    if machine is None:
        pytest.skip("nothing is refused on this processor")
    return f"NUMBERS = {machine.keyrings | machine.shared!r}\n{KEYRINGS}"


def test_a_run_reads_no_key_of_the_login_and_leaves_none(sandbox: Sandbox, wall: Wall) -> None:
    login = (
        f"{numbers()}\nimport subprocess, sys\ncall('keyctl', 1, None)\n"
        "assert call('add_key', b'user', b'of-the-login', b'secret', 6, -3) > 0\n"
        "assert keys()[0] > 0\nsys.exit(subprocess.run(sys.argv[1:]).returncode)"
    )
    inside = (
        f"{numbers()}\nassert max(keys()) < 0 and ctypes.get_errno() == ENOSYS\n"
        "assert call('add_key', b'user', b'left', b'weights', 7, -3) < 0\nprint('apart')"
    )
    (sandbox.folder / "attempt.py").write_text(inside)
    words = [*system_calls.refusing(Confinement(wall)), *confined(PYTHON, sandbox, wall)]
    try:
        ran = subprocess.run(
            [sys.executable, "-c", login, *words], cwd=sandbox.folder, capture_output=True, text=True, timeout=60
        )
    finally:
        (sandbox.folder / "attempt.py").unlink()
    if "assert call('add_key'" in ran.stderr:
        pytest.skip("this kernel has no keyrings")
    assert ran.stdout == "apart\n", ran.stderr


def test_a_run_leaves_no_shared_memory_or_queue_for_the_next(sandbox: Sandbox, wall: Wall) -> None:
    (sandbox.folder / "calls.py").write_text(numbers())
    for call in ("'shmget', 4242, 100, 0o1666", "'msgget', 4242, 0o1666", "'semget', 4242, 1, 0o1666"):
        made = attempt(sandbox, wall, f"__import__('calls').call({call})")
        assert made == -1 or (wall is Wall.BUBBLEWRAP and "shmget" not in call)
        if wall is Wall.BUBBLEWRAP:
            found = attempt(sandbox, wall, f"__import__('calls').call({call.replace('0o1666', '0o666')})")
            assert found == -1, "bubblewrap gives each run its own"


def test_a_run_uses_no_log_table_or_counter_of_the_kernel(sandbox: Sandbox, wall: Wall) -> None:
    """Try calls that many kernels allow: by a crash a run can leave an address in the log for the next one."""
    (sandbox.folder / "calls.py").write_text("import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n")
    for name in ("syslog", "bpf", "perf_event_open"):
        number = system_calls.MACHINES[os.uname().machine].kernel[name]
        made = f"[__import__('calls').libc.syscall({number}, 10, 0, 0, 0, 0), __import__('ctypes').get_errno()]"
        assert attempt(sandbox, wall, made) == [-1, errno.ENOSYS], name


def test_a_run_cannot_slow_or_limit_another_process(sandbox: Sandbox, wall: Wall) -> None:
    with subprocess.Popen(["sleep", "30"]) as other:
        try:
            for act in (
                f"os.setpriority(os.PRIO_PROCESS, {other.pid}, 19)",
                f"__import__('resource').prlimit({other.pid}, 0, (1, 1))",
            ):
                assert refused(attempt(sandbox, wall, act)), act
            assert os.getpriority(os.PRIO_PROCESS, other.pid) == os.getpriority(os.PRIO_PROCESS, 0)
        finally:
            other.kill()


def test_a_run_limits_and_slows_itself(sandbox: Sandbox, wall: Wall) -> None:
    assert attempt(sandbox, wall, "__import__('resource').setrlimit(0, (900, 900))") is None
    assert attempt(sandbox, wall, "os.nice(1)") == os.nice(0) + 1


def test_a_run_leaves_nothing_in_the_attributes_of_a_file(sandbox: Sandbox, wall: Wall) -> None:
    other = sandbox.folder.parent / "of-the-person"
    other.write_text("private")
    assert refused(attempt(sandbox, wall, f"os.setxattr({str(other)!r}, 'user.left', b'weights')"))


def test_servers_of_the_scorer_tell_each_other_nothing_by_locks(sandbox: Sandbox, wall: Wall) -> None:
    shared = sandbox.folder.parent / "data" / "corpus.txt"
    (sandbox.folder / "ask.py").write_text(
        "import fcntl, struct\n"
        f"file = open({str(shared)!r})\n"
        "def flocked():\n"
        "    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "def holder():\n"
        "    asked = struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)\n"
        "    return struct.unpack('hhqqi', fcntl.fcntl(file, fcntl.F_GETLK, asked))[4]\n"
        "def watching():\n"
        "    import ctypes\n"
        "    return ctypes.CDLL(None).inotify_init1(0) >= 0\n"
    )
    with shared.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_SH)
        assert refused(attempt(sandbox, wall, "__import__('ask').flocked()")), "a run sees the lock of another"
        assert attempt(sandbox, wall, "__import__('ask').flocked()", locks=False) is None
        assert attempt(sandbox, wall, "__import__('ask').holder()", locks=False) == 0
        assert attempt(sandbox, wall, "__import__('ask').watching()", locks=False) is False
        assert attempt(sandbox, wall, "__import__('ask').watching()") is True


@pytest.mark.parametrize(
    "kind", ["socket.AF_INET, socket.SOCK_DGRAM", "socket.AF_INET6, socket.SOCK_DGRAM", "socket.AF_INET, 1, 262"]
)
def test_a_run_reaches_no_network_by_another_protocol(sandbox: Sandbox, wall: Wall, kind: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.bind(("127.0.0.1", 0))
        outside.settimeout(0.5)
        port = outside.getsockname()[1]
        attempt(sandbox, wall, f"socket.socket({kind}).sendto(b'weights', ('127.0.0.1', {port}))")
        with pytest.raises(TimeoutError):
            outside.recv(100)
    if wall is Wall.LANDLOCK:
        assert refused(attempt(sandbox, wall, f"bool(socket.socket({kind}))"))


def test_tcp_is_not_reached_by_its_first_packet(sandbox: Sandbox, wall: Wall, server: int) -> None:
    fast = f"socket.socket().sendto(b'weights', socket.MSG_FASTOPEN, ('127.0.0.1', {server}))"
    assert refused(attempt(sandbox, wall, fast))


def test_a_run_keeps_the_sockets_of_its_own_processes(sandbox: Sandbox, wall: Wall) -> None:
    assert attempt(sandbox, wall, "[one.close() for one in socket.socketpair()]") == [None, None]
    assert attempt(sandbox, wall, "socket.socket(socket.AF_UNIX).bind('own')") is None


def test_a_run_loads_the_libraries_of_its_environment(sandbox: Sandbox, wall: Wall) -> None:
    assert attempt(sandbox, wall, "__import__('numpy').arange(3).sum().item()") == 3


def test_a_run_cannot_lift_the_wall(sandbox: Sandbox, wall: Wall) -> None:
    secret = sandbox.folder.parent / "secret.txt"
    secret.write_text("private")
    inner = f"import pathlib; print(pathlib.Path({str(secret)!r}).read_text())"
    for lift in (["unshare", "-Urm"], ["bwrap", "--bind", "/", "/"], []):
        command = [*lift, sys.executable, "-c", inner]
        found = attempt(sandbox, wall, f"subprocess.run({command!r}, capture_output=True, text=True).stdout")
        assert "private" not in str(found), lift


def test_a_run_changes_no_program_outside_its_wall(sandbox: Sandbox) -> None:
    """Try the program of each process that it sees: bubblewrap's own process would lead to a file of its owner."""
    if not usable(Wall.BUBBLEWRAP):
        pytest.skip("behind Landlock a run can change the mode of its owner's files")
    numbers = "filter(str.isdigit, os.listdir('/proc'))"
    act = "os.chmod(f'/proc/{n}/exe', os.stat(f'/proc/{n}/exe').st_mode & 0o7777)"
    found = attempt(sandbox, Wall.BUBBLEWRAP, f"[outcome(lambda: {act}) for n in {numbers}]")
    assert isinstance(found, list) and len(found) > 1 and all(map(refused, found))


@pytest.mark.parametrize(("code", "exit_code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_the_exit_code_of_a_run_is_that_of_its_command(sandbox: Sandbox, wall: Wall, code: str, exit_code: int) -> None:
    command = [sys.executable, "-c", f"import os, sys; {code}"]
    ran = subprocess.run(confined(command, sandbox, wall), cwd=sandbox.folder, timeout=60, check=False)
    assert ran.returncode in (exit_code, -9), "Landlock replaces its process by the command's, which a signal ends"
    assert (ran.returncode == -9) is (wall is Wall.LANDLOCK and exit_code == 137)


def test_processes_that_a_run_started_end_with_it(sandbox: Sandbox) -> None:
    if not usable(Wall.BUBBLEWRAP):
        pytest.skip("this machine does not allow bubblewrap")
    marker = f"7777.{os.getpid()}"
    start = f"subprocess.Popen(['sleep', {marker!r}], start_new_session=True).pid"
    assert attempt(sandbox, Wall.BUBBLEWRAP, start)
    listed = subprocess.run(["pgrep", "-f", f"sleep {marker}"], capture_output=True, check=False)
    assert listed.returncode == 1, "a process of the run is still there"


def test_a_machine_without_a_wall_runs_the_command_as_it_is(sandbox: Sandbox) -> None:
    assert confined(PYTHON, sandbox, Wall.NONE) == PYTHON


def test_a_bubblewrap_that_is_not_allowed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    confinement.available.cache_clear()
    try:
        found = confinement.available()
    finally:
        confinement.available.cache_clear()
    assert found.wall is not Wall.BUBBLEWRAP
    assert "not allowed to confine here (No permissions to create new namespace)" in found.reason


def test_the_environment_of_a_virtual_environment_includes_its_base(tmp_path: Path) -> None:
    made = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    paths = environment_paths([str(made / "bin" / "python"), "train.py"])
    assert made in paths
    base = Path(shutil.which("python", path=str(made / "bin")) or "").resolve().parent.parent
    assert base in paths


def test_a_python_below_a_home_does_not_open_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "python-of-mine"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path not in environment_paths([str(program)])
