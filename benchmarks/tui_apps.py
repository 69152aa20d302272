"""Other Textual apps through the same pty as the screen: what a start, standing still and a key cost them.

    python -m venv /tmp/posting && /tmp/posting/bin/pip install posting==2.3.1
    python -m venv /tmp/harlequin && /tmp/harlequin/bin/pip install harlequin==2.17.0
    python -m benchmarks.tui_apps /tmp/posting/bin /tmp/harlequin/bin

toad is left out: each release of batrachian-toad on PyPI needs Python 3.14, which Cockpit does not run on yet.

Each in a place of its own, as each pins a Textual of its own. Prints a line an app, and its ratios to the screen's.
The key is one that opens what the app opens by a key (its help, its palette).
"""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tui_link import RUN, Terminal
from benchmarks.tui_sessions import night

RATE = 50_000
QUIET_S = 0.8
SETTLED_IN_S = 10
BLINK_BYTES = 4_000
"""Bytes that an idle app may send in that time: a blinking cursor, a spinner."""


@dataclass(frozen=True)
class App:
    name: str
    command: list[str]
    drawn: bytes
    """On its first whole frame."""
    opens: bytes
    opened: bytes
    """On the screen once `opens` was pressed, and not before."""
    closes: bytes
    closed: bytes


def settled(terminal: Terminal) -> None:
    """Wait until all of a paint has gone through: a slow link takes it long after its first words."""
    seen, until = terminal.bytes - BLINK_BYTES - 1, time.perf_counter() + SETTLED_IN_S
    while terminal.bytes - seen > BLINK_BYTES and time.perf_counter() < until:
        seen = terminal.bytes
        time.sleep(QUIET_S)


def measure(app: App) -> dict[str, float]:
    starts = []
    for _ in range(3):
        terminal = Terminal(app.command)
        starts.append((terminal.wait_for(app.drawn, timeout_s=60) - terminal.began, terminal.cpu_s()))
        terminal.close()
    wall, cpu = min(starts)
    terminal = Terminal(app.command, RATE)
    terminal.wait_for(app.drawn, timeout_s=60)
    time.sleep(6)
    settled(terminal)
    drawn = terminal.bytes
    before, cpu_before = terminal.bytes, terminal.cpu_s()
    time.sleep(10)
    idle, idle_cpu = terminal.bytes - before, (terminal.cpu_s() - cpu_before) * 10
    waits, sizes = [], []
    for number in range(20):
        since, began, sent = len(terminal.arrivals), time.perf_counter(), terminal.bytes
        terminal.press(app.opens if number % 2 == 0 else app.closes)
        waits.append(terminal.wait_for(app.opened if number % 2 == 0 else app.closed, since, 60) - began)
        settled(terminal)
        sizes.append(terminal.bytes - sent)
    memory = terminal.memory_mb()
    terminal.close()
    waits.sort()
    print(
        f"{app.name:<10} first paint {wall:5.2f} s (processor {cpu:4.2f} s), {drawn / 1000:6.1f} KB to draw, idle 10 s:"
        f" {idle:6} bytes {idle_cpu:4.1f}% CPU; key to paint at {RATE // 1000} KB/s p50"
        f" {statistics.median(waits) * 1000:4.0f} ms p95 {waits[int(len(waits) * 0.95)] * 1000:4.0f} ms,"
        f" {statistics.median(sizes):7,.0f} bytes a key; {memory:4.0f} MB",
        flush=True,
    )
    p50 = statistics.median(waits)
    return {
        "first paint": wall,
        "KB to draw": drawn,
        "key p50": p50,
        "bytes a key": statistics.median(sizes),
        "MB": memory,
    }


def main() -> None:
    found = {path.name: str(path) for place in sys.argv[1:] for path in Path(place).iterdir()}
    with tempfile.TemporaryDirectory(prefix="cockpit-bench-") as root:
        cockpit = [sys.executable, "-c", RUN, str(night(Path(root)))]
        apps = [
            App("cockpit", cockpit, b"gpu-16", b"?", b"In clusters", b"q", b"gpu-01"),
            App("posting", [found.get("posting", "")], b"Send", b"\x10", b"ommand", b"\x1b", b"Send"),
            App("harlequin", [found.get("harlequin", "")], b"Run Query", b"\x10", b"Search for", b"\x1b", b"Run Query"),
        ]
        ours = measure(apps[0])
        for app in apps[1:]:
            if app.command[0]:
                theirs = measure(app)
                ratios = ", ".join(f"{name} {value / ours[name]:.1f}" for name, value in theirs.items())
                print(f"    {app.name} / cockpit: {ratios}", flush=True)


if __name__ == "__main__":
    main()
