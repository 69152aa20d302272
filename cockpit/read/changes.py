"""Word the change of an experiment, the same in every place that names it."""

from cockpit.core.model import Experiment
from cockpit.core.state import WITHOUT, State, constants_of
from cockpit.decide.rebasing import REBASED
from cockpit.read.wording import value

CODE = "code"
"""The name of the part for edited lines."""
FROM = "from"
"""The name of the part for an arm that makes the change of an earlier experiment on a newer base."""


def change_parts(experiment: Experiment) -> list[tuple[str, str]]:
    """Return (name, value) of each constant that the experiment sets, then (`code`, `+12 −3`) where it edits lines.

    An ablation is one part: the kept experiment that it leaves out. Empty for the unchanged base.
    """
    without = experiment.levels.get(WITHOUT)
    if without is not None:
        return [(WITHOUT, value(without))]
    constants = {**experiment.levels, **experiment.change.constants}
    parts = [(name, value(level)) for name, level in constants.items() if name != REBASED]
    if REBASED in constants:
        parts.append((FROM, value(constants[REBASED])))
    if experiment.change.edits:
        parts.append((CODE, f"+{experiment.lines_added} −{experiment.lines_removed}"))
    return parts


def change_words(experiment: Experiment) -> str:
    """Return `DEPTH=10, WIDTH=768, code +12 −3 (purpose)`; the reason of an experiment that changes nothing."""
    words = [name + (" " if name in (CODE, WITHOUT, FROM) else "=") + said for name, said in change_parts(experiment)]
    if experiment.change.edits and experiment.why and WITHOUT not in experiment.levels:
        words[-1] += f" ({experiment.why})"
    return ", ".join(words) or experiment.why or "unchanged"


def change_against(state: State, experiment: Experiment, other: str) -> list[tuple[str, str, str]]:
    """Return (name, before, after) of each part in which an experiment differs from another one.

    A keep is measured against the incumbent of its time, which need not be its base. `before` is empty for edited lines
    and for a constant that the other one lacks.
    """
    if WITHOUT in experiment.levels:
        return [(name, "", said) for name, said in change_parts(experiment)]
    old = constants_of(state, other) if other in state.experiments else {}
    new = {**constants_of(state, experiment.id), **experiment.levels, **experiment.change.constants}
    parts = [
        (name, value(old[name]) if name in old else "", value(now)) for name, now in new.items() if old.get(name) != now
    ]
    parts = [(name, before, said) for name, before, said in parts if name != REBASED]
    return parts + [(name, "", said) for name, said in change_parts(experiment) if name in (CODE, FROM)]


def change_steps(state: State, experiment: Experiment, other: str) -> str:
    """Return `MATRIX_LR 0.04 → 0.05, code +12 −3`: each part that differs from the other, with its value before."""
    words = [
        f"{name} {before} → {after}" if before else f"{name} {after}"
        for name, before, after in change_against(state, experiment, other)
    ]
    return ", ".join(words) or experiment.why or "unchanged"
