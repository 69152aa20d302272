"""Cockpit's worker at the fleet it is meant for: sixteen clusters of the real SkyPilot on the lab's real Slurm.

    python -m benchmarks.lab_fleet [--clusters 16] [--seconds 240] [--rounds 2]      # as root on Debian; 30 minutes

Launches all of them, then runs `--rounds` experiments on each, every one of which prints a step line a second. Prints
how long the clusters took to come up, the worker's share of a core (its children's included) and its memory while it
launches, while it feeds and while every cluster streams. All nodes share this machine's cores: what SkyPilot takes on
them is longer here than on sixteen machines, and benchmarks/lab_throughput.py has the gaps between runs.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.lab_throughput import RUN, cpu_s, over, read
from cockpit.core.model import ClusterState
from cockpit.session import lock
from tests.lab.cluster import Lab, alone
from tests.lab.sessions import LabSession

LOOK_S = 60.0
H200_SHARE = 3 / 16


class Watch:
    """The processor time of the worker since the last look."""

    def __init__(self, session: LabSession) -> None:
        self.worker = psutil.Process(lock.worker_status(session.folder).pid)
        self.began, self.used_s = time.monotonic(), cpu_s(self.worker)

    def said(self, what: str) -> str:
        now, used_s = time.monotonic(), cpu_s(self.worker)
        wall_s, share = now - self.began, (used_s - self.used_s) / (now - self.began)
        self.began, self.used_s = now, used_s
        own = self.worker.memory_info().rss / 2**20
        return f"{what:34} {wall_s:6.0f} s   worker {share:6.2%} of a core, {own:4.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=240, help="of a run")
    parser.add_argument("--rounds", type=int, default=2, help="experiments for each cluster")
    given = parser.parse_args()
    h200 = round(H200_SHARE * given.clusters)
    h100 = given.clusters - h200
    before = dict(os.environ)
    with alone(), Lab(h100=h100, h200=h200) as lab, tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        os.environ.update(lab.env())
        notes = lab.root / "fleet.notes"
        script = RUN.format(seconds=given.seconds, notes=str(notes))
        session = LabSession(lab, Path(scratch), "fleet", seconds=given.seconds, script=script)
        try:
            session.new("--hardware", f"H100:{h100},H200:{h200}")
            watch = Watch(session)
            session.until(lambda: len(session.up()) == given.clusters, 3000, "the clusters")
            print(watch.said(f"{given.clusters} clusters launched"), flush=True)
            session.until(lambda: over(session, 1), 1800, "the baseline and the controls")
            print(watch.said("the baseline and the controls"), flush=True)
            count = given.rounds * given.clusters
            # None is better than the baseline: none is repeated.
            session.wave(1, MATRIX_LR=[round(0.1 + 0.001 * number, 4) for number in range(count)])
            session.until(lambda: len(session.running()) >= given.clusters, 1800, "every cluster to run")
            print(watch.said("a run on each submitted"), flush=True)
            time.sleep(LOOK_S)
            print(watch.said("every cluster streams"), flush=True)
            session.until(lambda: over(session, count + 1), 3600, "the runs to end")
            print(watch.said("the rest of the rounds"), flush=True)
            states = session.states()
            print(f"{len(read(notes))} runs ended")
            down = [name for name, state in states.items() if state not in (ClusterState.IDLE, ClusterState.BUSY)]
            print(f"clusters not up at the end: {', '.join(down) or 'none'}")
        finally:
            session.close()
            os.environ.clear()
            os.environ.update(before)


if __name__ == "__main__":
    main()
