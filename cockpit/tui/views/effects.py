"""The effects of a wave's factors, as rows: each level against the factor's first, then interactions of two."""

from collections.abc import Sequence
from dataclasses import dataclass

from cockpit.core.metric import Metric
from cockpit.core.model import Estimate, Wave, WaveKind
from cockpit.core.state import State
from cockpit.read.effects import effects_of, is_clear
from cockpit.science.effects import FactorEffect
from cockpit.tui.figures import bare, short_name, value
from cockpit.tui.plain import plain


@dataclass(frozen=True)
class EffectView:
    label: str
    """`WD .05→.1`; of two factors `WD .1 × AR 96`."""
    estimate: Estimate
    joint: bool
    """True for an interaction of two factors."""

    @property
    def clear(self) -> bool:
        """True if its interval leaves zero out."""
        return is_clear(self.estimate)


@dataclass(frozen=True)
class EffectsView:
    wave: str
    rows: tuple[EffectView, ...]
    not_estimable: tuple[str, ...]
    """Factors and pairs that the cells measured so far cannot tell."""
    runs: int
    metric: Metric


def effects_view(state: State, selected: str) -> EffectsView | None:
    """Return the effects of the selected wave if it has factors, else of the newest half-measured; None for none."""
    wave = _wave(state, selected)
    if wave is None:
        return None
    found = effects_of(state, wave.id)
    rows = [EffectView(_main(effect), effect.estimate, False) for effect in found.main]
    joint = sorted(found.interactions, key=lambda effect: -_strength(effect.estimate))
    rows += [EffectView(_joint(effect), effect.estimate, True) for effect in joint]
    not_estimable = tuple("×".join(plain(short_name(name)) for name in term.split("×")) for term in found.not_estimable)
    return EffectsView(wave.id, tuple(rows), not_estimable, found.runs, state.session.metric)


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


def _main(effect: FactorEffect) -> str:
    return f"{plain(short_name(effect.factors[0]))} {_level(effect.against[0])}→{_level(effect.levels[0])}"


def _joint(effect: FactorEffect) -> str:
    pairs = zip(effect.factors, effect.levels, strict=True)
    return " × ".join(f"{plain(short_name(name))} {_level(level)}" for name, level in pairs)


def _level(level: object) -> str:
    return plain(bare(value(level)))  # type: ignore[arg-type]


def reach(rows: Sequence[EffectView]) -> float:
    """Return the length of the axis from zero, in scores: it shows every mean, and the intervals unless they dwarf
    the means."""
    means = max((abs(row.estimate.mean) for row in rows), default=0.0)
    ends = max((max(abs(row.estimate.low), abs(row.estimate.high)) for row in rows), default=0.0)
    return max(1e-6, min(ends, 4 * means) if means else ends)
