"""Times sort.py on random lists, in processor time, and checks that it sorts. Lower sort_ms is better."""

import os
import random
import time

from sort import sort

random.seed(int(os.environ.get("SEED") or 0))
lists = [[random.random() for _ in range(3000)] for _ in range(5)]
took_ms = []
for values in lists:
    began = time.process_time()
    found = sort(values)
    took_ms.append(1000 * (time.process_time() - began))
    assert found == sorted(values), "it does not sort"
print(f"sort_ms: {min(took_ms):.3f}")
