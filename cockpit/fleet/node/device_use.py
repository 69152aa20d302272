"""The use of a run's GPUs, as nvidia-smi tells it: memory, temperature and power, as a line for the run's log.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import threading

COMMAND = "nvidia-smi"
QUERY = ("--query-gpu=memory.used,temperature.gpu,power.draw", "--format=csv,noheader,nounits")
FIRST_AFTER_S = 10.0
EVERY_S = 30.0
ANSWERS_WITHIN_S = 10.0
TROUBLES = 3
"""Consecutive questions without an answer after which no more are asked."""


class DeviceUse:
    """Asks at a low rate on a thread of its own: nothing waits for an answer, and a machine without a GPU has none."""

    def __init__(self, visible: str | None, first_after_s: float = FIRST_AFTER_S, every_s: float = EVERY_S) -> None:
        """Begin to ask about the GPUs that CUDA_VISIBLE_DEVICES names; None for all of them."""
        self._waits = (first_after_s, every_s)
        self._newest = b""
        self._ended = threading.Event()
        self._command = command_for(visible)
        self._thread = threading.Thread(target=self._ask, daemon=True)
        if self._command:
            self._thread.start()

    def take(self) -> bytes:
        """Return the newest line, once; nothing where there is none."""
        line, self._newest = self._newest, b""
        return line

    def end(self) -> None:
        self._ended.set()

    def _ask(self) -> None:
        wait_s, every_s = self._waits
        troubles = 0
        while troubles < TROUBLES and not self._ended.wait(wait_s):
            wait_s = every_s
            line = answer(self._command)
            troubles = 0 if line else troubles + 1
            self._newest = line


def command_for(visible: str | None) -> list[str]:
    """Return the question; nothing where there is no nvidia-smi, or the run sees no GPU."""
    path = shutil.which(COMMAND)
    if path is None or (visible is not None and not visible.strip(" -1,")):
        return []
    return [path, *QUERY, *(["-i", visible] if visible else [])]


def answer(command: list[str]) -> bytes:
    """Ask once. Returns the line: memory and power of all GPUs together, the highest temperature."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, capture_output=True, timeout=ANSWERS_WITHIN_S, stdin=subprocess.DEVNULL)
        rows = [[_number(cell) for cell in row.split(",")] for row in done.stdout.decode().splitlines() if row.strip()]
        if done.returncode == 0 and rows and all(len(row) == 3 for row in rows):
            memory, temperatures, power = zip(*rows, strict=True)
            figures = f"mem: {sum(memory):.0f} MiB | temp: {max(temperatures):.0f} C | power: {sum(power):.0f} W"
            return f"[cockpit: device | {figures}]\n".encode()
    return b""


def _number(cell: str) -> float:
    """Return a number; 0 for a figure that the GPU does not give, such as `[N/A]`."""
    try:
        found = float(cell)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0
