"""train.py on a CUDA device: speed, memory and score of ours and of upstream's, in turns.

    python -m benchmarks.train_gpu                      ours alone (about 40 minutes)
    python -m benchmarks.train_gpu UPSTREAM_CHECKOUT    and upstream's, a checkout of karpathy/autoresearch (80 minutes)

Prepare the data of each first: `python prepare.py` here and in the checkout. Each makes three runs at the default width
and three at ASPECT_RATIO 96, of the whole time budget of its prepare.py. Ours and upstream's take turns, so that a
device that slows down slows both. A checkout's own `.venv` runs its script. Milliseconds and tokens a second are
medians of a run's printed steps; MFU, memory and val_bpb are those of its summary, counted by its own script. A cell
has the median of the runs, with the lowest and the highest in brackets.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from cockpit.variant.knobs.constants import find_constants, set_constants

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3
ASPECT_RATIOS = (64, 96)
"""The default width and the wider one."""
STEP = re.compile(r"\bstep \d+ .*?\bdt: ([\d.]+)ms \| tok/sec: ([\d,]+)")
SUMMARY = re.compile(r"^(val_bpb|peak_vram_mb|mfu_percent): +(\S+)$", re.MULTILINE)
LONGEST_S = 1800.0
NO_CUDA = "there is no CUDA device here: run this on a machine that has one"


class Script(msgspec.Struct, frozen=True):
    """A train.py to measure."""

    name: str
    folder: Path
    python: str


class Measured(msgspec.Struct, frozen=True):
    """One run."""

    step_ms: float
    tokens_a_second: float
    mfu_percent: float
    memory_gb: float
    val_bpb: float


COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("ms a step", "step_ms", ".0f"),
    ("tokens a second", "tokens_a_second", ",.0f"),
    ("MFU", "mfu_percent", ".1f"),
    ("memory, GB", "memory_gb", ".1f"),
    ("val_bpb", "val_bpb", ".4f"),
)


def scripts(upstream: Path | None) -> list[Script]:
    """Return ours, and upstream's where a checkout is given. Exits with a sentence where it is none."""
    found = [Script("ours", ROOT, sys.executable)]
    if upstream is None:
        return found
    missing = [name for name in ("train.py", "prepare.py") if not (upstream / name).is_file()]
    if missing:
        raise SystemExit(f"{upstream} has no {missing[0]}: name a checkout of karpathy/autoresearch")
    own = upstream / ".venv" / "bin" / "python"
    return [*found, Script("upstream", upstream, str(own) if own.is_file() else sys.executable)]


def turns(found: Sequence[Script]) -> list[tuple[Script, int]]:
    """Return the runs in their order: each script and the ASPECT_RATIO it is run at."""
    return [(script, ratio) for ratio in ASPECT_RATIOS for _ in range(RUNS) for script in found]


def lay_out(script: Script, aspect_ratio: int, place: Path) -> None:
    """Copy the script with its Python files to `place`, and set its ASPECT_RATIO. Exits where it has none."""
    for path in script.folder.glob("*.py"):
        (place / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    train = place / "train.py"
    source = train.read_text(encoding="utf-8")
    if "ASPECT_RATIO" not in find_constants(source):
        raise SystemExit(f"{script.folder / 'train.py'} has no constant ASPECT_RATIO: check the checkout out anew")
    train.write_text(set_constants(source, {"ASPECT_RATIO": aspect_ratio}), encoding="utf-8")


def run(script: Script, aspect_ratio: int) -> Measured:
    """Run a script for its whole budget. Exits with the end of its output where it gave no score."""
    with tempfile.TemporaryDirectory() as folder:
        lay_out(script, aspect_ratio, Path(folder))
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        command = [script.python, "train.py"]
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", timeout=LONGEST_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise SystemExit(f"{script.name} at ASPECT_RATIO {aspect_ratio} took over {LONGEST_S:.0f} s") from None
    measured = parsed(done.stdout) if done.returncode == 0 else None
    if measured is None:
        raise SystemExit(f"{script.name} at ASPECT_RATIO {aspect_ratio} gave no score: {done.stdout.strip()[-500:]}")
    return measured


def parsed(output: str) -> Measured | None:
    """Return the figures of a run's output; None where some are missing. Upstream ends its steps with a carriage
    return, ours with a line feed."""
    steps = [(float(ms), float(tokens.replace(",", ""))) for ms, tokens in STEP.findall(output)]
    try:
        summary = {name: float(value) for name, value in SUMMARY.findall(output)}
        return Measured(
            statistics.median(ms for ms, _ in steps),
            statistics.median(tokens for _, tokens in steps),
            summary["mfu_percent"],
            summary["peak_vram_mb"] / 1024,
            summary["val_bpb"],
        )
    except (KeyError, ValueError):
        return None


def measure(
    found: Sequence[Script], run_one: Callable[[Script, int], Measured], told: Callable[[str], None]
) -> dict[tuple[int, str], list[Measured]]:
    """Run all turns. Returns the runs of each width and script."""
    runs: dict[tuple[int, str], list[Measured]] = {}
    for script, ratio in turns(found):
        one = run_one(script, ratio)
        runs.setdefault((ratio, script.name), []).append(one)
        told(f"{script.name}, ASPECT_RATIO {ratio}: {one.step_ms:.0f} ms a step, val_bpb {one.val_bpb:.4f}")
    return runs


def table(device: str, runs: dict[tuple[int, str], list[Measured]]) -> str:
    """Return the figures as a table of Markdown, as benchmarks/README.md takes it."""
    lines = [f"| {device} | " + " | ".join(title for title, _, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for (ratio, name), some in runs.items():
        cells = [cell([float(getattr(one, field)) for one in some], form) for _, field, form in COLUMNS]
        lines.append(f"| {name}, ASPECT_RATIO {ratio} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def device() -> str:
    """Return the name of the CUDA device. Exits with a sentence where there is none."""
    try:
        import torch
    except ImportError:
        raise SystemExit("torch is not installed: `pip install 'cockpit[local]'`") from None
    if not torch.cuda.is_available():
        raise SystemExit(NO_CUDA)
    return str(torch.cuda.get_device_name())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("upstream", type=Path, nargs="?", help="a checkout of karpathy/autoresearch")
    chosen = parser.parse_args()
    found = scripts(chosen.upstream)
    name = device()
    runs = measure(found, run, lambda line: print(line, flush=True))
    print(table(name, runs))


if __name__ == "__main__":
    main()
