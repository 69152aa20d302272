"""A screen ends with its terminal, also where no signal tells it that the terminal is gone."""

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.tui import stories
from tests.tui.terminal import ROOT

PAINTED_BYTES = 200
"""Output after which the screen has been drawn; a small terminal's whole frame has about 400 bytes."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", [(20, 5), (120, 34)])
@pytest.mark.parametrize("command", ["watch", "replay"])
def test_a_screen_ends_once_its_terminal_is_gone(tmp_path: Path, size: tuple[int, int], command: str) -> None:
    session = stories.night().write(tmp_path)
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    env = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    # In a session of its own the terminal does not control the process: no SIGHUP comes.
    process = subprocess.Popen(
        [sys.executable, "-m", "cockpit", command, str(session)],
        stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        painted = 0
        until = time.monotonic() + 60
        while painted < PAINTED_BYTES and time.monotonic() < until:
            if select.select([master], [], [], 1.0)[0]:
                with contextlib.suppress(OSError):
                    painted += len(os.read(master, 65536))
        assert painted >= PAINTED_BYTES, "the screen was not painted"
        assert process.poll() is None
        os.close(master)
        master = -1
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        if master >= 0:
            os.close(master)
