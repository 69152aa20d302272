"""A controller that steers a cart to the origin under random pushes. It leaves the cart's path in path.json."""

import json
import os
import random

GAIN = 0.2
DAMPING = 0.1
STEPS = 2000

random.seed(int(os.environ.get("SEED") or 0))
place, speed, path = 1.0, 0.0, []
for _ in range(STEPS):
    force = -GAIN * place - DAMPING * speed + random.gauss(0, 0.05)
    speed += 0.1 * force
    place += 0.1 * speed
    path.append(place)
with open("path.json", "w") as file:
    json.dump(path, file)
