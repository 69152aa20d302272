"""Does the CPU preset show a real signal? Three learning rates x three seeds of train.py, as ratios to the noise.

    python -m benchmarks.train_signal [--budget-s 30] [--knob UNEMBEDDING_LR --values 0.001 0.004 0.016]

Prepare the corpus first (`python prepare.py --corpus stdlib`). Every run is a real one, one after the other. The
noise is the pooled standard deviation over the seeds; a separation is the difference of two means over the
standard error of such a difference, sqrt(2/seeds) x noise. Beyond 3 a person sees it in the chart.
"""

import argparse
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cockpit.variant.knobs.constants import find_constants, set_constants

ROOT = Path(__file__).resolve().parents[1]


def val_bpb(knob: str, value: float, seed: int, budget_s: float) -> float:
    source = (ROOT / "train.py").read_text()
    like = float if isinstance(find_constants(source)[knob], float) else int
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(set_constants(source, {knob: like(value)}))
        Path(folder, "prepare.py").write_text((ROOT / "prepare.py").read_text())
        done = subprocess.run(
            [sys.executable, "train.py"],
            cwd=folder,
            env=os.environ | {"SEED": str(seed), "COCKPIT_TIME_BUDGET_S": str(budget_s)},
            capture_output=True,
            text=True,
        )
    found = re.findall(r"^val_bpb:\s+(\S+)", done.stdout, re.MULTILINE)
    if len(found) != 1:
        raise SystemExit(f"{knob}={value} seed {seed} gave no score: {(done.stdout + done.stderr).strip()[-300:]}")
    return float(found[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget-s", type=float, default=30)
    parser.add_argument("--knob", default="UNEMBEDDING_LR")
    parser.add_argument("--values", type=float, nargs="+", default=[0.001, 0.004, 0.016])
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    scores: dict[float, list[float]] = {}
    for value in chosen.values:
        scores[value] = [val_bpb(chosen.knob, value, seed, chosen.budget_s) for seed in range(1, chosen.seeds + 1)]
        shown = " ".join(f"{score:.4f}" for score in scores[value])
        print(f"{chosen.knob}={value:g}: {shown}  mean {statistics.fmean(scores[value]):.4f}", flush=True)
    noise = statistics.fmean(statistics.variance(each) for each in scores.values()) ** 0.5
    print(f"seed noise (pooled standard deviation): {noise:.4f} bits per byte")
    for a, b in itertools.combinations(scores, 2):
        gap = statistics.fmean(scores[a]) - statistics.fmean(scores[b])
        error = noise * (2 / chosen.seeds) ** 0.5
        print(
            f"{a:g} against {b:g}: {gap:+.4f}, {abs(gap) / noise:.1f} x noise, {abs(gap) / error:.1f} standard errors"
        )


if __name__ == "__main__":
    main()
