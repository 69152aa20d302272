"""Effects of a wave's factors, and the gain of the incumbent, from the runs so far."""

from cockpit.core.model import IMPORTED, Estimate, Value, Wave
from cockpit.core.state import State, constants_of
from cockpit.decide.evidence import evidence_of, noise_of, readings_of
from cockpit.read.scores import score_of
from cockpit.read.wording import difference_words
from cockpit.science.compare import POOLED, Comparison, compare
from cockpit.science.effects import FactorEffects, estimate_effects

ADJUSTED = "adjusted for clusters"
"""The words beside differences."""
ADJUSTED_NOTE = (
    "Scores are as measured. Differences are adjusted for clusters that measure apart from their class, and leave out"
    " the runs that an incumbent was chosen by: a worse score may have the better difference."
)


def effects_of(state: State, wave: str) -> FactorEffects:
    """Return the main effects and two-factor interactions of a wave from the runs it has so far. Raises KeyError."""
    one = state.waves[wave]
    runs = [(state.experiments[arm].levels, reading) for arm in one.arms for reading in readings_of(state, arm)]
    cell = _cell_of_base(state, one)
    if cell:
        runs += [(cell, reading) for reading in evidence_of(state, one.base)]
    return estimate_effects(one.factors, runs, noise_of(state))


def _cell_of_base(state: State, wave: Wave) -> dict[str, Value]:
    """Return the base's levels where they are a cell of the grid. That cell has no arm: its code was measured before.

    Empty if the base is outside the grid, or where the arms differ from it in more than their levels.
    """
    arms = [state.experiments[arm].change for arm in wave.arms]
    if wave.base not in state.experiments or any(arm.edits or set(arm.constants) != set(wave.factors) for arm in arms):
        return {}
    held = constants_of(state, wave.base)
    cell = {name: held[name] for name in wave.factors if name in held}
    return cell if all(cell.get(name) in levels for name, levels in wave.factors.items()) else {}


def gain_of(state: State) -> Comparison | None:
    """Return the incumbent against the baseline, without the runs that the incumbent was chosen by.

    None while they are the same, or share no class, and for an imported one that ran once: that run chose it.
    """
    if not state.incumbent or state.incumbent == state.baseline:
        return None
    if state.session.fleet.kind == IMPORTED and len(state.experiments[state.incumbent].attempts) < 2:
        return None
    return compare(evidence_of(state, state.incumbent), readings_of(state, state.baseline), noise_of(state))


def is_clear(estimate: Estimate) -> bool:
    """Return True if the interval of an effect excludes 0."""
    return estimate.low > 0 or estimate.high < 0


def against_incumbent(state: State, name: str) -> Estimate | None:
    """Return an experiment against the incumbent; None if the two share no class, or are the same.

    The estimate of its verdict where that was against the incumbent; else its runs are compared as they are.
    """
    experiment = state.experiments[name]
    if not state.incumbent or name == state.incumbent or not experiment.scores:
        return None
    if experiment.estimate is not None and experiment.estimate.against == state.incumbent:
        return experiment.estimate
    found = compare(evidence_of(state, name), evidence_of(state, state.incumbent), noise_of(state))
    return found.pooled if found else None


def adjusted_words(state: State, name: str) -> str:
    """Return how the difference to the incumbent departs from that of the two scores.

    `scores differ by −0.0024; Δ is adjusted for clusters and selection`; empty if both agree.
    """
    estimate, mine, its = against_incumbent(state, name), score_of(state, name), score_of(state, state.incumbent)
    if estimate is None or mine is None or its is None:
        return ""
    if mine.hardware != its.hardware:
        return f"Δ compares runs on {estimate.hardware}" if estimate.hardware != POOLED else "Δ is pooled over classes"
    gap = difference_words(state.session.metric, mine.mean - its.mean)
    if gap == difference_words(state.session.metric, estimate.mean):
        return ""
    return f"scores differ by {gap}; Δ is {ADJUSTED} and selection"
