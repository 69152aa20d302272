"""The simulated train.py: the score, speed and memory of a configuration.

The surface is invented, not fitted. Its shape is that of the published seed run: the unchanged file scores about
1.000 on an H100, width matters most with a sweet spot near ASPECT_RATIO 96, the rest matters less and not
independently, and nothing scores much below 0.974. Numbers at the baseline are those of autoresearch's README.
"""

import math
from collections.abc import Mapping

import msgspec

from cockpit.core.model import Value
from cockpit.fleet.sim.keyed_random import keyed_random

BEST_BPB = 0.974
"""The best score on an H100, with every constant at its optimum."""

VOCABULARY = 8192
ROW_TOKENS = 2048
BASELINE_STEPS_PER_S = 953 / 300
BASELINE_MFU_PERCENT = 39.8
_BASELINE_WIDTH = 512
TIME_BUDGET_S = 300.0

_DEFAULTS: dict[str, Value] = {
    "DEPTH": 8,
    "ASPECT_RATIO": 64,
    "HEAD_DIM": 128,
    "WINDOW_PATTERN": "SSSL",
    "TOTAL_BATCH_SIZE": 2**19,
    "DEVICE_BATCH_SIZE": 128,
    "EMBEDDING_LR": 0.6,
    "UNEMBEDDING_LR": 0.004,
    "MATRIX_LR": 0.04,
    "SCALAR_LR": 0.5,
    "WEIGHT_DECAY": 0.2,
    "ADAM_BETAS": [0.8, 0.95],
    "MUON_MOMENTUM": 0.95,
    "MUON_BETA2": 0.95,
    "NS_STEPS": 5,
    "WARMUP_RATIO": 0.0,
    "WARMDOWN_RATIO": 0.5,
    "FINAL_LR_FRAC": 0.0,
}

_WINDOWS = {"SSSS": 0.0, "S": 0.0, "SSLL": 0.0003, "SSSSL": 0.0004, "SLSL": 0.0005, "SL": 0.0005, "SSSL": 0.0008}
_OTHER_WINDOWS = 0.0025


class SimHardware(msgspec.Struct, frozen=True):
    """A hardware class."""

    memory_mb: float
    speed: float
    """Tokens a second, relative to an H100."""
    offset_bpb: float
    """Its score minus an H100's with the same constants; a faster class sees more text in the same time."""
    best_aspect_ratio: float


HARDWARE = {
    "H100": SimHardware(81_559, 1.0, 0.0, 96),
    "H200": SimHardware(143_771, 1.09, -0.006, 98),
    "A100": SimHardware(81_920, 0.42, 0.031, 80),
}


class Prediction(msgspec.Struct, frozen=True):
    """The behaviour of one configuration on one class of hardware, before any noise."""

    val_bpb: float = 0.0
    crash: str = ""
    """Empty, or the exception it ends with: `ExceptionName: message`."""
    crash_s: float = 0.0
    """Seconds from the start to the crash."""
    crash_trained: bool = False
    """True if it takes steps before it crashes."""
    steps_per_s: float = 0.0
    batch_tokens: int = 0
    peak_vram_mb: float = 0.0
    mfu_percent: float = 0.0
    params_M: float = 0.0
    depth: int = 0


def predict(
    constants: Mapping[str, Value], baseline: Mapping[str, Value], hardware: str, code: str, baseline_code: str
) -> Prediction:
    """Predict the behaviour of train.py with these constants on `hardware`.

    `code` identifies the rest of the file, and an edit of it has a small random effect. Constants that this surface
    does not know have a small effect around the baseline's value. An unknown class behaves like an H100.
    """
    values = {**_DEFAULTS, **constants}
    machine = HARDWARE.get(hardware, HARDWARE["H100"])
    crash = _crash(values, machine)
    if crash is not None:
        return crash
    edit_bpb, edit_crash = _edit(code, baseline_code)
    if edit_crash:
        return Prediction(crash="RuntimeError: The size of tensor a must match the size of tensor b", crash_s=12.0)
    depth, batch, rows = (_whole(values, name) for name in ("DEPTH", "TOTAL_BATCH_SIZE", "DEVICE_BATCH_SIZE"))
    width = _width(values)
    work = _flops_per_token(depth, width) / _flops_per_token(8, _BASELINE_WIDTH)
    efficiency = (min(rows, 128) / 128) ** 0.02
    tokens_per_s = BASELINE_STEPS_PER_S * 2**19 / work * machine.speed * efficiency
    return Prediction(
        val_bpb=BEST_BPB
        + machine.offset_bpb
        + _excess(values, machine)
        + _unknown(constants, baseline)
        + edit_bpb
        + 0.0004 * (1 - efficiency) / 0.02,
        steps_per_s=tokens_per_s / batch,
        batch_tokens=batch,
        peak_vram_mb=_memory_mb(depth, width, rows),
        mfu_percent=BASELINE_MFU_PERCENT * efficiency,
        params_M=_params(depth, width) / 1e6,
        depth=depth,
    )


