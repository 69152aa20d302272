"""A simulated run: its result, decided when it is submitted, and the log it prints.

Both are pure: the same fleet seed, job, SEED and code give the same run and, byte for byte, the same log.
"""

import math
import random
from typing import NamedTuple

import msgspec

from cockpit.core.model import Value
from cockpit.fleet.sim.keyed_random import keyed_random
from cockpit.fleet.sim.source import SimSource
from cockpit.fleet.sim.surface import TIME_BUDGET_S, Prediction

NOISE_WITHIN_SD = 0.0003
NOISE_BETWEEN_SD = 0.0005
"""SDs of val_bpb: of the same code repeated on one cluster, and between clusters of one class."""

NATS_PER_BPB = 3.05
GPU_FAULT = "torch.AcceleratorError: CUDA error: unspecified launch failure"
FIRST_LOSS = 9.01
"""ln(8192): an untrained model over the vocabulary."""


class Hazards(msgspec.Struct, frozen=True):
    """Rates of failures that do not depend on the configuration."""

    launch_failure: float = 0.02
    """Share of launches that find no capacity."""
    losses_per_cluster_hour: float = 0.004
    """Preemptions and lost nodes of a cluster that is up."""
    fault: float = 0.003
    """Share of runs that a GPU fault ends."""
    hang: float = 0.001
    """Share of runs that stop printing and never end."""


class SimRun(msgspec.Struct, frozen=True):
    """The course of a run, in seconds after its start."""

    train_hash: str
    prepare_hash: str
    hashes: dict[str, str]
    """SHA-256 of each file whose hash is taken, by path."""
    val_bpb: float
    startup_s: float
    """Until the first step: imports, data, compilation."""
    training_s: float
    evaluation_s: float
    stops_s: float
    """Its end; infinite if it hangs."""
    crash: str
    """Empty, or the exception it ends with."""
    steps: int
    batch_tokens: int
    mfu_percent: float
    peak_vram_mb: float
    params_M: float
    depth: int
    warmup: float
    warmdown: float
    final_lr: float
    wobble: int
    """The seed of the noise in the printed losses."""
    lines: int


def plan_run(
    seed: int, job: str, cluster: str, environment: dict[str, str], source: SimSource, prediction: Prediction,
    hazards: Hazards, lines: int,
) -> SimRun:  # fmt: skip
    """Plan the run of `job` on `cluster`: the surface's prediction, with noise and failures by seed, name and code."""
    roll = keyed_random(seed, job, environment.get("SEED", ""), source.train_hash)
    noise = roll.gauss(0.0, NOISE_WITHIN_SD) + keyed_random(seed, cluster).gauss(0.0, NOISE_BETWEEN_SD)
    budget_s = _budget_s(environment)
    course = _course(roll, budget_s, source, prediction, hazards)
    share = budget_s / TIME_BUDGET_S
    return SimRun(
        train_hash=source.train_hash,
        prepare_hash=source.prepare_hash,
        hashes=source.hashes,
        val_bpb=prediction.val_bpb + noise,
        startup_s=course.startup_s,
        training_s=budget_s,
        evaluation_s=course.evaluation_s,
        stops_s=course.stops_s,
        crash=course.crash,
        steps=max(1, round(prediction.steps_per_s * TIME_BUDGET_S * share * roll.uniform(0.995, 1.005))),
        batch_tokens=prediction.batch_tokens,
        mfu_percent=prediction.mfu_percent,
        peak_vram_mb=prediction.peak_vram_mb,
        params_M=prediction.params_M,
        depth=prediction.depth,
        warmup=_share(source.constants.get("WARMUP_RATIO"), 0.0),
        warmdown=_share(source.constants.get("WARMDOWN_RATIO"), 0.5),
        final_lr=_share(source.constants.get("FINAL_LR_FRAC"), 0.0),
        wobble=roll.getrandbits(32),
        lines=lines,
    )


class _Course(NamedTuple):
    """The times of a run and its crash, as in SimRun."""

    startup_s: float
    evaluation_s: float
    stops_s: float
    crash: str = ""


