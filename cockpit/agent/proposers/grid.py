"""The proposer `grid`: waves of two factors around the incumbent, nearest levels first, until all are tried."""

from collections.abc import Iterator, Mapping
from itertools import product

import msgspec

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.agent.proposers.search_base import SearchBase, search_base
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Value, WaveKind
from cockpit.read.wording import value
from cockpit.science.search_space import Choice, Dimension, Ladder, Real, fit_overrides, readable

PAIRS: dict[tuple[str, ...], str] = {
    ("ASPECT_RATIO", "DEPTH"): "which shape of the model learns most in the time?",
    ("MATRIX_LR", "TOTAL_BATCH_SIZE"): "does another batch size want another learning rate?",
    ("WARMDOWN_RATIO", "FINAL_LR_FRAC"): "how long and how far should the learning rate fall?",
    ("EMBEDDING_LR", "UNEMBEDDING_LR"): "do the first and the last layer want other learning rates?",
    ("WEIGHT_DECAY", "ADAM_BETAS"): "does the decay depend on how long Adam remembers?",
    ("SCALAR_LR", "WARMUP_RATIO"): "does a warm-up allow another rate of the scalars?",
    ("MUON_MOMENTUM", "MUON_BETA2"): "how long should Muon remember?",
    ("HEAD_DIM", "WINDOW_PATTERN"): "which heads and windows suit the model?",
}
"""Factors that are likely to interact, the most promising first, and what their wave asks.

Other constants are paired in their own order.
"""

SCALES = (1.0, 0.5, 2.0, 0.25)
"""Factors on the step between levels, one round of waves each."""

MAX_LEVELS = 5
MAX_STEPS_AWAY = 4
ALL_TRIED_RETRY_S = 600.0
NO_CONSTANTS_RETRY_S = 3600.0


class GridWave(msgspec.Struct, frozen=True):
    factors: dict[str, list[Value]]
    changes: tuple[dict[str, Value], ...]
    """The constants that each arm sets."""
    levels: tuple[dict[str, Value], ...]
    """The level of each factor, by arm."""


class Grid:
    """Proposes factors x levels. Needs no model and keeps nothing between requests."""

    name = "grid"

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        base = api.read(search_base)
        if base is None:
            raise ProposerTrouble("grid waits for the baseline")
        if not base.dimensions:
            raise ProposerTrouble("grid finds no constants that it can vary: propose patches", NO_CONSTANTS_RETRY_S)
        wave = next_wave(base, request.arms)
        if wave is None:
            raise ProposerTrouble(
                f"grid has tried every level around {base.experiment}: it waits for a new incumbent", ALL_TRIED_RETRY_S
            )
        receipt = api.propose(_draft(base, wave, request))
        if receipt.status == "refused":
            raise ProposerTrouble(f"every arm of grid was refused: {receipt.problems[0]}")


def _draft(base: SearchBase, wave: GridWave, request: ProposalRequest) -> Draft:
    arms = zip(wave.changes, wave.levels, strict=True)
    return Draft(
        proposer=Grid.name,
        question=question_of(wave, base),
        base=base.experiment,
        factors=wave.factors,
        arms=tuple(Arm(Change(constants=change), levels=levels) for change, levels in arms),
        kind=WaveKind.FILLER if request.reason == "filler" else WaveKind.WAVE,
    )


def question_of(wave: GridWave, base: SearchBase) -> str:
    """Return the levels that the wave tries, then what is asked about them."""
    varied = {name: tried for name, tried in wave.factors.items() if len(tried) > 1}
    parts = [f"{name} {' '.join(map(value, tried))}" for name, tried in varied.items()]
    asked = PAIRS.get(tuple(wave.factors), "does the best level of one depend on the other?")
    if len(varied) == 1:
        (name,) = varied
        asked = f"is {value(base.constants[name])} the best level for {base.experiment}?"
    return f"{' × '.join(parts)}: {asked}"


