"""Find the training time that a repository sets its runs, and check the setting of a session against it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cockpit.core.model import Value
from cockpit.create.clock_limits import clock_limits
from cockpit.create.error import CreateError
from cockpit.session.corpus import CPU_BUDGET_S, CUDA_BUDGET_S
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import find_constants
from cockpit.variant.store import VariantStore

VARIABLE = "COCKPIT_TIME_BUDGET_S"
"""The variable that tells a run its training time."""
_SPAN = r"(?:(?:max|train|training|wall|wall_?clock)_)"
_LONG_UNIT = "seconds|secs|minutes|mins|hours"
_NAME = re.compile(
    rf"_*(?:{_SPAN}*time_?budget(?:_(?P<of_budget>s|sec|min|h|{_LONG_UNIT}))?|{_SPAN}*budget_(?P<alone>s|{_LONG_UNIT})"
    rf"|(?:max_)?train(?:ing)?_time(?:_(?P<of_time>s|{_LONG_UNIT}))?"
    rf"|(?:max_{_SPAN}?|train(?:ing)?_)(?P<of_span>{_LONG_UNIT}))",
    re.IGNORECASE,
)
"""The usual names of a training time: `TIME_BUDGET`, `MAX_WALLCLOCK_SECONDS`, `train_minutes`."""
_OF_ANOTHER = re.compile(r"(?:^|[._])(?:smoke|debug|demo|toy|dry_?run|tests?)(?=[._])", re.IGNORECASE)
"""The name of a configuration for something other than an experiment."""
_SECONDS = {"m": 60.0, "h": 3600.0}


class OwnBudget(NamedTuple):
    """The training time that the repository itself sets its runs."""

    seconds: float = 0.0
    """0 if the code names none, or several."""
    place: str = ""
    """The file and the name, in a clause; empty for a number that a loop of the script ends with."""
    is_sure: bool = True
    """False for a name such as max_seconds, which may be another time than the training's."""
    reads_variable: bool = False
    """A file of the repository, or the command, has the variable that tells a run its training time."""


def own_budget(store: VariantStore, commit: str, repo: Path, words: Sequence[str]) -> OwnBudget:
    """Return the training time that the code of a commit sets. `words` are the command of a run.

    prepare.py is read first, then the script, then the other files that may be edited and the scripts beside them. A
    name with `budget` in any of them goes before others, for which the script is read first.
    """
    texts = {path: store.source(commit, path) for path in store.files} | store.scripts(commit)
    with suppress(OSError):
        texts["prepare.py"] = (repo / "prepare.py").read_text(encoding="utf-8", errors="replace")
    reads = any(VARIABLE in word for word in words) or store.tracked.mention(VARIABLE)
    ordered = sorted(texts, key=lambda path: (PurePosixPath(path).name != "prepare.py", path != store.script, path))
    constants = {path: _constants(texts[path], path) for path in ordered}
    named = {path: _named(constants[path], words) for path in ordered}
    for path, is_sure in (*((path, True) for path in ordered), *((path, False) for path in (store.script, *ordered))):
        found = {name: seconds for name, seconds in named.get(path, {}).items() if _is_sure(name) is is_sure}
        if len({*found.values()}) > 1:
            return OwnBudget(reads_variable=reads)
        for name, seconds in found.items():
            return OwnBudget(seconds, f"{path} sets {name} to {seconds:g} s", is_sure, reads)
    values = {name: _number(value) for path in ordered for name, value in constants[path].items()}
    limits = {limit for path in store.files for limit in clock_limits(texts[path], values)}
    return OwnBudget(limits.pop() if len(limits) == 1 else 0.0, reads_variable=reads)


def budget_of(given_s: float, preset: str, own: OwnBudget) -> float:
    """Return the training seconds of a session's runs: as given, else the repository's own; 0 if they are unknown."""
    if given_s:
        return given_s
    if preset == "cpu-small":
        return CPU_BUDGET_S
    return own.seconds or (CUDA_BUDGET_S if own.reads_variable else 0.0)


def check_time_budget(given_s: float, own: OwnBudget) -> None:
    """Refuse a training time that the code overrules."""
    if given_s and own.place and own.is_sure and own.seconds != given_s and not own.reads_variable:
        raise CreateError(
            f"[research] time_budget_s: {given_s:g} s has no effect, because {own.place}, and no file reads {VARIABLE}:"
            " change it there and commit, and leave the setting out; if that is another time, let --command start with"
            f" env {VARIABLE}={given_s:g}"
        )


def budget_note(given_s: float, own: OwnBudget) -> str:
    """Return the sentence on a training time that ends no run, or that was guessed by an unsure name; empty if there
    is none."""
    if own.place and not own.is_sure and not given_s:
        return f"{own.place}, which is taken for the training time of a run: --time-budget gives another"
    if not given_s or own.seconds == given_s or own.reads_variable:
        return ""
    return (
        f"No file reads {VARIABLE}, so --time-budget {given_s:g} ends no training: it only says which runs are too long"
        " to count"
    )


def _constants(text: str, path: str) -> Mapping[str, Value]:
    try:
        return find_constants(text, path)
    except VariantError:
        return {}


def _named(constants: Mapping[str, Value], words: Sequence[str]) -> dict[str, float]:
    """Return the seconds of each constant with the name of a training time. An option of the command overrides it."""
    found: dict[str, float] = {}
    for name, value in constants.items():
        known = _NAME.fullmatch(_last_part(name))
        if known and not _OF_ANOTHER.search(name):
            unit = next(filter(None, known.groups()), "s")[0].lower()
            seconds = _number(_option(name, words) or value) * _SECONDS.get(unit, 1.0)
            found |= {name: seconds} if seconds > 0 else {}
    return found


def _is_sure(name: str) -> bool:
    """Return True for the name of a budget, and False for one that may be another time, such as max_seconds."""
    return "budget" in _last_part(name).lower()


def _last_part(name: str) -> str:
    return re.split(r"[.:]", name)[-1]


def _option(name: str, words: Sequence[str]) -> str:
    """Return the value that the command gives an option or a variable of this name; empty for none."""
    plain = _last_part(name).replace("-", "_")
    for word, after in pairwise((*words, "")):
        key, is_one, value = word.partition("=")
        if key.lstrip("-").replace("-", "_") == plain and (is_one or key.startswith("-")):
            return value if is_one else after
    return ""


def _number(value: Value | str) -> float:
    """Return a positive number; 0 for any other value."""
    try:
        number = 0.0 if isinstance(value, bool | list) else float(value)
    except ValueError:
        return 0.0
    return number if 0 < number < float("inf") else 0.0
