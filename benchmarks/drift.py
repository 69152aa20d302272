"""Measure if scores of the same code drift over a day, in real repeats of real runs, one session at a time.

    python -m benchmarks.drift PATH/TO/trials.json

For each session of the trials the slope of repeats of the same constants over time, with its error, and what it comes
to between two controls of one cluster (40 runs of 5 minutes) in units of a run's SD. Sessions in which code was
edited are left out, and configurations above 1.0, most of which were about to diverge.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from cockpit.science.noise import estimate_noise
from cockpit.science.reading import Reading

SCORES_BELOW = 1.0
REPEATS_AT_LEAST = 30
BETWEEN_CONTROLS_H = 40 * 5 / 60


def repeats(rows: list[dict[str, Any]]) -> list[Reading]:
    """Return the runs of configurations that ran more than once, at the seconds of the session when each ended."""
    groups: dict[str, list[Reading]] = defaultdict(list)
    at = 0.0
    for row in rows:
        at += row["wt"]
        if row["success"] and row["val_bpb"] < SCORES_BELOW:
            constants = {name: row[name] for name in row if name not in ("tid", "val_bpb", "success", "wt")}
            name = json.dumps(constants, sort_keys=True)
            groups[name].append(Reading(name, "one", "H200", row["val_bpb"], at))
    return [reading for group in groups.values() if len(group) > 1 for reading in group]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", type=Path, help="trials.json")
    trials = json.loads(parser.parse_args().trials.read_text())
    print(f"{'session':<26} {'repeats':>8} {'SD':>8} {'drift/h':>9} {'SE':>8} {'between controls':>18}")
    for method, sessions in trials.items():
        for number, rows in sessions.items():
            found = repeats(rows) if "Code" not in method else []
            if len(found) < REPEATS_AT_LEAST:
                continue
            noise = estimate_noise(found)
            share = abs(noise.drift.slope) * BETWEEN_CONTROLS_H / noise.within_sd
            print(
                f"{method[:22]:<22} {number:>3} {len(found):>8} {noise.within_sd:>8.5f} {noise.drift.slope:>+9.1e} "
                f"{noise.drift.slope_se:>8.1e} {share:>15.2f} SD"
            )


if __name__ == "__main__":
    main()
