"""How long a command takes that has next to nothing to do, and what it loads.

    python -m benchmarks.cold_start

Each command runs seven times in a process of its own; the fastest is printed, and its ratio to what this Python
takes to start at all. Below are the ten modules that `python -X importtime -m cockpit list` spends most on itself.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMES = 7
COMMANDS = (("-c", "pass"), ("-m", "cockpit", "--version"), ("-m", "cockpit", "list"), ("-m", "cockpit", "status"))
HEAVY = ("sky", "torch", "anthropic", "optuna", "scipy", "numpy", "textual", "git", "pydantic")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COCKPIT_SESSIONS": folder}
        bare_s = 0.0
        for command in COMMANDS:
            seconds = min(timed(command, environment) for _ in range(TIMES))
            bare_s = bare_s or seconds
            name = " ".join(("python", *command))
            print(f"{name:<32} {seconds * 1000:6.0f} ms   {seconds / bare_s:5.1f} x python itself")
        show_imports(environment)


def timed(command: tuple[str, ...], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], env=environment, cwd=ROOT, capture_output=True)
    return time.perf_counter() - began


def show_imports(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cockpit", "list"],
        env=environment, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    found = [
        (int(self_us), name) for self_us, name in re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", done.stderr)
    ]
    for self_us, name in sorted(found, reverse=True)[:10]:
        print(f"  {name:<40} {self_us / 1000:6.1f} ms")
    loaded = {name.split(".")[0] for _, name in found}
    print(f"loaded of {', '.join(HEAVY)}: {', '.join(name for name in HEAVY if name in loaded) or 'none'}")


if __name__ == "__main__":
    main()
