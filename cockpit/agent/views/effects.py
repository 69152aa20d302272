"""The effects of a wave's factors as lines for an agent: main effects and two-factor interactions, with intervals."""

from collections.abc import Iterable
from itertools import groupby

from cockpit.agent.views.quoting import line
from cockpit.agent.views.state_views import value_words
from cockpit.core.model import Wave
from cockpit.core.state import State
from cockpit.read.effects import effects_of
from cockpit.science.effects import FactorEffect

LEVELS_LISTED = 8
INTERACTIONS_LISTED = 6
NOT_ESTIMABLE_LISTED = 6


def wave_effects(state: State, wave: Wave) -> list[str]:
    """Return a line for the wave, one for each factor with an estimate, and the interactions; bounded.

    Without estimates the list is empty. Only interactions beyond the noise are listed, the clearest first.
    """
    if not wave.factors:
        return []
    found = effects_of(state, wave.id)
    if not found.main:
        return []
    hardware, level = found.main[0].estimate.hardware, found.main[0].estimate.level
    head = (
        f"{wave.id} on {line(hardware, 40)}, {found.runs} runs: {line(state.session.metric.name)} against the first"
        f" level, averaged over the other factors, with {level:.0%} intervals"
    )
    lines = [head]
    for (factor,), each in groupby(found.main, key=lambda effect: effect.factors):
        effects = list(each)
        shown = ",  ".join(
            f"{value_words(effect.levels[0])}: {_words(state, effect)}" for effect in effects[:LEVELS_LISTED]
        )
        more = f",  and {len(effects) - LEVELS_LISTED} more levels" if len(effects) > LEVELS_LISTED else ""
        lines.append(f"  {line(factor, 60)} against {value_words(effects[0].against[0])}:  {shown}{more}")
    lines += _interactions(state, found.interactions)
    if found.not_estimable:
        left_out = len(found.not_estimable) - NOT_ESTIMABLE_LISTED
        names = ", ".join(line(name, 80) for name in found.not_estimable[:NOT_ESTIMABLE_LISTED])
        lines.append(f"  not estimable from these runs: {names}{f' and {left_out} more' if left_out > 0 else ''}")
    return lines


def _interactions(state: State, effects: Iterable[FactorEffect]) -> list[str]:
    """Return a line for each interaction beyond the noise, and a count of those that are not listed."""
    found = list(effects)
    clear = sorted((effect for effect in found if _beyond(effect)), key=_clearness, reverse=True)
    lines = [
        f"  {line('×'.join(effect.factors), 80)} at {', '.join(map(value_words, effect.levels))},"
        f" beyond the sum of both:  {_words(state, effect)}"
        for effect in clear[:INTERACTIONS_LISTED]
    ]
    if len(clear) > INTERACTIONS_LISTED:
        lines.append(f"  {len(clear) - INTERACTIONS_LISTED} weaker interactions beyond the noise are not listed")
    if found and not clear:
        lines.append(f"  no interaction beyond the noise, of {len(found)}")
    return lines


def _beyond(effect: FactorEffect) -> bool:
    return effect.estimate.low > 0 or effect.estimate.high < 0


def _clearness(effect: FactorEffect) -> float:
    estimate = effect.estimate
    return abs(estimate.mean) / max(estimate.high - estimate.low, 1e-12)


def _words(state: State, effect: FactorEffect) -> str:
    metric, estimate = state.session.metric, effect.estimate
    return f"{metric.signed(estimate.mean, 5)} {metric.span(estimate.low, estimate.high, 5)}"