def _crash(values: Mapping[str, Value], machine: SimHardware) -> Prediction | None:
    """Return the crash of constants that contradict each other, do not fit into memory, or diverge; None otherwise."""
    depth, aspect, head = _whole(values, "DEPTH"), _whole(values, "ASPECT_RATIO"), _whole(values, "HEAD_DIM")
    batch, rows = _whole(values, "TOTAL_BATCH_SIZE"), _whole(values, "DEVICE_BATCH_SIZE")
    if min(depth, aspect, head, rows) < 1:
        return Prediction(crash="ValueError: DEPTH, ASPECT_RATIO and HEAD_DIM must be positive", crash_s=4.0)
    if batch < 1 or batch % (rows * ROW_TOKENS):
        return Prediction(
            crash=f"AssertionError: TOTAL_BATCH_SIZE {batch} is not a multiple of {rows} x {ROW_TOKENS} tokens",
            crash_s=5.0,
        )
    width = _width(values)
    vram_mb = _memory_mb(depth, width, rows)
    if vram_mb > machine.memory_mb:
        return Prediction(
            crash=f"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {vram_mb / 20 / 1024:.2f} GiB. "
            f"GPU 0 has a total capacity of {machine.memory_mb / 1024:.2f} GiB",
            crash_s=33.0,
            peak_vram_mb=machine.memory_mb,
        )
    matrix_lr = _number(values, "MATRIX_LR")
    if matrix_lr > 0.3 * (_BASELINE_WIDTH / width) ** 0.5:
        return Prediction(
            crash="FloatingPointError: the loss is not a number",
            crash_s=41.0,
            crash_trained=True,
            steps_per_s=BASELINE_STEPS_PER_S,
            batch_tokens=batch,
        )
    return None


def _width(values: Mapping[str, Value]) -> int:
    """Return the width of the model: a multiple of HEAD_DIM."""
    head = _whole(values, "HEAD_DIM")
    return math.ceil(_whole(values, "DEPTH") * _whole(values, "ASPECT_RATIO") / head) * head


def _excess(values: Mapping[str, Value], machine: SimHardware) -> float:
    """Return how much worse than the best the known constants score: a sum of bowls in whitened coordinates.

    An optimum that depends on another constant is a term inside a bowl, so the sum is 0 at one point and positive
    elsewhere.
    """
    aspect = _log(values, "ASPECT_RATIO", machine.best_aspect_ratio)
    doublings = _log(values, "TOTAL_BATCH_SIZE", 2**18) / math.log(2)
    matrix = _log(values, "MATRIX_LR", 0.032) - 0.25 * doublings + 0.3 * aspect
    window = values["WINDOW_PATTERN"]
    return sum(
        (
            *_shape_terms(values, aspect),
            *_rate_terms(values, doublings, matrix),
            *_schedule_terms(values, matrix),
            *_momentum_terms(values),
            0.0015 * _bowl(_log(values, "HEAD_DIM", 128) / math.log(2)),
            _WINDOWS.get(window, _OTHER_WINDOWS) if isinstance(window, str) else _OTHER_WINDOWS,
        )
    )


def _shape_terms(values: Mapping[str, Value], aspect: float) -> tuple[float, ...]:
    depth = _log(values, "DEPTH", 8.5)
    return 0.075 * _bowl(aspect + 0.55 * depth), 0.030 * _bowl(depth)


def _rate_terms(values: Mapping[str, Value], doublings: float, matrix: float) -> tuple[float, ...]:
    """Return the terms of the batch size and the learning rates."""
    return (
        0.0035 * _bowl(doublings),
        0.0060 * _bowl(matrix),
        0.0040 * _bowl(_log(values, "EMBEDDING_LR", 0.9) - 0.15 * doublings),
        0.0030 * _bowl(_log(values, "UNEMBEDDING_LR", 0.006)),
        0.0015 * _bowl(_log(values, "SCALAR_LR", 0.35)),
    )