def next_wave(base: SearchBase, arms: int) -> GridWave | None:
    """Return the first wave of at most `arms` untried arms; None if every arm was tried."""
    for scale in SCALES:
        for names in _pairs(base.dimensions):
            if frozenset(names) in base.proposed_factors:
                continue
            wave = _wave(base, names, max(1, arms), scale)
            if wave.changes:
                return wave
    return None


def levels(dimension: Dimension, center: Value, count: int, scale: float = 1.0) -> list[Value]:
    """Return up to `count` values: the center and its neighbours, sorted if they have an order.

    On a log scale a step is a factor of sqrt(2), otherwise an eighth of the range; `scale` multiplies it.
    """
    found = [center]
    for candidate in _neighbours(dimension, center, scale):
        if len(found) >= count:
            break
        if candidate not in found:
            found.append(candidate)
    if isinstance(dimension, Choice):
        return found
    return sorted(found, key=lambda level: level if isinstance(level, int | float) else 0.0)


def _neighbours(dimension: Dimension, center: Value, scale: float) -> Iterator[Value]:
    """Yield the center's neighbours, nearest first."""
    if isinstance(dimension, Choice):
        yield from dimension.options
        return
    if not isinstance(center, int | float):
        return
    for away in range(1, MAX_STEPS_AWAY + 1):
        for steps in (away, -away):
            match dimension:
                case Real(low, high, log):
                    moved = center * 2 ** (0.5 * scale * steps) if log else center + steps * scale * (high - low) / 8
                    if low <= moved <= high:
                        yield readable(moved)
                case Ladder(rungs):
                    nearest = min(range(len(rungs)), key=lambda rung: abs(rungs[rung] - center))
                    rung = nearest + steps * max(1, round(scale))
                    if 0 <= rung < len(rungs):
                        yield rungs[rung]


def _wave(base: SearchBase, names: tuple[str, ...], arms: int, scale: float) -> GridWave:
    """Return the largest grid of which at most `arms` arms are untried. It varies every factor if it can."""
    wave = _largest_grid(base, names, arms, scale, 2)
    return wave if wave.changes else _largest_grid(base, names, arms, scale, 1)


def _largest_grid(base: SearchBase, names: tuple[str, ...], arms: int, scale: float, min_levels: int) -> GridWave:
    best = GridWave({}, (), ())
    untried: dict[str, dict[str, Value] | None] = {}  # cached: most cells occur in most of the grids
    for counts in _level_counts(len(names)):
        if min(counts) < min_levels:
            continue
        factors = {
            name: levels(base.dimensions[name], base.constants[name], count, scale)
            for name, count in zip(names, counts, strict=True)
        }
        changes, arm_levels = [], []
        for combination in product(*factors.values()):
            cell = dict(zip(factors, combination, strict=True))
            if (key := repr(combination)) not in untried:
                untried[key] = _untried_change(base, cell)
            if (change := untried[key]) is not None:
                changes.append(change)
                arm_levels.append(cell)
        if len(best.changes) < len(changes) <= arms:
            best = GridWave(factors, tuple(changes), tuple(arm_levels))
    return best


def _untried_change(base: SearchBase, cell: dict[str, Value]) -> dict[str, Value] | None:
    """Return the constants to set for a cell; None if the cell is the base or was tried."""
    change = fit_overrides(base.constants, cell)
    return change if change and not base.was_tried(change) else None


def _level_counts(factors: int) -> list[tuple[int, ...]]:
    """Return numbers of levels by factor, the squarest first."""
    return sorted(
        product(range(1, MAX_LEVELS + 1), repeat=factors), key=lambda counts: (max(counts) - min(counts), counts)
    )


def _pairs(dimensions: Mapping[str, Dimension]) -> Iterator[tuple[str, ...]]:
    """Yield the known pairs, then the other constants in pairs."""
    paired = [pair for pair in PAIRS if all(name in dimensions for name in pair)]
    yield from paired
    known = {name for pair in paired for name in pair} | {"DEVICE_BATCH_SIZE"}
    rest = [name for name in dimensions if name not in known]
    for at in range(0, len(rest), 2):
        yield tuple(rest[at : at + 2])
