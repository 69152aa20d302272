"""Check a knob's new setting, and exclude knobs without an effect from search."""

import itertools
from collections.abc import Mapping

from cockpit.core.events import Event
from cockpit.core.knob_events import KnobSet
from cockpit.core.knobs import KnobRange
from cockpit.core.model import DECISIONS, Value
from cockpit.core.nearest import did_you_mean
from cockpit.core.state import State, constants_of
from cockpit.decide.evidence import edits_behind, noise_of, readings_of
from cockpit.science.compare import reference_score
from cockpit.science.inert import inert_knobs
from cockpit.science.search_space import search_space

EXPERIMENTS_READ = 1_000
"""Newest experiments that are searched for knobs without an effect."""
ASKS_BETWEEN = 16
"""Asks of proposers between two searches for such knobs."""
KNOBS_LEFT = 2
"""Knobs that search keeps at least."""


def knob_problem(state: State, name: str, wanted: KnobRange) -> str:
    """Return why a knob cannot be set so, in one sentence; empty if it can."""
    constants = state.session.constants
    if state.incumbent in state.experiments:
        constants = constants | constants_of(state, state.incumbent)
    if name not in constants:
        near = did_you_mean(name, list(constants))
        return f"there is no constant {name!r}: {near or '`cockpit knob` lists them'}"
    if wanted.low is not None and wanted.high is not None and not wanted.low < wanted.high:
        return f"{name}: low {wanted.low:g} is not below high {wanted.high:g}"
    value = constants[name]
    is_range = wanted.low is not None or wanted.high is not None or bool(wanted.choices)
    if is_range and name not in search_space({name: value}, {name: wanted}):
        return (
            f"{name} is {value!r}, and {'these choices' if wanted.choices else 'this range'} leave no value to search"
        )
    return ""


def drop_inert(state: State, now: float) -> list[Event]:
    """Exclude the knobs without an effect beyond noise from search, with the evidence.

    A knob that was set during the session, by a person or by this decision, is left as it is.
    """
    if not state.incumbent or state.asks_total % ASKS_BETWEEN:
        return []
    ranges = state.session.ranges
    space = search_space(state.session.constants, ranges)
    noise = noise_of(state)
    if noise.df <= 0:
        return []
    code = edits_behind(state, state.incumbent)
    runs: list[tuple[Mapping[str, Value], float]] = []
    for experiment in itertools.islice(reversed(state.experiments.values()), EXPERIMENTS_READ):
        comparable = experiment.scores and edits_behind(state, experiment.id) == code
        if comparable and (readings := readings_of(state, experiment.id)):
            runs.append((constants_of(state, experiment.id), reference_score(readings, noise).mean))
    settable = {name for name in space if name not in ranges or not ranges[name].set_by}
    found = [one for one in inert_knobs(space, runs, noise.run_sd) if one.name in settable]
    metric = state.session.metric
    return [
        KnobSet(
            at=now,
            knob=one.name,
            range=KnobRange(
                excluded=f"no effect on {metric.name} beyond {one.largest:.2g}, within one run's noise of"
                f" {noise.run_sd:.2g}, at {one.levels} values in {one.runs} experiments"
            ),
            author=DECISIONS,
        )
        for one in found[: max(0, len(space) - KNOBS_LEFT)]
    ]
