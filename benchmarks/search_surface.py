"""A fleet's world for benchmarks/search.py: what a configuration scores, whether it crashes, how noisy a run is.

Fitted to trials.json: 5-minute runs of autoresearch's train.py on an H200 (sessions that edited code are left out: the
constants do not describe them). The score is the mean of small neural networks on log(val_bpb - FLOOR): on sessions
held out from the fit they rank better than boosted trees, and are smooth, so that a mutation has an effect. On it
Optuna's TPE on one GPU needs 76 to 237 trials to 0.980; in the trials it needed 52, 156 and 281. Nothing was measured
below 0.974: a surface says little there.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Config = Mapping[str, Any]
Floats = NDArray[np.float64]

BASELINE: dict[str, Any] = {
    "DEPTH": 8, "ASPECT_RATIO": 64, "HEAD_DIM": 128, "DEVICE_BATCH_SIZE": 128, "TOTAL_BATCH_SIZE": 524288,
    "EMBEDDING_LR": 0.6, "UNEMBEDDING_LR": 0.004, "MATRIX_LR": 0.04, "SCALAR_LR": 0.5, "WEIGHT_DECAY": 0.2,
    "WARMUP_RATIO": 0.0, "WARMDOWN_RATIO": 0.5, "FINAL_LR_FRAC": 0.0, "WINDOW_PATTERN": "SSSL",
}  # fmt: skip

FLOOR = 0.970
"""The surface's asymptote: below everything measured (0.974), so that it cannot run away where there is no data."""
OUTSIDE = 1.0
"""Where no trial has been, in SDs of a feature beyond the outermost one: worse, for lack of knowledge."""
WORST = 1.3
"""Scores above this are too bad to differ."""
TOKENS_PER_MICROBATCH_ROW = 2048

WITHIN_SD = 0.00025
"""One configuration again in one session: 0.00015 to 0.0003 (README of the data)."""
BETWEEN_SD = 0.0005
"""With this the default varies by 0.00056 between sessions, as measured."""
H100_OFFSET = 0.005
"""An H100 does fewer steps in its 5 minutes than an H200."""
TAIL_DF = 5
"""Repeats have heavier tails than a normal: pooled SD 0.0003, median SD 0.00015."""


@dataclass(frozen=True)
class Trial:
    session: str
    config: Config
    val_bpb: float | None


def read_trials(path: Path) -> list[Trial]:
    """Return every trial whose constants are known and match the run. Raises OSError or ValueError on a bad file."""
    trials = []
    for method, sessions in json.loads(path.read_text()).items():
        if "Code" in method:
            continue
        for number, rows in sessions.items():
            for row in rows:
                config = {name: row[name] for name in BASELINE}
                trials.append(Trial(f"{method}/{number}", config, row["val_bpb"] if row["success"] else None))
    return trials


def features(config: Config) -> list[float]:
    """Return the inputs of the networks: constants, in log where they act by ratio, and the derived sizes."""
    depth, head = config["DEPTH"], config["HEAD_DIM"]
    width = -(-depth * config["ASPECT_RATIO"] // head) * head
    pattern = config["WINDOW_PATTERN"]
    log = np.log2
    return [
        depth, config["ASPECT_RATIO"], log(head), log(config["DEVICE_BATCH_SIZE"]), log(config["TOTAL_BATCH_SIZE"]),
        *(log(max(config[name], 1e-4)) for name in ("EMBEDDING_LR", "UNEMBEDDING_LR", "MATRIX_LR", "SCALAR_LR")),
        config["WEIGHT_DECAY"], config["WARMUP_RATIO"], config["WARMDOWN_RATIO"], config["FINAL_LR_FRAC"],
        pattern.count("S") / len(pattern), *(float(pattern[i % len(pattern)] == "S") for i in range(3)),
        log(width), log(depth * width * width), log(width * depth * config["DEVICE_BATCH_SIZE"]),
    ]  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A fitted multilayer perceptron as plain arrays: one prediction in microseconds."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def __call__(self, x: Floats) -> float:
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weight + bias, 0.0)
        return float((x @ self.weights[-1] + self.biases[-1])[0])


class Surface:
    """`score(config)`: val_bpb on an H200 without noise; `crashes(config)`: whether it fails."""

    def __init__(self, score: Callable[[Floats], float], crash: Callable[[Floats], bool], seen: Floats) -> None:
        """Keep the fits. `score` (log of val_bpb above FLOOR) and `crash` take features; `seen` are the fitted ones."""
        self._score, self._crash = score, crash
        self._low, self._high, self._scale = seen.min(axis=0), seen.max(axis=0), seen.std(axis=0)
        self._known: dict[tuple[Any, ...], tuple[float, bool]] = {}

    def _both(self, config: Config) -> tuple[float, bool]:
        key = tuple(config[name] for name in BASELINE)
        if key not in self._known:
            x = np.asarray(features(config))
            outside = (np.maximum(self._low - x, 0.0) + np.maximum(x - self._high, 0.0)) / self._scale
            score = FLOOR + float(np.exp(self._score(x) + OUTSIDE * float(outside.sum())))
            rows = config["DEVICE_BATCH_SIZE"] * TOKENS_PER_MICROBATCH_ROW
            self._known[key] = (score, config["TOTAL_BATCH_SIZE"] % rows != 0 or self._crash(x))
        return self._known[key]

    def score(self, config: Config) -> float:
        return self._both(config)[0]

    def crashes(self, config: Config) -> bool:
        return self._both(config)[1]


