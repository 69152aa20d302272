"""The starting point of a numeric proposer: the incumbent, its constants, and what was tried with its code."""

from collections.abc import Mapping

import msgspec

from cockpit.core.model import Value
from cockpit.core.state import State, constants_of
from cockpit.science.search_space import Dimension, search_space

Overrides = frozenset[tuple[str, str]]
"""Constants that differ from the baseline's: (name, repr of the value)."""


class SearchBase(msgspec.Struct, frozen=True):
    experiment: str
    """The incumbent, or the baseline before there is one."""
    constants: dict[str, Value]
    """The constants of `experiment`."""
    baseline_constants: dict[str, Value]
    dimensions: dict[str, Dimension]
    tried: frozenset[Overrides]
    """Overrides of every experiment, dropped ones included, whose code equals the base's except for constants."""
    overrides: Overrides = frozenset()
    """The base's own overrides."""
    proposed_factors: frozenset[frozenset[str]] = frozenset()
    """The factors of each wave that waits for a person. They are not proposed again."""

    def was_tried(self, change: Mapping[str, Value]) -> bool:
        """Return True if the base with this change is the code of an experiment."""
        kept = (pair for pair in self.overrides if pair[0] not in change)
        changed = ((name, repr(value)) for name, value in change.items() if self.baseline_constants.get(name) != value)
        return frozenset((*kept, *changed)) in self.tried


def search_base(state: State) -> SearchBase | None:
    """Return the starting point; None without a baseline. Reads every experiment once."""
    base = state.incumbent or state.baseline
    if not base:
        return None
    codes = _codes(state)
    constants, baseline_constants = constants_of(state, base), state.session.constants
    changed = {name: value for name, value in constants.items() if baseline_constants.get(name) != value}
    same_code = (state.experiments[name] for name, code in codes.items() if code == codes[base])
    return SearchBase(
        base,
        constants,
        baseline_constants,
        search_space(baseline_constants, state.session.ranges),
        frozenset(_overrides(experiment.overrides) for experiment in same_code),
        _overrides(changed),
        frozenset(frozenset(state.waves[name].factors) for name in state.proposals),
    )


def _codes(state: State) -> dict[str, str]:
    """Return, for each experiment, its last ancestor or itself that changed more than constants."""
    codes: dict[str, str] = {}
    for experiment in state.experiments.values():
        constants_only = experiment.base in codes and not experiment.change.edits
        codes[experiment.id] = codes[experiment.base] if constants_only else experiment.id
    return codes


def _overrides(constants: Mapping[str, Value]) -> Overrides:
    return frozenset((name, repr(value)) for name, value in constants.items())
