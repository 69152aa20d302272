"""Time from the start of `cockpit mcp` to its answers: `initialize`, the tools, a first `brief`.

    python -m benchmarks.mcp_start          a session of 2,000 experiments
    python -m benchmarks.mcp_start 20000    another size

Each figure is the best and the median of seven processes.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.status import write
from cockpit.session.paths import SessionFolder

RUNS = 7
INFO = {"clientInfo": {"name": "claude-code", "version": "1"}, "protocolVersion": "2025-11-25", "capabilities": {}}
REQUESTS: tuple[tuple[str, object], ...] = (
    ("initialize", INFO),
    ("tools/list", {}),
    ("tools/call", {"name": "brief", "arguments": {}}),
)
BUDGET_S = 0.7


def answers(folder: Path) -> list[float]:
    """Return the seconds from the start of the server to each answer."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "cockpit", "mcp", str(folder)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None and server.stdout is not None
    found = []
    for number, (method, params) in enumerate(REQUESTS):
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        assert b'"result"' in server.stdout.readline()
        found.append(time.perf_counter() - began)
    server.stdin.close()
    server.wait(30)
    return found


def main() -> None:
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as place:
        folder = SessionFolder(Path(place) / "night")
        write(folder, experiments, snapshot=True)
        runs = [answers(folder.root) for _ in range(RUNS)]
    print(f"{experiments:,} experiments, seconds from the start of `cockpit mcp` to the answer (best, median)")
    for (method, _), seconds in zip(REQUESTS, zip(*runs, strict=True), strict=True):
        best = min(seconds)
        print(f"{method:<12} {best:6.2f} s {statistics.median(seconds):6.2f} s   {best / BUDGET_S:.2f} of {BUDGET_S} s")


if __name__ == "__main__":
    main()
