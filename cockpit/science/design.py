"""Choose which cells of a grid to run: all of them, or a fraction that still separates the main effects.

Resolution III: main effects are not confounded with one another. IV: nor with two-factor interactions. V: two-factor
interactions are not confounded with one another either (Box, Hunter & Hunter 2005, Statistics for Experimenters,
chapter 6).
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import msgspec

from cockpit.core.intents import FACTORS_AT_MOST
from cockpit.core.model import Value

FULL = 0
"""The resolution of a design that runs every cell."""
IRREGULAR = 2
"""The resolution of a design whose factors have more than two levels: it balances the main effects only."""

CANDIDATES = 20_000
"""Cells of a larger grid that are considered, drawn with a fixed seed."""
NUMBERED_AT_MOST = 1 << 62
"""Cells of the largest grid whose cells have numbers that fit into 64 bits. The levels of a larger one are drawn."""


class Design(msgspec.Struct, frozen=True):
    cells: tuple[dict[str, Value], ...]
    resolution: int
    """FULL, IRREGULAR, or at least 3."""
    aliased: tuple[str, ...]
    """Confounded effects such as `A×B = C×D`; main effects and two-factor interactions only."""
    said: str
    """A description of the design, in words."""


def full_grid(factors: Mapping[str, Sequence[Value]]) -> Design:
    """Return every combination of the levels. Raises ValueError on a factor without levels or with a repeated one."""
    _check(factors)
    cells = tuple(dict(zip(factors, combination, strict=True)) for combination in itertools.product(*factors.values()))
    return Design(cells, FULL, (), f"all {len(cells)} combinations of {len(factors)} factors")


def choose_design(factors: Mapping[str, Sequence[Value]], arms_at_most: int) -> Design:
    """Return the full grid if it fits into `arms_at_most` cells, else the best fraction that does.

    Raises ValueError if even the main effects need more arms.
    """
    _check(factors)
    needed = 1 + sum(len(levels) - 1 for levels in factors.values())
    if math.prod(len(levels) for levels in factors.values()) <= arms_at_most:
        return full_grid(factors)
    if needed > arms_at_most:
        raise ValueError(f"the main effects of {len(factors)} factors need {needed} arms: allow more, or drop a factor")
    if all(len(levels) == 2 for levels in factors.values()) and (found := _regular(factors, arms_at_most)):
        return found
    return _balanced(factors, arms_at_most)


def _check(factors: Mapping[str, Sequence[Value]]) -> None:
    if not factors:
        raise ValueError("a design needs at least one factor")
    if len(factors) > FACTORS_AT_MOST:
        raise ValueError(f"{len(factors)} factors are too many: give at most {FACTORS_AT_MOST}")
    for name, levels in factors.items():
        if not levels or len({repr(level) for level in levels}) != len(levels):
            raise ValueError(f"the factor {name} needs levels that differ")


def _regular(factors: Mapping[str, Sequence[Value]], arms_at_most: int) -> Design | None:
    """Return a regular two-level fraction of the largest power of two of arms; None if a factor has no column left.

    Each factor beyond the basic ones is the product of some basic factors. Products of an odd number of them give words
    of even length, hence resolution IV where enough of them exist; the better of both choices is taken.
    """
    names = list(factors)
    basic = int(math.log2(arms_at_most))
    sizes = range(basic, 1, -1)
    choices = (_generators(len(names), basic, sizes), _generators(len(names), basic, [n for n in sizes if n % 2]))
    found = [choice for choice in choices if choice is not None]
    if not found:
        return None
    generators, words = max(found, key=lambda choice: sorted(word.bit_count() for word in choice[1]))
    cells = []
    for signs in itertools.product((0, 1), repeat=basic):
        bits = list(signs)
        bits += [sum(signs[i] for i in range(basic) if column >> i & 1) % 2 for column in generators]
        cells.append({name: factors[name][bit] for name, bit in zip(names, bits, strict=True)})
    resolution = min(word.bit_count() for word in words)
    said = f"{len(cells)} of {2 ** len(names)} combinations, resolution {_ROMAN.get(resolution, str(resolution))}"
    return Design(tuple(cells), resolution, _aliases(names, words), said)


def _generators(count: int, basic: int, sizes: Sequence[int]) -> tuple[list[int], list[int]] | None:
    """Return (the column of each further factor, the words of the defining relation) as bit masks of factors.

    They are chosen one after another so that the shortest words are as long, and then as few, as possible.
    """
    generators: list[int] = []
    words: list[int] = []
    for new in range(basic, count):
        best: tuple[list[int], int, list[int]] | None = None
        for size in sizes:
            for chosen in itertools.combinations(range(basic), size):
                column = sum(1 << i for i in chosen)
                if column in generators:
                    continue
                word = column | 1 << new
                grown = [*words, word, *(word ^ other for other in words)]
                lengths = sorted(w.bit_count() for w in grown)
                if best is None or lengths > best[0]:
                    best = (lengths, column, grown)
        if best is None:
            return None
        generators.append(best[1])
        words = best[2]
    return generators, words


_ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}


def _aliases(names: Sequence[str], words: Sequence[int]) -> tuple[str, ...]:
    """Name the groups of main effects and two-factor interactions that the defining relation confounds."""
    effects = [1 << i for i in range(len(names))]
    effects += [1 << i | 1 << j for i, j in itertools.combinations(range(len(names)), 2)]
    known = set(effects)
    groups: dict[int, list[int]] = {}
    for effect in effects:
        alike = [effect, *(effect ^ word for word in words if effect ^ word in known)]
        if len(alike) > 1:
            groups[min(alike)] = sorted(alike, key=lambda mask: (mask.bit_count(), mask))

    def named(mask: int) -> str:
        return "×".join(name for i, name in enumerate(names) if mask >> i & 1)

    return tuple(" = ".join(named(mask) for mask in alike) for alike in groups.values())


def _balanced(factors: Mapping[str, Sequence[Value]], arms: int) -> Design:
    """Choose cells one after another, each sharing as few levels and pairs of levels as possible with the earlier
    ones."""
    import numpy as np

    names, sizes = list(factors), [len(levels) for levels in factors.values()]
    total = math.prod(sizes)
    dice = np.random.default_rng(0)
    if total > NUMBERED_AT_MOST:
        candidates = np.unique(np.stack([dice.integers(0, size, CANDIDATES) for size in sizes], axis=1), axis=0)
    else:
        numbers = np.arange(total) if total <= CANDIDATES else np.unique(dice.integers(0, total, CANDIDATES))
        candidates = np.stack(np.unravel_index(numbers, sizes), axis=1)
    crowd = np.zeros(len(candidates))
    chosen: list[tuple[int, ...]] = []
    for _ in range(arms):
        index = int(np.argmin(crowd))
        chosen.append(tuple(int(level) for level in candidates[index]))
        shared = candidates == candidates[index]
        alike = shared.sum(axis=1)
        crowd += shared @ np.asarray(sizes, dtype=float) + alike * (alike - 1) / 2
        crowd[index] = np.inf
    cells = tuple({name: factors[name][a] for name, a in zip(names, cell, strict=True)} for cell in sorted(chosen))
    said = f"{len(cells)} of {total} combinations, balanced for main effects"
    return Design(cells, IRREGULAR, (), said)
