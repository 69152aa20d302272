"""How long a variant takes to store, as a share of the 20 ms it may take: python -m benchmarks.variant_store

1,000 puts of constants, and 200 of an edit, each into a small repository and into one with 5,000 files; the
script is as long as upstream's train.py. Prints, for each, the median and the 99th percentile over 20 ms
(below 1 is within budget), and what the size of the repository costs (1 is nothing).
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from cockpit.core.model import Change, Edit
from cockpit.variant.store import VariantStore

BUDGET_S = 0.020
FUNCTION = '''

def layer_{i}(x, scale=1.0):
    """Layer {i}."""
    hidden = [scale * value + {i} for value in x]
    if sum(hidden) > {i}:
        hidden = [max(value, 0.0) ** 2 for value in hidden]
    return [value + residual for value, residual in zip(hidden, x)]
'''
CONSTANTS = """
DEPTH = 8               # number of layers
MATRIX_LR = 0.04        # Muon
ADAM_BETAS = (0.8, 0.95)
TOTAL_BATCH_SIZE = 2**19 # tokens
"""


def repository(folder: Path, other_files: int) -> Path:
    functions = "".join(FUNCTION.format(i=i) for i in range(90))
    (folder / "train.py").write_text(f'import math\n{functions}{CONSTANTS}\nprint(f"val_bpb: {{DEPTH}}")\n')
    (folder / "prepare.py").write_text("TIME_BUDGET = 300\n")
    for i in range(other_files):
        path = folder / f"data_{i % 50}" / f"file_{i}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(i))
    environment = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    environment |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "Begin"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True, env=environment)
    return folder


def seconds_per_put(store: VariantStore, changes: list[Change], prefix: str) -> list[float]:
    base = store.baseline().commit
    taken = []
    for number, change in enumerate(changes):
        start = time.perf_counter()
        store.put(f"{prefix}{number:04d}", base, change, "A benchmark", at=float(number))
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    numeric = [
        Change(constants={"DEPTH": i, "MATRIX_LR": i / 1000, "ADAM_BETAS": [0.8, i / 1000]}) for i in range(1000)
    ]
    patches = [Change(edits=(Edit("scale * value + 45 for", f"scale * value + {i + 100} for"),)) for i in range(200)]
    medians = {}
    for other_files in (0, 5000):
        with tempfile.TemporaryDirectory() as folder:
            store = VariantStore(repository(Path(folder), other_files), "benchmark")
            for kind, changes in (("constants", numeric), ("edit", patches)):
                taken = seconds_per_put(store, changes, kind[0])
                medians[kind, other_files] = statistics.median(taken)
                slow = statistics.quantiles(taken, n=100)[98]
                where = f"{kind:9} {len(changes):4} puts beside {other_files:4} files"
                shares = f"median {medians[kind, other_files] / BUDGET_S:.2f}, 99th percentile {slow / BUDGET_S:.2f}"
                print(f"{where}: {shares} of the budget")
            store.close()
    for kind in ("constants", "edit"):
        print(f"{kind:9} 5,000 files beside it / none: {medians[kind, 5000] / medians[kind, 0]:.2f}")


if __name__ == "__main__":
    main()