def _schedule_terms(values: Mapping[str, Value], matrix: float) -> tuple[float, ...]:
    """Return the terms of the weight decay and of the learning rates' course."""
    final = _off(values, "FINAL_LR_FRAC", 0.04, 0.1)
    return (
        0.0016 * _bowl(_off(values, "WEIGHT_DECAY", 0.12, 0.1) + 0.4 * matrix),
        0.0010 * _bowl(_off(values, "WARMUP_RATIO", 0.02, 0.1)),
        0.0050 * _bowl(_off(values, "WARMDOWN_RATIO", 0.64, 0.2) + 0.3 * final),
        0.0020 * _bowl(final),
    )


def _momentum_terms(values: Mapping[str, Value]) -> tuple[float, ...]:
    """Return the terms of the optimizers' averages."""
    beta1, beta2 = _pair(values["ADAM_BETAS"]) or (0.8, 0.95)
    return (
        0.0010 * _bowl((beta1 - 0.87) / 0.1),
        0.0020 * _bowl(math.log(max(1 - beta2, 1e-6) / 0.03)),
        0.0020 * _bowl(math.log(max(1 - _number(values, "MUON_MOMENTUM"), 1e-6) / 0.04)),
        0.0010 * _bowl(math.log(max(1 - _number(values, "MUON_BETA2"), 1e-6) / 0.04)),
        0.0003 * _bowl(_off(values, "NS_STEPS", 5, 1)),
    )


def _log(values: Mapping[str, Value], name: str, best: float) -> float:
    """Return the distance of a constant from its best value, in factors of e."""
    return math.log(max(_number(values, name), 1e-9) / best)


def _off(values: Mapping[str, Value], name: str, best: float, unit: float) -> float:
    """Return the distance of a constant from its best value, in units."""
    return (_number(values, name) - best) / unit


def _bowl(distance: float) -> float:
    """Return a square near 0 that becomes a straight line far away (twice a pseudo-Huber loss of width 2)."""
    return 8.0 * (math.sqrt(1.0 + distance * distance / 4.0) - 1.0)


def _unknown(constants: Mapping[str, Value], baseline: Mapping[str, Value]) -> float:
    """Return the effect of unknown constants: a bowl whose bottom is near the baseline's value."""
    total = 0.0
    for name, value in constants.items():
        base = baseline.get(name)
        if name in _DEFAULTS or base is None or value == base:
            continue
        if isinstance(value, int | float) and isinstance(base, int | float) and value > 0 and base > 0:
            best = keyed_random(name).gauss(0.0, 0.5)
            total += 0.002 * (_bowl(math.log(value / base) - best) - _bowl(best))
        else:
            total += keyed_random(name, value).gauss(0.0005, 0.0008)
    return total


def _edit(code: str, baseline_code: str) -> tuple[float, bool]:
    """Return (effect, True if it crashes) of an edit beyond constants: most do a little harm, a few help."""
    if code == baseline_code:
        return 0.0, False
    roll = keyed_random("edit", code)
    return max(-0.002, roll.gauss(0.0012, 0.0016)), roll.random() < 0.05


def _params(depth: int, width: int) -> int:
    """Count parameters: matrices, token embedding and head, and a value embedding for every second block."""
    return 12 * depth * width * width + VOCABULARY * width * (2 + math.ceil(depth / 2))


def _flops_per_token(depth: int, width: int) -> float:
    """Count forward and backward: 6 per matrix weight, 12 per channel and visible token (arXiv:2204.02311)."""
    return 6 * (12 * depth * width * width + VOCABULARY * width) + 12 * depth * width * ROW_TOKENS * 0.6


def _memory_mb(depth: int, width: int, rows: int) -> float:
    """Add weights with gradients and moments at 16 bytes, activations per token, layer and channel, and logits."""
    tokens = rows * ROW_TOKENS
    activations = tokens * depth * width * 29
    logits = tokens * VOCABULARY * 6
    return (16 * _params(depth, width) + activations + logits) / 2**20 + 900


def _number(values: Mapping[str, Value], name: str) -> float:
    value = values[name]
    default = _DEFAULTS[name]
    if isinstance(value, int | float):
        return float(value)
    return float(default) if isinstance(default, int | float) else 0.0


def _whole(values: Mapping[str, Value], name: str) -> int:
    return int(_number(values, name))


def _pair(value: Value) -> tuple[float, float] | None:
    match value:
        case [int() | float() as first, int() | float() as second]:
            return float(first), float(second)
        case _:
            return None
