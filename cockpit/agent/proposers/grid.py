"""The proposer `grid`: waves of two factors around the incumbent, nearest levels first, until all were tried."""

from collections.abc import Iterator, Mapping
from itertools import product

import msgspec

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.agent.proposers.search_base import SearchBase, search_base
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Value, WaveKind
from cockpit.science.search_space import Choice, Dimension, Ladder, Real, fit_overrides, readable

PAIRS = (
    ("ASPECT_RATIO", "DEPTH"),
    ("MATRIX_LR", "TOTAL_BATCH_SIZE"),
    ("WARMDOWN_RATIO", "FINAL_LR_FRAC"),
    ("EMBEDDING_LR", "UNEMBEDDING_LR"),
    ("WEIGHT_DECAY", "ADAM_BETAS"),
    ("SCALAR_LR", "WARMUP_RATIO"),
    ("MUON_MOMENTUM", "MUON_BETA2"),
    ("HEAD_DIM", "WINDOW_PATTERN"),
)
"""Factors that are likely to interact, the most promising first. What else there is, is paired in its own order."""

SCALES = (1.0, 0.5, 2.0, 0.25)
"""Of the steps between levels, a round each."""

LEVELS_AT_MOST = 5
STEPS_AWAY_AT_MOST = 4
ALL_TRIED_RETRY_S = 600.0


class Wave(msgspec.Struct, frozen=True):
    factors: dict[str, list[Value]]
    cells: tuple[dict[str, Value], ...]
    """Constants to set, by arm."""
    levels: tuple[dict[str, Value], ...]


class Grid:
    """Proposes factors x levels; needs no model and no memory of its own."""

    name = "grid"

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        around = api.read(search_base)
        if around is None:
            raise ProposerTrouble("grid waits for the baseline to be there")
        if not around.dimensions:
            raise ProposerTrouble("grid finds no constants that it knows how to vary: propose patches", 3600.0)
        wave = next_wave(around, request.arms)
        if wave is None:
            raise ProposerTrouble(
                f"grid has tried every level around {around.base}: it goes on when there is a new incumbent",
                ALL_TRIED_RETRY_S,
            )
        names = " x ".join(wave.factors)
        receipt = api.propose(
            Draft(
                proposer=self.name,
                question=f"what {'does' if len(wave.factors) == 1 else 'do'} {names} do around {around.base}?",
                base=around.base,
                factors=wave.factors,
                arms=tuple(
                    Arm(Change(constants=cell), levels=levels)
                    for cell, levels in zip(wave.cells, wave.levels, strict=True)
                ),
                kind=WaveKind.FILLER if request.reason == "filler" else WaveKind.WAVE,
            )
        )
        if receipt.status == "refused":
            raise ProposerTrouble(f"none of grid's arms could be taken: {receipt.problems[0]}")


def next_wave(around: SearchBase, arms: int) -> Wave | None:
    """The first wave of at most `arms` cells that has cells nobody tried; None when there is none."""
    for scale in SCALES:
        for names in _pairs(around.dimensions):
            if frozenset(names) in around.waiting:
                continue
            wave = _wave(around, names, max(1, arms), scale)
            if wave.cells:
                return wave
    return None


def levels(dimension: Dimension, center: Value, count: int, scale: float = 1.0) -> list[Value]:
    """`count` values, or fewer where there are no more: the center, then its neighbours, sorted where they have an
    order. A step is a factor of sqrt(2) where factors matter, else an eighth of the range, times `scale`."""
    found = [center]
    for candidate in _candidates(dimension, center, scale):
        if len(found) >= count:
            break
        if candidate not in found:
            found.append(candidate)
    if isinstance(dimension, Choice):
        return found
    return sorted(found, key=lambda value: value if isinstance(value, int | float) else 0.0)


def _candidates(dimension: Dimension, center: Value, scale: float) -> Iterator[Value]:
    if isinstance(dimension, Choice):
        yield from dimension.options
        return
    if not isinstance(center, int | float):
        return
    for away in range(1, STEPS_AWAY_AT_MOST + 1):
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


def _wave(around: SearchBase, names: tuple[str, ...], arms: int, scale: float) -> Wave:
    """The grid with the most levels of which no more than `arms` cells are left to try: every factor of it varied,
    where there is room for that."""
    best = _best_of(around, names, arms, scale, 2)
    return best if best.cells else _best_of(around, names, arms, scale, 1)


def _best_of(around: SearchBase, names: tuple[str, ...], arms: int, scale: float, levels_at_least: int) -> Wave:
    best = Wave({}, (), ())
    left: dict[str, dict[str, Value] | None] = {}  # most cells are in most of the grids
    for counts in _counts(len(names)):
        if min(counts) < levels_at_least:
            continue
        factors = {
            name: levels(around.dimensions[name], around.constants[name], count, scale)
            for name, count in zip(names, counts, strict=True)
        }
        cells, shown = [], []
        for combination in product(*factors.values()):
            chosen = dict(zip(factors, combination, strict=True))
            if (key := repr(combination)) not in left:
                change = fit_overrides(around.constants, chosen)
                left[key] = change if change and not around.was_tried(change) else None
            if (cell := left[key]) is not None:
                cells.append(cell)
                shown.append(chosen)
        if len(best.cells) < len(cells) <= arms:
            best = Wave(factors, tuple(cells), tuple(shown))
    return best


def _counts(factors: int) -> list[tuple[int, ...]]:
    """Numbers of levels by factor, the squarest first."""
    return sorted(
        product(range(1, LEVELS_AT_MOST + 1), repeat=factors), key=lambda counts: (max(counts) - min(counts), counts)
    )


def _pairs(dimensions: Mapping[str, Dimension]) -> Iterator[tuple[str, ...]]:
    paired = [pair for pair in PAIRS if all(name in dimensions for name in pair)]
    yield from paired
    known = {name for pair in paired for name in pair} | {"DEVICE_BATCH_SIZE"}
    rest = [name for name in dimensions if name not in known]
    for at in range(0, len(rest), 2):
        yield tuple(rest[at : at + 2])
