"""Processor time of `cockpit status` in a long session, against decoding its whole state, and of a fold from nothing.

python -m benchmarks.status            100,000 experiments (about three minutes)
python -m benchmarks.status 10000      another size
"""

import resource
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

from benchmarks.ledger import night
from cockpit.core.fold import fold_all
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder

AT_ONCE = 10_000
READ = "import sys; from pathlib import Path; from cockpit.session.paths import SessionFolder; "
READ += "from cockpit.session.reader import LedgerReader; LedgerReader(SessionFolder(Path(sys.argv[1]))).{}()"
RUNS = 3


def write(folder: SessionFolder, experiments: int, snapshot: bool) -> None:
    ledger = Ledger.create(folder.ledger)
    events, state = night(experiments), None
    while some := list(islice(events, AT_ONCE)):
        ledger.append(some)
        state = fold_all(some, state) if snapshot else None
    if state is not None:
        ledger.snapshot(state)
    ledger.close()


def processor_s(*command: str, runs: int = RUNS) -> float:
    """Return the processor seconds of a command, the best of some runs."""
    best = float("inf")
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def main() -> None:
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as place:
        whole, bare = (SessionFolder(Path(place) / name) for name in ("whole", "bare"))
        write(whole, experiments, snapshot=True)
        write(bare, experiments, snapshot=False)
        status = processor_s("-m", "cockpit", "status", str(whole.root))
        state = processor_s("-c", READ.format("state"), str(whole.root))
        anew = processor_s("-c", READ.format("state"), str(bare.root), runs=1)
    print(f"{experiments:,} experiments, processor time")
    print(f"cockpit status           {status:6.2f} s   {status / 0.5:.2f} of 0.5 s")
    print(f"the whole state alone    {state:6.2f} s   {state / status:.1f} x the status")
    print(f"a fold from nothing      {anew:6.2f} s   {anew / 10:.2f} of 10 s")


if __name__ == "__main__":
    main()
