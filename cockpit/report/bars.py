"""Effects of factors as bars: the difference a level makes, with its interval."""

from collections.abc import Iterable

import msgspec

from cockpit.core.metric import Metric
from cockpit.core.model import Estimate
from cockpit.read.effects import is_clear
from cockpit.read.wording import value
from cockpit.science.effects import FactorEffect, FactorEffects

FACTORS_AT_MOST = 24
WIDTH, HEIGHT = 200, 14
BETTER, WORSE, UNCLEAR, WHISKER = "#1a9850", "#b0532e", "#c4c8cc", "#444"


class Bar(msgspec.Struct, frozen=True):
    """One effect, in scores: negative is better."""

    wave: str
    factor: str
    """Two names for an interaction."""
    levels: str
    """`8 → 10`."""
    estimate: Estimate
    interaction: bool

    @property
    def is_clear(self) -> bool:
        return is_clear(self.estimate)


def bars_of(wave: str, effects: FactorEffects) -> list[Bar]:
    """Return the main effects of a wave, then its interactions whose interval excludes 0."""
    clear = [effect for effect in effects.interactions if is_clear(effect.estimate)]
    return [_bar(wave, one, False) for one in effects.main] + [_bar(wave, one, True) for one in clear]


def strongest(waves: Iterable[Iterable[Bar]]) -> list[Bar]:
    """Return one bar for each factor: its clearest improvement, or else its largest clear effect.

    The most helpful factor comes first. A factor without a clear effect is left out.
    """
    found: dict[str, Bar] = {}
    for bars in waves:
        for bar in bars:
            if bar.interaction or not bar.is_clear:
                continue
            known = found.get(bar.factor)
            if known is None or _rank(bar) < _rank(known):
                found[bar.factor] = bar
    return sorted(found.values(), key=lambda bar: bar.estimate.mean)[:FACTORS_AT_MOST]


def scale_of(bars: Iterable[Bar]) -> float:
    """Return the half width of an axis that holds the bars and their intervals."""
    return max((max(abs(bar.estimate.low), abs(bar.estimate.high)) for bar in bars), default=0.0) or 1.0


def bar_svg(bar: Bar, scale: float, metric: Metric) -> str:
    """Return one bar from the middle of the picture, with its interval as a line. The axis is the metric's values."""
    low, mean, high = (
        WIDTH / 2 * (1 + max(-1.0, min(1.0, metric.value(end) / scale)))
        for end in (bar.estimate.low, bar.estimate.mean, bar.estimate.high)
    )
    colour = UNCLEAR if not bar.is_clear else BETTER if bar.estimate.mean < 0 else WORSE
    left, width = min(WIDTH / 2, mean), max(1.0, abs(mean - WIDTH / 2))
    middle = HEIGHT / 2
    return (
        f'<svg class="bar" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
        f'<path d="M{WIDTH // 2} 0v{HEIGHT}" stroke="#bbb"/>'
        f'<rect x="{left:.1f}" y="2" width="{width:.1f}" height="{HEIGHT - 4}" fill="{colour}"/>'
        f'<path d="M{low:.1f} {middle:g}H{high:.1f}" stroke="{WHISKER}"/></svg>'
    )


def _rank(bar: Bar) -> tuple[bool, float]:
    """Order the effects of one factor: improvements first, the larger first."""
    improves = bar.estimate.mean < 0
    return (not improves, bar.estimate.mean if improves else -bar.estimate.mean)


def _bar(wave: str, effect: FactorEffect, interaction: bool) -> Bar:
    before, after = (" × ".join(value(level) for level in levels) for levels in (effect.against, effect.levels))
    return Bar(wave, " × ".join(effect.factors), f"{before} → {after}", effect.estimate, interaction)
