"""A real terminal for the cockpit: tmux on a server of its own, at any size."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """One pane of tmux."""

    def __init__(self, socket: Path, width: int, height: int, command: Sequence[str], env: dict[str, str]) -> None:
        self._socket = socket
        self.width, self.height = width, height
        # An empty configuration, as people have it who never set up tmux.
        start = ["-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height)]
        variables = [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
        # The pane outlives the command, so that its last output and its status can be read.
        then = f'{shlex.join(command)}; echo "ended with $?"; exec sleep 600'
        self.tmux(*start, *variables, "sh", "-c", then)

    def tmux(self, *words: str) -> str:
        plain = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        done = subprocess.run(
            ["tmux", "-u", "-S", str(self._socket), *words], capture_output=True, text=True, env=plain, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: `Enter`, `Escape`, `C-c`, or a character."""
        self.tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def wait_for(self, *what: str, seconds: float = 40.0) -> str:
        """Wait until every text of `what` is on the screen. Returns the screen."""
        until = time.monotonic() + seconds
        while True:
            shown = self.screen()
            if all(text in shown for text in what):
                return shown
            missing = [text for text in what if text not in shown]
            assert time.monotonic() < until, f"waited {seconds} s for {missing} on\n{shown}"
            time.sleep(0.1)

    def hang_up(self) -> None:
        """End the server, as a dropped link does."""
        self.tmux("kill-server")


@contextmanager
def terminal(
    command: Sequence[str], width: int = 120, height: int = 34, env: dict[str, str] | None = None
) -> Iterator[Terminal]:
    """Run `command` in a terminal, which is closed at the end with everything in it."""
    with tempfile.TemporaryDirectory(prefix="cockpit-tmux-") as place:
        socket = Path(place) / "socket"
        made = Terminal(socket, width, height, command, {"PYTHONPATH": str(ROOT), "CI": "1", **(env or {})})
        try:
            yield made
        finally:
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True)
