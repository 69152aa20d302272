"""The use of a run's GPUs by nvidia-smi: memory, temperature and power, as a line for the run's log.

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
"""Consecutive queries without an answer after which it stops asking."""


class DeviceUse:
    """Queries nvidia-smi at a low rate on its own thread, so that nothing waits for an answer."""

    def __init__(self, visible: str | None, first_after_s: float = FIRST_AFTER_S, every_s: float = EVERY_S) -> None:
        """Start to query the GPUs in `visible`, the value of CUDA_VISIBLE_DEVICES; None for all GPUs."""
        self._waits = (first_after_s, every_s)
        self._newest = b""
        self._ended = threading.Event()
        self._command = command_for(visible)
        self._thread = threading.Thread(target=self._ask, daemon=True)
        if self._command:
            self._thread.start()

    def take(self) -> bytes:
        """Return the newest line once; empty if there is none."""
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
    """Return the query's command; empty without nvidia-smi, or if the run sees no GPU."""
    path = shutil.which(COMMAND)
    if path is None or (visible is not None and not visible.strip(" -1,")):
        return []
    return [path, *QUERY, *(["-i", visible] if visible else [])]


def answer(command: list[str]) -> bytes:
    """Run the query. Returns the line: the memory and power of all GPUs together, and the highest temperature."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, capture_output=True, timeout=ANSWERS_WITHIN_S, stdin=subprocess.DEVNULL)
        rows = [[_number(cell) for cell in row.split(",")] for row in done.stdout.decode().splitlines() if row.strip()]
        if done.returncode == 0 and rows and all(len(row) == 3 for row in rows):
            memory, temperatures, power = zip(*rows, strict=True)
            figures = f"mem: {sum(memory):.0f} MiB | temp: {max(temperatures):.0f} C | power: {sum(power):.0f} W"
            return f"[cockpit: device | {figures}]\n".encode()
    return b""


def _number(cell: str) -> float:
    """Return a number; 0 for a figure that the GPU does not report, such as `[N/A]`."""
    try:
        found = float(cell)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0
