"""The change of an experiment in words. Every place that names a change joins these parts."""

from cockpit.core.model import Experiment
from cockpit.core.state import State, constants_of
from cockpit.decide.kept_changes import WITHOUT
from cockpit.read.wording import value

CODE = "code"
"""The name of the part for edited lines."""


def change_parts(experiment: Experiment) -> list[tuple[str, str]]:
    """Return (name, value) of each constant that the experiment sets, then (`code`, `+12 −3`) where it edits lines.

    An ablation is one part: the kept experiment that it leaves out. Empty for the unchanged base.
    """
    without = experiment.levels.get(WITHOUT)
    if without is not None:
        return [(WITHOUT, value(without))]
    constants = {**experiment.levels, **experiment.change.constants}
    parts = [(name, value(level)) for name, level in constants.items()]
    if experiment.change.edits:
        parts.append((CODE, f"+{experiment.lines_added} −{experiment.lines_removed}"))
    return parts


def change_words(experiment: Experiment) -> str:
    """Return `DEPTH=10, WIDTH=768, code +12 −3 (purpose)`; the reason of an experiment that changes nothing."""
    words = [name + (" " if name in (CODE, WITHOUT) else "=") + said for name, said in change_parts(experiment)]
    if experiment.change.edits and experiment.why and WITHOUT not in experiment.levels:
        words[-1] += f" ({experiment.why})"
    return ", ".join(words) or experiment.why or "unchanged"


def changed_names(state: State, experiment: Experiment) -> list[str]:
    """Return the parts of the change that differ from the base: an arm may set a constant to the value it has."""
    base = constants_of(state, experiment.base) if experiment.base in state.experiments else {}
    return [name for name, said in change_parts(experiment) if name not in base or value(base[name]) != said]


def change_steps(state: State, experiment: Experiment) -> str:
    """Return `MATRIX_LR 0.04 → 0.05, code +12 −3`: each changed constant with the base's value before it."""
    base = constants_of(state, experiment.base) if experiment.base in state.experiments else {}
    words = []
    for name, said in change_parts(experiment):
        before = value(base[name]) if name in base else ""
        words.append(f"{name} {before} → {said}" if before and before != said else f"{name} {said}")
    return ", ".join(words) or experiment.why or "unchanged"
