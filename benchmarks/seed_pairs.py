"""Measure whether runs of two variants with one seed share their noise, on real training on this machine's processor.

    COCKPIT_CORPUS=stdlib python -m benchmarks.seed_pairs [--seeds 10]      prepare the corpus first: python prepare.py

Each variant changes one constant of a small copy of train.py (two layers; set COCKPIT_TIME_BUDGET_S=1 for a second of
training a run). `again` is the base once more. The correlation over seeds tells how much a pair of runs with one seed
would save.
"""

import argparse
import contextlib
import io
import re
import time
from pathlib import Path

import numpy as np

SMALL = {"DEPTH": "2", "ASPECT_RATIO": "128", "TOTAL_BATCH_SIZE": "2**18"}
VARIANTS: dict[str, dict[str, str]] = {
    "base": {},
    "again": {},
    "MATRIX_LR 0.05": {"MATRIX_LR": "0.05"},
    "WARMDOWN_RATIO 0.4": {"WARMDOWN_RATIO": "0.4"},
}


def score(source: str, constants: dict[str, str], seed: int) -> float:
    """Train with these constants and return val_bpb."""
    for name, value in {**SMALL, **constants, "SEED": str(seed)}.items():
        source, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", source)
        if count != 1:
            raise SystemExit(f"train.py sets {name} {count} times: expected once.")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(source, "train.py", "exec"), {"__name__": "__main__"})
    found = re.search(r"(?m)^val_bpb:\s+(\S+)", said.getvalue())
    if not found:
        raise SystemExit(f"The run gave no score:\n{said.getvalue()[-500:]}")
    return float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    source = Path("train.py").read_text(encoding="utf-8")
    began = time.process_time()
    rows = []
    for seed in range(1, seeds + 1):
        rows.append([score(source, constants, seed) for constants in VARIANTS.values()])
        print(f"seed {seed}: " + ", ".join(f"{value:.4f}" for value in rows[-1]), flush=True)
    scores = np.asarray(rows)
    print(f"{time.process_time() - began:.0f} s of processor time")
    for number, name in enumerate(VARIANTS):
        paired = scores[:, number] - scores[:, 0]
        apart = np.hypot(scores[:, number].std(ddof=1), scores[:, 0].std(ddof=1))
        print(
            f"{name:<20} mean {scores[:, number].mean():.4f}, SD {scores[:, number].std(ddof=1):.4f}; with the base: "
            f"correlation {np.corrcoef(scores[:, number], scores[:, 0])[0, 1]:+.2f}, SD of a difference "
            f"{paired.std(ddof=1):.4f} paired, {apart:.4f} unpaired"
        )


if __name__ == "__main__":
    main()
