"""Scores the path that a run left: its mean distance from the origin. Lower is better."""

import json

with open("path.json") as file:
    path = json.load(file)
assert len(path) == 2000, "the path has another length"
print(f"distance: {sum(map(abs, path)) / len(path):.5f}")
