"""Measure the budgets of the design on a real pty whose reader takes a set number of bytes a second.

    python -m benchmarks.tui_link                       # all of it, some five minutes
    python -m benchmarks.tui_link --only first-paint --experiments 100000

Prints a line for each measure: its name, the value, the budget, and their ratio (at most 1 is within budget).
"""

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.tui_sessions import Busy, large, night

HERE = Path(__file__).resolve().parent

ROWS, COLUMNS = 50, 200
RUN = "import sys, pathlib; from cockpit.tui.app import run; sys.exit(run(pathlib.Path(sys.argv[1])))"


class Terminal:
    """A child on a pty of 200x50, read at `rate` bytes a second (0 for as fast as it comes)."""

    def __init__(self, command: list[str], rate: int = 0) -> None:
        self.rate = rate
        self.bytes = 0
        self.arrivals: list[tuple[float, bytes]] = []
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(HERE.parent)}
        # An installed Cockpit has its bytecode; without it a first paint would be a measure of the compiler.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.began = time.perf_counter()
        self.child = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self._master = master
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                ready, _, _ = select.select([self._master], [], [], 0.2)
                if not ready:
                    continue
                most = 65_536 if not self.rate else max(64, self.rate // 100)
                data = os.read(self._master, most)
            except OSError:
                return
            if not data:
                return
            self.arrivals.append((time.perf_counter(), data))
            self.bytes += len(data)
            if self.rate:
                time.sleep(len(data) / self.rate)

    def wait_for(self, text: bytes, since: int = 0, timeout_s: float = 30.0) -> float:
        """Return when `text` had arrived, looking from arrival number `since` on."""
        until = time.perf_counter() + timeout_s
        while time.perf_counter() < until:
            seen = b""
            for at, data in self.arrivals[since:]:
                seen = seen[-4096:] + data
                if text in seen:
                    return at
            time.sleep(0.002)
        raise TimeoutError(f"{text!r} never came; last: {self.arrivals[-1:]!r}")

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def close(self) -> None:
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


def say(what: str, value: float, budget: float, unit: str) -> None:
    print(f"{what:<62} {value:>10.3f} {unit:<6} budget {budget:>8g}  ratio {value / budget:6.2f}", flush=True)


def first_paint(root: Path, experiments: int) -> None:
    folder = large(root, experiments)
    times, filled, cpu, cpu_filled = [], [], [], []
    for _ in range(5):
        terminal = Terminal([sys.executable, "-c", RUN, str(folder)])
        times.append(terminal.wait_for(b"clusters") - terminal.began)
        cpu.append(terminal.cpu_s())
        filled.append(terminal.wait_for(b"gpu-01", timeout_s=120) - terminal.began)
        cpu_filled.append(terminal.cpu_s())
        memory = terminal.memory_mb()
        terminal.close()
    say(f"first paint, {experiments:,} experiments (best of 5)", min(times), 0.7, "s")
    say(f"first paint, {experiments:,} experiments (median of 5)", statistics.median(times), 0.7, "s")
    say("    processor time of that (best of 5), whatever else ran", min(cpu), 0.7, "s")
    print(
        f"    panes filled after {min(filled):.2f} s (best of 5), of processor time {min(cpu_filled):.2f} s;", end=" "
    )
    print(f"{memory:.0f} MB; Python alone starts in {_bare():.2f} s")


def _bare() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def idle(root: Path) -> None:
    folder = night(root)
    terminal = Terminal([sys.executable, "-c", RUN, str(folder)])
    terminal.wait_for(b"gpu-16")
    time.sleep(3)
    bytes_before, cpu_before = terminal.bytes, terminal.cpu_s()
    time.sleep(10)
    say("idle: bytes in 10 s", terminal.bytes - bytes_before or 1e-9, 1, "bytes")
    say("idle: CPU", (terminal.cpu_s() - cpu_before) / 10 * 100, 1, "%")
    terminal.close()


def tick(root: Path) -> None:
    busy = Busy(root)
    terminal = Terminal([sys.executable, "-c", RUN, str(busy.folder)])
    terminal.wait_for(b"gpu-16")
    time.sleep(2)
    sizes = []
    for number in range(12):
        before = terminal.bytes
        busy.progress_all(0.3 + 0.01 * number)
        time.sleep(0.8)
        sizes.append(terminal.bytes - before)
    say("a tick with all 16 clusters changed, at most", max(sizes), 2_048, "bytes")
    terminal.close()
    busy.close()


def keys(root: Path, rate: int) -> None:
    busy = Busy(root)
    terminal = Terminal([sys.executable, "-c", RUN, str(busy.folder)], rate)
    terminal.wait_for(b"gpu-16")
    time.sleep(2)
    streaming = threading.Event()
    streamer = threading.Thread(target=busy.stream, args=(streaming, 200), daemon=True)
    streamer.start()
    time.sleep(2)
    waits = []
    for number in range(40):
        since = len(terminal.arrivals)
        began = time.perf_counter()
        # Each press opens or leaves the help, whose first words are on no other screen.
        terminal.press(b"?" if number % 2 == 0 else b"q")
        wanted = b"In clusters" if number % 2 == 0 else b"gpu-01"
        waits.append(terminal.wait_for(wanted, since) - began)
        time.sleep(0.37)
    streaming.set()
    streamer.join()
    waits.sort()
    say(f"key to paint at {rate // 1000} KB/s, 16 logs streaming, p50", waits[len(waits) // 2] * 1000, 100, "ms")
    say(f"key to paint at {rate // 1000} KB/s, 16 logs streaming, p95", waits[int(len(waits) * 0.95)] * 1000, 100, "ms")
    terminal.close()
    busy.close()


def log_rate(root: Path, one: bool = False) -> None:
    """Write 10,000 lines a second, into all sixteen logs or into the `one` that is shown."""
    busy = Busy(root)
    terminal = Terminal([sys.executable, "-c", RUN, str(busy.folder)])
    terminal.wait_for(b"gpu-16")
    time.sleep(2)
    memory, cpu = terminal.memory_mb(), terminal.cpu_s()
    streaming = threading.Event()
    how = (streaming, 10_000, 1) if one else (streaming, 10_000 // 16)
    streamer = threading.Thread(target=busy.stream, args=how, daemon=True)
    streamer.start()
    began = time.perf_counter()
    written = busy.lines_written
    lost = 0
    for number in range(20):
        since = len(terminal.arrivals)
        terminal.press(b"?" if number % 2 == 0 else b"q")
        try:
            terminal.wait_for(b"In clusters" if number % 2 == 0 else b"gpu-01", since, 3)
        except TimeoutError:
            lost += 1
        time.sleep(0.4)
    took = time.perf_counter() - began
    streaming.set()
    streamer.join()
    rate, where = (busy.lines_written - written) / took, "into the log shown" if one else "over 16 logs"
    print(f"    {rate:,.0f} log lines/s {where} for {took:.0f} s: {lost} of 20 keys lost")
    say("memory grown meanwhile", max(0.0, terminal.memory_mb() - memory), 5, "MB")
    say("CPU meanwhile", (terminal.cpu_s() - cpu) / took * 100, 50, "%")
    terminal.close()
    busy.close()


def day(root: Path) -> None:
    """Replay a day of sixteen clusters in two minutes, a run every 330 s on each, while logs stream."""
    busy = Busy(root)
    terminal = Terminal([sys.executable, "-c", RUN, str(busy.folder)])
    terminal.wait_for(b"gpu-16")
    time.sleep(3)
    rounds, known = 86_400 // 330, len(busy.experiments)
    memory: list[float] = []
    experiments: list[int] = []
    for number in range(rounds + 1):
        if number % (rounds // 6) == 0:
            time.sleep(1)
            memory.append(terminal.memory_mb())
            experiments.append(len(busy.experiments) - known)
        busy.next_round()
        time.sleep(0.3)
    for count, held in zip(experiments, memory, strict=True):
        print(f"    after {count:5} experiments: {held:6.1f} MB")
    grown = (memory[-1] - memory[1]) / (experiments[-1] - experiments[1]) * 1024
    say("memory grown with each experiment of a simulated day", grown, 10, "KB")
    cpu = terminal.cpu_s()
    time.sleep(5)
    say("CPU once the day is over", (terminal.cpu_s() - cpu) / 5 * 100, 1, "%")
    terminal.close()
    busy.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("first-paint", "idle", "tick", "keys", "log-rate", "one-log", "day")
    parser.add_argument("--only", choices=names)
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=50_000, help="bytes a second the terminal takes, for keys")
    chosen = parser.parse_args()
    measures: dict[str, Callable[[Path], None]] = {
        "first-paint": lambda root: first_paint(root, chosen.experiments),
        "idle": idle,
        "tick": tick,
        "keys": lambda root: keys(root, chosen.rate),
        "log-rate": log_rate,
        "one-log": lambda root: log_rate(root, one=True),
        "day": day,
    }
    for name in names:
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="cockpit-bench-") as root:
                measures[name](Path(root))


if __name__ == "__main__":
    main()
