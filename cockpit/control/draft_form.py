"""Show a proposal as a form of texts, and read the form back as a draft with its changes and problems."""

from collections.abc import Collection

import msgspec

from cockpit.control.drafts import (
    arm_key,
    with_base,
    with_factor,
    with_levels,
    with_replicates,
    without_arms,
    without_factor,
)
from cockpit.control.values import BadArgument, parse_factor, parse_levels
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Value
from cockpit.core.state import State

QUESTION = "question"
HYPOTHESIS = "hypothesis"
BASE = "base"
RUNS = "runs of each arm"
ARMS = "arms"
MOST_NAMED = 4
"""Dropped arms that a change names; of more, it counts them."""
ADDED = "+ factor"
"""The name of a field for a new factor begins so."""


class FormRead(msgspec.Struct, frozen=True):
    """The texts of a form as read."""

    draft: Draft
    """The draft with each field that could be read, without the dropped arms."""
    grid: tuple[Arm, ...]
    """Its arms with the dropped ones among them."""
    changes: tuple[str, ...]
    """Each change in words."""
    problems: dict[str, str]
    """Field to the reason why it could not be read."""


def fields_of(draft: Draft) -> dict[str, str]:
    """Return the text of each field: question, hypothesis, base, the levels of each factor, runs."""
    factors = {name: ", ".join(map(level_text, levels)) for name, levels in draft.factors.items()}
    fixed = {QUESTION: draft.question, HYPOTHESIS: draft.hypothesis, BASE: draft.base}
    return {**fixed, **factors, RUNS: str(draft.replicates)}


def read_form(state: State, before: Draft, fields: dict[str, str], dropped: Collection[str] = ()) -> FormRead:
    """Read the fields of a form on a draft, and leave out the arms with the keys `dropped`.

    A factor without levels is dropped.
    """
    draft, changes, problems = before, [], {}
    given = fields_of(before)
    changed = {name: text.strip() for name, text in fields.items() if text.strip() != given.get(name, "")}
    # Factors are dropped after others are added, which an arm may need. The base decides which of the arms are left.
    for name, text in sorted(
        changed.items(), key=lambda field: (field[0] == BASE, field[0] in before.factors and not field[1])
    ):
        try:
            draft, said = _with_field(state, draft, name, text)
            changes.append(said)
        except BadArgument as error:
            problems[name] = str(error)
    grid = draft.arms
    left_out = [arm for arm in grid if arm_key(arm) in dropped]
    if left_out:
        try:
            draft = without_arms(draft, dropped)
            changes.append(f"dropped {_named(left_out)}")
        except BadArgument as error:
            problems[ARMS] = str(error)
    return FormRead(draft, grid, tuple(changes), problems)


def levels_words(arm: Arm) -> str:
    """Return `DEPTH = 8, WIDTH = 640`, or that the arm has code of its own."""
    levels = arm.levels or arm.change.constants
    return ", ".join(f"{name} = {level_text(level)}" for name, level in levels.items()) or "its own code"


def _named(arms: list[Arm]) -> str:
    if len(arms) > MOST_NAMED:
        return f"{len(arms)} arms"
    return "; ".join(arm.experiment or levels_words(arm) for arm in arms)


def _with_field(state: State, draft: Draft, name: str, text: str) -> tuple[Draft, str]:
    """Return the draft with one field set, and the change in words. Raises BadArgument."""
    if name == QUESTION:
        if not text:
            raise BadArgument("a wave needs a question")
        return msgspec.structs.replace(draft, question=text), "another question"
    if name == HYPOTHESIS:
        if not text:
            raise BadArgument("a hypothesis cannot be empty")
        return msgspec.structs.replace(draft, hypothesis=text), "another hypothesis"
    if name == BASE:
        return with_base(state, draft, text), f"base {draft.base} -> {text}"
    if name == RUNS:
        return with_replicates(draft, text), f"{text} runs of each arm"
    if name.startswith(ADDED):
        factor, _ = parse_factor(text)
        return with_factor(draft, text), f"added {factor}"
    if not text:
        return without_factor(draft, name), f"dropped {name}"
    return with_levels(draft, name, text), f"{name} = {text}"


def level_text(level: Value) -> str:
    """Return a level as it is typed among others."""
    if isinstance(level, str):
        try:
            return level if parse_levels(level) == [level] else repr(level)
        except BadArgument:
            return repr(level)
    return repr(tuple(level) if isinstance(level, list) else level)
