"""The command line as a user has it: a process of its own, and a terminal where one is wanted."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.shown import Shown
from tests.worker.sessions import ROOT

ANSWER_WITHIN_S = 90.0


def environment(sessions: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command: this checkout, sessions of its own, and no key."""
    others = ("ANTHROPIC_API_KEY", "NO_COLOR", "COLUMNS", "LINES", "COCKPIT_SESSION")
    inherited = {name: value for name, value in os.environ.items() if name not in others}
    path = os.pathsep.join(filter(None, (str(ROOT), inherited.get("PYTHONPATH"))))
    return (
        inherited | {"PYTHONPATH": path, "COCKPIT_SESSIONS": str(sessions), "TERM": "xterm-256color", "CI": "1"} | more
    )


def cockpit(place: Path, *words: str, cwd: Path | None = None, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run `cockpit WORDS` without a terminal; its sessions are in `place/sessions`."""
    return subprocess.run(
        [sys.executable, "-m", "cockpit", *words],
        cwd=cwd or place, env=environment(place / "sessions", **more), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=ANSWER_WITHIN_S,
    )  # fmt: skip


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one sentence that a command was refused with. Fails for more, and for another status."""
    assert done.returncode in (1, 2), f"it ended with {done.returncode}: {done.stdout}{done.stderr}"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("cockpit: ")
    return lines[0].removeprefix("cockpit: ")


class Terminal:
    """A command in a pseudo-terminal, and what that shows."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int, shown: Shown) -> None:
        self.process = process
        self._descriptor = descriptor
        self._shown = shown

    def shown(self) -> str:
        return self._shown.text()

    def until(self, text: str, seconds: float = 60.0) -> str:
        """Return its screen, once `text` is in it."""
        end = time.monotonic() + seconds
        while text not in self.shown():
            assert time.monotonic() < end, f"waited {seconds} s for {text!r} on\n{self.shown()}"
            if not self._read(0.2):
                break
        assert text in self.shown(), f"it ended without {text!r}:\n{self.shown()}"
        return self.shown()

    def keys(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def leave(self, keys: str = "q", seconds: float = 60.0) -> int:
        """Press `keys` until the command ends: keys typed while it starts are dropped. Returns its exit status."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.keys(keys)
            pressed_at = time.monotonic()
            while time.monotonic() < pressed_at + 1.0 and self._read(0.2):
                pass
        return self.ended(1.0)

    def ended(self, seconds: float = 60.0) -> int:
        """Return its exit status, once it has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._read(0.2):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        if select.select([self._descriptor], [], [], seconds)[0]:
            try:
                data = os.read(self._descriptor, 65_536)
            except OSError:
                return False
            self._shown.take(data)
            return bool(data)
        return True


@contextmanager
def terminal(
    place: Path, *words: str, columns: int, rows: int, cwd: Path | None = None, **more: str
) -> Iterator[Terminal]:
    """Run `cockpit WORDS` in a terminal of that size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "cockpit", *words],
        cwd=cwd or place, env=environment(place / "sessions", **more),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(process, ours, Shown(columns, rows))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)
