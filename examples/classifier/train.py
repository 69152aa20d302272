"""A linear classifier of noisy points, trained by the perceptron rule. Higher val_acc is better."""

import os
import random

LEARNING_RATE = 0.0005
EPOCHS = 2
POINTS = 300

random.seed(int(os.environ.get("SEED") or 0))


def point():
    x = [random.gauss(0, 1) for _ in range(5)] + [1.0]
    label = 1 if 2 * x[0] - x[1] + 0.5 * x[2] + 1.5 > random.gauss(0, 0.3) else -1
    return x, label


train, held_out = [point() for _ in range(POINTS)], [point() for _ in range(4000)]
weights = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
for _ in range(EPOCHS):
    for x, label in train:
        if label * sum(w * v for w, v in zip(weights, x)) <= 0:
            weights = [w + LEARNING_RATE * label * v for w, v in zip(weights, x)]
right = sum(label * sum(w * v for w, v in zip(weights, x)) > 0 for x, label in held_out)
print(f"val_acc: {right / len(held_out):.4f}")