def _examples(trials: Sequence[Trial]) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Return (features of all, which gave a result, log scores of those)."""
    x = np.asarray([features(trial.config) for trial in trials])
    ok = np.asarray([trial.val_bpb is not None and trial.val_bpb < 3 for trial in trials])
    scores = np.asarray([trial.val_bpb for trial, good in zip(trials, ok, strict=True) if good], dtype=float)
    return x, ok, np.log(np.clip(scores, FLOOR + 0.0035, WORST) - FLOOR)


def fit_networks(trials: Sequence[Trial], networks: int = 5) -> Surface:
    """Return the mean of small neural networks. Needs scikit-learn (the extra `surrogate`)."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    seen, ok, y = _examples(trials)
    mean, scale = seen.mean(axis=0), seen.std(axis=0)
    x = (seen - mean) / scale
    scores = []
    for seed in range(networks):
        model = MLPRegressor(
            hidden_layer_sizes=(64, 64), alpha=1e-2, early_stopping=True, max_iter=200, random_state=seed
        )
        model.fit(x[ok], y)
        scores.append(Network(tuple(model.coefs_), tuple(model.intercepts_)))
    classifier = MLPClassifier(hidden_layer_sizes=(32,), alpha=1e-2, max_iter=200, random_state=0)
    classifier.fit(x, ~ok)
    crash = Network(tuple(classifier.coefs_), tuple(classifier.intercepts_))
    return Surface(
        lambda at: sum(network((at - mean) / scale) for network in scores) / len(scores),
        lambda at: crash((at - mean) / scale) > 0.0,
        seen,
    )


def fit_trees(trials: Sequence[Trial]) -> Surface:
    """Boosted trees: a rougher surface, which ranks worse, to see whether an answer depends on the fit."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, ok, y = _examples(trials)
    score = HistGradientBoostingRegressor(
        max_iter=300, learning_rate=0.06, max_leaf_nodes=24, l2_regularization=1, random_state=0
    ).fit(x[ok], y)
    crash = HistGradientBoostingClassifier(max_iter=100, random_state=0).fit(x, ~ok)
    return Surface(lambda at: float(score.predict(at[None, :])[0]), lambda at: bool(crash.predict(at[None, :])[0]), x)


SURFACES: dict[str, Callable[[Sequence[Trial]], Surface]] = {"networks": fit_networks, "trees": fit_trees}


def rank_on_held_out_sessions(
    trials: Sequence[Trial], fit: Callable[[Sequence[Trial]], Surface], folds: int = 4
) -> dict[str, float]:
    """Spearman correlation of predicted and measured scores on sessions left out of the fit, over all and below 0.985,
    0.98; crash accuracy."""
    from scipy.stats import spearmanr

    sessions = sorted({trial.session for trial in trials})
    predicted, measured, crash_right = [], [], []
    for fold in range(folds):
        left_out = set(sessions[fold::folds])
        surface = fit([trial for trial in trials if trial.session not in left_out])
        for trial in trials:
            if trial.session in left_out:
                failed = trial.val_bpb is None or trial.val_bpb >= 3
                crash_right.append(surface.crashes(trial.config) == failed)
                if not failed:
                    predicted.append(surface.score(trial.config))
                    measured.append(trial.val_bpb)
    p, m = np.asarray(predicted), np.asarray(measured)
    ranks = {name: float(spearmanr(p[m < top], m[m < top])[0])
             for name, top in (("all", 9.0), ("below 0.985", 0.985), ("below 0.980", 0.980))}  # fmt: skip
    return ranks | {"crash accuracy": float(np.mean(crash_right))}


@dataclass(frozen=True)
class Slot:
    """One cluster of the simulated fleet."""

    name: str
    hardware: str
    offset: float
    """Its addition to every score: that of its class and its own."""


def make_fleet(rng: np.random.Generator, h100: int = 13, h200: int = 3) -> list[Slot]:
    slots = []
    for i in range(h100 + h200):
        hardware = "H100" if i < h100 else "H200"
        own = float(rng.normal(0.0, BETWEEN_SD))
        slots.append(Slot(f"gpu-{i + 1:02d}", hardware, own + (H100_OFFSET if hardware == "H100" else 0.0)))
    return slots


def noise_sd(score: float) -> float:
    """Return the SD of repeats, which grows with the score: 0.0003 near 0.98, 0.0016 near 1.03 in the trials."""
    return WITHIN_SD * (1.0 + max(0.0, score - 0.992) / 0.007)


def measure(rng: np.random.Generator, score: float, slot: Slot) -> float:
    unit = float(rng.standard_t(TAIL_DF)) / np.sqrt(TAIL_DF / (TAIL_DF - 2))
    return float(score + slot.offset + noise_sd(score) * unit)


def repeats(trials: Sequence[Trial], below: float = 0.995) -> dict[str, list[list[float]]]:
    """Session -> groups of two or more scores of one configuration there, for groups that average `below`."""
    groups: dict[str, dict[tuple[Any, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        if trial.val_bpb is not None:
            groups[trial.session][tuple(trial.config[name] for name in BASELINE)].append(trial.val_bpb)
    return {
        session: kept
        for session, by_config in groups.items()
        if (kept := [v for v in by_config.values() if len(v) > 1 and sum(v) / len(v) < below])
    }
