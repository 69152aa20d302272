"""The code of a variant: the texts of its editable files, their constants, outlines and hashes."""

import hashlib
from collections.abc import Collection, Mapping

import msgspec

from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.model import Change, Value
from cockpit.variant.editable import accepted_in, constants_in, edited, fingerprint_of, outline_of, set_in
from cockpit.variant.guard import check_variant, names_metric, prints_metric
from cockpit.variant.syntax import check_text


class Code(msgspec.Struct, frozen=True):
    """The editable files of a commit, by path."""

    texts: dict[str, str]
    constants: dict[str, Value]
    outlines: dict[str, str]
    hashes: dict[str, str]
    """SHA-256, in hex."""

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.outlines, self.constants)


class Rules(msgspec.Struct, frozen=True):
    """The rules that a variant of a session must keep."""

    script: str
    protected: tuple[str, ...]
    metric: Metric


def code_of(texts: Mapping[str, str]) -> Code:
    """Return the code of these texts. Raises VariantError if one cannot be parsed."""
    return _code(texts, constants_in(texts), Code({}, {}, {}, {}), texts)


def changed_code(base: Code, change: Change, rules: Rules) -> Code:
    """Return `base` with a change: edits first, then constants. Raises VariantError if it does not fit, or where the
    guard refuses the result.

    The base has passed the guard. A change of constants alone leaves every outline as it is, and is not parsed again.
    """
    after_edits = edited(base.texts, change.edits, rules.script, rules.protected)
    values = accepted_in(after_edits, change.constants)
    texts = set_in(after_edits, values)
    names = set(contracts(base.texts, rules).values())
    printed = any(names_metric(str(base.constants.get(name)), metric) for name in values for metric in names)
    if change.edits or printed:
        check_texts(texts, base.texts, rules)
        return _code(texts, constants_in(texts), base, texts)
    for path, text in texts.items():
        check_text(text, path)
    constants = {**base.constants, **values}
    return _code(texts, constants, base, ())


def _code(texts: Mapping[str, str], constants: dict[str, Value], base: Code, outlined: Collection[str]) -> Code:
    """Return the code of texts with what they share with `base`. Changed files among `outlined` get a new outline."""
    outlines, hashes = dict(base.outlines), dict(base.hashes)
    for path, text in texts.items():
        if base.texts.get(path) == text:
            continue
        hashes[path] = hashlib.sha256(text.encode()).hexdigest()
        if path in outlined:
            outlines[path] = outline_of(path, text)
    return Code(dict(texts), constants, outlines, hashes)


def check_texts(texts: Mapping[str, str], base: Mapping[str, str], rules: Rules) -> None:
    """Raise VariantError for code that the guard refuses, made from the texts of a base."""
    printed = contracts(base, rules)
    for path, text in texts.items():
        if path.endswith(".py"):
            check_variant(text, printed.get(path, ""), path)
        else:
            check_text(text, path)


def contracts(base: Mapping[str, str], rules: Rules) -> dict[str, str]:
    """Return the name that each Python file must print; none for a file whose base does not print it.

    If no editable file of the base names autoresearch's metric, the script must.
    """
    metric = rules.metric
    name = "" if metric.pattern or metric.score_command else metric.name
    python = [path for path in base if path.endswith(".py")]
    printing = [path for path in python if name and prints_metric(base[path], name, path)]
    if not printing and name == VAL_BPB.name and rules.script in python:
        printing = [rules.script]
    return dict.fromkeys(printing, name)
