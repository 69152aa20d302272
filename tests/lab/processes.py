"""Runs commands with a time limit, and finds processes by their namespace."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

PATIENCE = float(os.environ.get("COCKPIT_LAB_PATIENCE", "1"))
"""The factor by which the labs wait longer, on a machine that does other work."""


class LabError(RuntimeError):
    """A step of the lab failed; the message holds the command and the end of what it printed."""


def run(*command: str, timeout_s: float = 60, env: dict[str, str] | None = None) -> str:
    """Return the command's standard output. Raises LabError if it fails or takes longer than the patience allows."""
    timeout_s *= PATIENCE
    # Files, not pipes: a daemon that keeps a pipe open would keep us waiting for its end.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as err,
    ):
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=timeout_s,
                env=env,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"`{shlex.join(command)}` did not end within {timeout_s:g} s") from None
        out.seek(0)
        err.seek(0)
        text = out.read()
        if done.returncode != 0:
            said = (text + err.read())[-2000:]
            raise LabError(f"`{shlex.join(command)}` failed with {done.returncode}:\n{said}")
        return text


def hold(command: Sequence[str], namespace: str) -> int:
    """Start a process that only keeps namespaces alive; its pid, once it is in a `namespace` other than ours."""
    started = subprocess.Popen(
        [*command, "sleep", "infinity"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and started.poll() is None:
        # By then it is `sleep`: every namespace asked for has been entered.
        if command_line(started.pid).startswith("sleep") and namespace_of(started.pid, namespace) != namespace_of(
            os.getpid(), namespace
        ):
            return started.pid
        time.sleep(0.02)
    started.kill()
    raise LabError(f"`{shlex.join(command)}` made no {namespace} namespace")


def pids() -> Iterator[int]:
    """Yield every process there is."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def namespace_of(pid: int, kind: str) -> str:
    """Return the identity of the process's `kind` of namespace (mnt, net, uts); empty if the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def in_namespace(kind: str, identity: str) -> list[int]:
    """Return the processes in a namespace; none for the identity of a process that is gone."""
    return [pid for pid in pids() if identity and namespace_of(pid, kind) == identity]


def environment(pid: int) -> dict[str, str]:
    """Return the environment the process was started with; empty if it is gone."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    return dict(item.split("=", 1) for item in raw.decode(errors="replace").split("\0") if "=" in item)


def command_line(pid: int) -> str:
    """Return the process's command line, words parted by spaces; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill(find: Callable[[], Iterable[int]]) -> None:
    """Kill what `find` finds, again and again, until it finds nothing."""
    deadline = time.monotonic() + 10
    while found := [pid for pid in find() if pid != os.getpid() and not _is_zombie(pid)]:
        if time.monotonic() > deadline:
            raise LabError(f"these processes do not die: {', '.join(f'{pid} {command_line(pid)}' for pid in found)}")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
