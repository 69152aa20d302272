"""Cost of `cockpit new` on a YAML file with 39,000 knobs: processor seconds, wall time and memory of the command.

    python -m benchmarks.many_knobs          39,000 knobs
    python -m benchmarks.many_knobs 10000    another number

Each figure is that of one process; there are three. The worker that the command starts is not in it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3
KNOBS_IN_GROUP = 100
SCRIPT = 'DEPTH = 8\nprint("val_bpb: 0.98")\n'
NEW = ("--files", "train.py", "--files", "config.yaml", "--mode", "manual", "--clusters", "1")


def configuration(knobs: int) -> str:
    """Return a YAML text with as many knobs: rates, counts, switches and lists."""
    lines = []
    for number in range(knobs):
        group, place = divmod(number, KNOBS_IN_GROUP)
        if not place:
            lines.append(f"group_{group:03d}:")
        value = (f"{10 ** -(place % 5 + 1)}", f"{place * 3 + 1}", "true", f"[{place}, {place + 1}]")[place % 4]
        lines.append(f"  knob_{place:03d}: {value}")
    return "\n".join(lines) + "\n"


def repository(folder: Path, knobs: int) -> None:
    """Make a repository with the script and its configuration, committed."""
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "config.yaml").write_text(configuration(knobs))
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "one")):
        subprocess.run(["git", "-C", str(folder), *words], check=True)


def measured(repo: Path, sessions: Path) -> tuple[float, float, float]:
    """Make a session. Returns the command's processor seconds, its wall seconds, and its peak memory in MB."""
    environment = os.environ | {"COCKPIT_SESSIONS": str(sessions)}
    cockpit = [sys.executable, "-m", "cockpit"]
    began = time.perf_counter()
    new = subprocess.Popen(
        [*cockpit, "new", "many", "--repo", str(repo), *NEW], env=environment, stdin=subprocess.DEVNULL
    )
    _, status, used = os.wait4(new.pid, 0)
    seconds = time.perf_counter() - began
    new.returncode = os.waitstatus_to_exitcode(status)
    subprocess.run([*cockpit, "stop", "many", "--cancel", "--yes"], env=environment, check=True)
    assert not new.returncode
    return used.ru_utime + used.ru_stime, seconds, used.ru_maxrss / 1e3


def main() -> None:
    knobs = int(sys.argv[1]) if len(sys.argv) > 1 else 39_000
    with tempfile.TemporaryDirectory() as place:
        repo = Path(place) / "repo"
        repository(repo, knobs)
        runs = [measured(repo, Path(place) / f"sessions{number}") for number in range(RUNS)]
    print(
        f"`cockpit new` on {knobs:,} knobs in {len(configuration(knobs)):,} bytes of YAML, at a load of"
        f" {os.getloadavg()[0]:.0f}"
    )
    for processor, wall, memory in runs:
        print(f"{processor:6.2f} s of a processor, {wall:6.2f} s in all, {memory:.0f} MB")


if __name__ == "__main__":
    main()
