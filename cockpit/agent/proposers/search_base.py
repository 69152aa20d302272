"""What a proposer of numbers starts from: the incumbent, its constants, and what was tried with its code."""

from collections.abc import Mapping

import msgspec

from cockpit.core.model import Value
from cockpit.core.state import State, constants_of
from cockpit.science.search_space import Dimension, search_space

Cell = frozenset[tuple[str, str]]


class SearchBase(msgspec.Struct, frozen=True):
    base: str
    constants: dict[str, Value]
    """The base's."""
    baseline: dict[str, Value]
    """The baseline's constants."""
    dimensions: dict[str, Dimension]
    tried: frozenset[Cell]
    """Overrides of every experiment that has the base's code but for constants, dropped ones included."""
    overrides: Cell = frozenset()
    """The base's own."""
    waiting: frozenset[frozenset[str]] = frozenset()
    """The factors of each wave that waits for a person: not asked about twice."""

    def was_tried(self, change: Mapping[str, Value]) -> bool:
        """Whether the base with this change is the code of an experiment."""
        kept = (pair for pair in self.overrides if pair[0] not in change)
        made = ((name, repr(value)) for name, value in change.items() if self.baseline.get(name) != value)
        return frozenset((*kept, *made)) in self.tried


def search_base(state: State) -> SearchBase | None:
    """What there is to propose around; None while there is no baseline. Reads every experiment once."""
    base = state.incumbent or state.baseline
    if not base:
        return None
    codes: dict[str, str] = {}
    """Experiment to the last of its line that changed more than constants: whose edits it has."""
    for experiment in state.experiments.values():
        by_numbers = experiment.base in codes and not experiment.change.edits
        codes[experiment.id] = codes[experiment.base] if by_numbers else experiment.id
    constants, baseline = constants_of(state, base), state.session.constants
    return SearchBase(
        base,
        constants,
        baseline,
        search_space(baseline),
        frozenset(_cell(state.experiments[name].overrides) for name, code in codes.items() if code == codes[base]),
        _cell({name: value for name, value in constants.items() if baseline.get(name) != value}),
        frozenset(frozenset(state.waves[name].factors) for name in state.proposals),
    )


def _cell(overrides: Mapping[str, Value]) -> Cell:
    return frozenset((name, repr(value)) for name, value in overrides.items())