def _course(
    roll: random.Random, budget_s: float, source: SimSource, prediction: Prediction, hazards: Hazards
) -> _Course:
    """Draw the times of a run, and the failure that ends it, if any."""
    startup_s = roll.uniform(14.0, 22.0)
    evaluation_s = roll.uniform(8.0, 12.0)
    fault, hang, when = roll.random(), roll.random(), roll.uniform(0.05, 0.95)
    if source.broken:
        return _Course(startup_s, evaluation_s, roll.uniform(0.5, 1.5), source.broken)
    if prediction.crash:
        stops_s = prediction.crash_s * roll.uniform(0.9, 1.1)
        return _Course(startup_s if prediction.crash_trained else stops_s, evaluation_s, stops_s, prediction.crash)
    if hang < hazards.hang:
        return _Course(startup_s, evaluation_s, math.inf)
    if fault < hazards.fault:
        return _Course(startup_s, evaluation_s, startup_s + when * budget_s, GPU_FAULT)
    return _Course(startup_s, evaluation_s, startup_s + budget_s + evaluation_s)


def log_lines(run: SimRun) -> list[tuple[float, str]]:
    """Return [(seconds after the start, text with line ends)], ascending; the last is at `stops_s` unless it hangs."""
    marks = f"train_sha256={run.train_hash} prepare_sha256={run.prepare_hash}"
    lines = [(0.0, f"COCKPIT_START {marks}\n")]
    hangs = math.isinf(run.stops_s)
    stop_s = run.startup_s + 0.4 * run.training_s if hangs else run.stops_s
    if run.startup_s < stop_s:
        lines.append((0.6 * run.startup_s, f"Vocab size: 8,192\nModel: depth {run.depth}, {run.params_M:.1f}M\n"))
        lines += [line for line in _step_lines(run) if line[0] < stop_s]
    if hangs:
        return lines
    if run.crash:
        last = f'Traceback (most recent call last):\n  File "train.py", line 1, in <module>\n{run.crash}\n'
        lines.append((stop_s, f"{last}COCKPIT_END {marks} exit=1\n"))
    else:
        lines.append((stop_s, f"{_summary(run)}COCKPIT_END {marks} exit=0\n"))
    return lines


def _step_lines(run: SimRun) -> list[tuple[float, str]]:
    roll = random.Random(run.wobble)
    seconds_per_step = run.training_s / run.steps
    tokens_per_s = run.batch_tokens / seconds_per_step
    found = []
    for index in range(run.lines):
        step = round((run.steps - 1) * index / max(1, run.lines - 1))
        done = step / run.steps
        loss = training_loss(run.val_bpb, done) + roll.gauss(0.0, 0.006)
        text = (
            f"step {step:05d} ({100 * done:.1f}%) | loss: {loss:.6f} | lrm: {_lr_multiplier(run, done):.2f} | "
            f"dt: {seconds_per_step * 1000:.0f}ms | tok/sec: {tokens_per_s:,.0f} | mfu: {run.mfu_percent:.1f}% | "
            f"epoch: 1 | remaining: {run.training_s * (1 - done):.0f}s\n"
        )
        found.append((run.startup_s + run.training_s * done, text))
    return found


def training_loss(val_bpb: float, done: float) -> float:
    """Return the training loss in nats at a fraction of the budget: a power law from an untrained model's loss down.

    The curves of two configurations separate gradually.
    """
    end = 1 / math.sqrt(201)
    shape = (1 / math.sqrt(1 + 200 * done) - end) / (1 - end)
    final = NATS_PER_BPB * (1.0 + (val_bpb - 1.0) * math.sqrt(done))
    return final + (FIRST_LOSS - final) * shape


def _lr_multiplier(run: SimRun, done: float) -> float:
    if done < run.warmup:
        return done / run.warmup
    if done < 1 - run.warmdown or run.warmdown == 0:
        return 1.0
    left = (1 - done) / run.warmdown
    return left + (1 - left) * run.final_lr


def _summary(run: SimRun) -> str:
    return (
        "---\n"
        f"val_bpb:          {run.val_bpb:.6f}\n"
        f"training_seconds: {run.training_s:.1f}\n"
        f"total_seconds:    {run.stops_s:.1f}\n"
        f"peak_vram_mb:     {run.peak_vram_mb:.1f}\n"
        f"mfu_percent:      {run.mfu_percent:.2f}\n"
        f"total_tokens_M:   {run.steps * run.batch_tokens / 1e6:.1f}\n"
        f"num_steps:        {run.steps}\n"
        f"num_params_M:     {run.params_M:.1f}\n"
        f"depth:            {run.depth}\n"
    )


def _budget_s(environment: dict[str, str]) -> float:
    """Read the training budget from the environment, as prepare.py does."""
    try:
        budget_s = float(environment.get("COCKPIT_TIME_BUDGET_S") or TIME_BUDGET_S)
    except ValueError:
        return TIME_BUDGET_S
    return budget_s if 0 < budget_s < math.inf else TIME_BUDGET_S


def _share(value: Value | None, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else otherwise
