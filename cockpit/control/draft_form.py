"""A proposal as a form: a text for its question, its runs and each factor, read into the draft that they make."""

import msgspec

from cockpit.control.drafts import with_factor, with_levels, with_replicates, without_factor
from cockpit.control.values import BadArgument, parse_factor, parse_levels
from cockpit.core.intents import Draft
from cockpit.core.model import Value

QUESTION = "question"
RUNS = "runs of each arm"
ADDED = "+ factor"
"""The name of a field for a new factor begins so."""


class FormRead(msgspec.Struct, frozen=True):
    """The texts of a form as read."""

    draft: Draft
    """The draft with each field that could be read."""
    changes: tuple[str, ...]
    """Each change in words."""
    problems: dict[str, str]
    """Field to the reason why it could not be read."""


def fields_of(draft: Draft) -> dict[str, str]:
    """Return the text of each field: the question, the factors with their levels, and the runs."""
    factors = {name: ", ".join(map(level_text, levels)) for name, levels in draft.factors.items()}
    return {QUESTION: draft.question, **factors, RUNS: str(draft.replicates)}


def read_form(before: Draft, fields: dict[str, str]) -> FormRead:
    """Read the fields of a form on a draft. A factor without levels is dropped."""
    draft, changes, problems = before, [], {}
    given = fields_of(before)
    changed = {name: text.strip() for name, text in fields.items() if text.strip() != given.get(name, "")}
    # Factors are dropped last: an arm may need one that is added.
    for name, text in sorted(changed.items(), key=lambda field: field[0] in before.factors and not field[1]):
        try:
            draft, said = _with_field(draft, name, text)
            changes.append(said)
        except BadArgument as error:
            problems[name] = str(error)
    return FormRead(draft, tuple(changes), problems)


def _with_field(draft: Draft, name: str, text: str) -> tuple[Draft, str]:
    """Return the draft with one field set, and the change in words. Raises BadArgument."""
    if name == QUESTION:
        if not text:
            raise BadArgument("a wave needs a question")
        return msgspec.structs.replace(draft, question=text), "another question"
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
