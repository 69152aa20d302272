"""The effects of a wave's factors: each level against the factor's first, and a map of each interaction of two."""

from collections.abc import Sequence

import msgspec

from cockpit.core.metric import Metric
from cockpit.core.model import Estimate, Value, Wave, WaveKind
from cockpit.core.state import State
from cockpit.read.effects import effects_of, is_clear
from cockpit.science.effects import FactorEffect
from cockpit.tui.figures import bare, value
from cockpit.tui.plain import plain
from cockpit.tui.views.changes import Wording, short_of


class EffectView(msgspec.Struct, frozen=True):
    label: Wording
    """`WEIGHT_DECAY .05→.1`; for two factors `WEIGHT_DECAY .1 × ASPECT_RATIO 96`."""
    estimate: Estimate
    joint: bool
    """True for an interaction of two factors."""

    @property
    def clear(self) -> bool:
        """True if its interval leaves zero out."""
        return is_clear(self.estimate)


class InteractionMap(msgspec.Struct, frozen=True):
    """The interaction of two factors: a row for each level of the first, a column for each of the second.

    The first level of each factor is the reference of the others, and has neither row nor column.
    """

    title: Wording
    against: Wording
    rows: tuple[Wording, ...]
    columns: tuple[Wording, ...]
    cells: tuple[tuple[EffectView, ...], ...]


class EffectsView(msgspec.Struct, frozen=True):
    wave: str
    main: tuple[EffectView, ...]
    maps: tuple[InteractionMap, ...]
    """The interactions, the clearest first."""
    not_estimable: tuple[Wording, ...]
    """Factors and pairs whose effects the cells measured so far do not determine."""
    runs: int
    metric: Metric

    @property
    def joint(self) -> tuple[EffectView, ...]:
        return tuple(one for drawn in self.maps for cells in drawn.cells for one in cells)

    @property
    def rows(self) -> tuple[EffectView, ...]:
        return self.main + self.joint


def effects_view(state: State, selected: str) -> EffectsView | None:
    """Return the effects of the selected wave. Without factors there: of the newest half-measured wave, or None."""
    wave = _wave(state, selected)
    if wave is None:
        return None
    found = effects_of(state, wave.id)
    main = tuple(EffectView(_main(effect), effect.estimate, False) for effect in found.main)
    clearest = sorted(found.interactions, key=lambda effect: -_strength(effect.estimate))
    unknown = tuple(_term(term.split("×")) for term in found.not_estimable)
    pairs = dict.fromkeys(effect.factors for effect in clearest)
    maps = tuple(_map(pair, [effect for effect in clearest if effect.factors == pair], wave) for pair in pairs)
    return EffectsView(wave.id, main, maps, unknown, found.runs, state.session.metric)


def _wave(state: State, selected: str) -> Wave | None:
    wave = state.waves.get(selected)
    if wave is not None and wave.factors:
        return wave
    asked = (wave for wave in reversed(state.waves.values()) if wave.kind is WaveKind.WAVE and wave.factors)
    return next((wave for wave in asked if 2 * _measured(state, wave) >= len(wave.arms)), None)


def _measured(state: State, wave: Wave) -> int:
    return sum(bool(state.experiments[arm].scores) for arm in wave.arms)


def _strength(estimate: Estimate) -> float:
    """Return its distance from zero, in half widths of its interval."""
    return abs(estimate.mean) / max(1e-12, estimate.high - estimate.low)


def _term(names: Sequence[str]) -> Wording:
    return Wording("×".join(map(plain, names)), "×".join(short_of(name) for name in names))


def _main(effect: FactorEffect) -> Wording:
    levels = f"{_level(effect.against[0])}→{_level(effect.levels[0])}"
    return Wording(f"{plain(effect.factors[0])} {levels}", f"{short_of(effect.factors[0])} {levels}")


def _at(factors: Sequence[str], levels: Sequence[Value]) -> Wording:
    pairs = [(name, _level(level)) for name, level in zip(factors, levels, strict=True)]
    full = " × ".join(f"{plain(name)} {level}" for name, level in pairs)
    return Wording(full, " × ".join(f"{short_of(name)} {level}" for name, level in pairs))


def _map(pair: tuple[str, ...], effects: Sequence[FactorEffect], wave: Wave) -> InteractionMap:
    """Lay the effects of one pair out, in the order of the wave's levels."""
    across = [[level for level in wave.factors[name] if any(effect.levels[n] == level for effect in effects)]
              for n, name in enumerate(pair)]  # fmt: skip
    found = {repr(effect.levels): EffectView(_at(pair, effect.levels), effect.estimate, True) for effect in effects}
    return InteractionMap(
        _term(pair),
        _at(pair, effects[0].against),
        tuple(_at(pair[:1], [level]) for level in across[0]),
        tuple(_at(pair[1:], [level]) for level in across[1]),
        tuple(tuple(found[repr((one, other))] for other in across[1]) for one in across[0]),
    )


def _level(level: Value) -> str:
    return plain(bare(value(level)))


def reach(rows: Sequence[EffectView]) -> float:
    """Return the length of the axis from zero, in scores: it shows every mean, and the intervals unless they dwarf
    the means."""
    means = max((abs(row.estimate.mean) for row in rows), default=0.0)
    ends = max((max(abs(row.estimate.low), abs(row.estimate.high)) for row in rows), default=0.0)
    return max(1e-6, min(ends, 4 * means) if means else ends)
