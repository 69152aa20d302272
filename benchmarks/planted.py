"""Count the nights on this machine that keep the planted repair and nothing else.

    python -m benchmarks.planted              ten nights
    python -m benchmarks.planted 3 [SEED]     three nights, with seeds from SEED

Each night is a session of its own in autopilot, on two slots of this machine, with real training of the repository's
own train.py on the stdlib corpus (a model of two layers, a second of processor time a run). Its UNEMBEDDING_LR is
off by ten; the wave holds the repair, a comment, a renamed variable and a product turned round. A night is right when
the repair was kept, on evidence, and nothing else.
"""

import sys
import tempfile
from pathlib import Path

from tests.worker.planted import Told, night

NIGHTS = 10
WITHIN_S = 1800.0


def main() -> None:
    nights = int(sys.argv[1]) if len(sys.argv) > 1 else NIGHTS
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    right = 0
    for seed in range(first, first + nights):
        with tempfile.TemporaryDirectory() as scratch:
            one = night(Path(scratch), seed, WITHIN_S)
        right += one.right
        print(line(seed, one), flush=True)
        if not one.right:
            print(f"    {one}", flush=True)
    print(f"{right}/{nights} nights right")


def line(seed: int, one: Told) -> str:
    gain = one.repair
    seen = f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] in {gain.runs} fresh runs" if gain else "no estimate"
    said = "; ".join(f"{why} {what}" for why, what in one.placebos.items())
    return (
        f"seed {seed}: {'right' if one.right else 'WRONG'}; kept {', '.join(one.kept) or 'nothing'}: {seen}, "
        f"{one.repair_runs} runs of it, {one.runs} of all, {one.failed} failed, {60 * one.hours:.1f} min; {said}"
    )


if __name__ == "__main__":
    main()
