"""Guess how a repository is researched: the file that is edited, the command that runs it, and its metric.

It reads only paths and texts. Each guess names its evidence. Two equally likely values become a question.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from cockpit.core.metric import NAME_CHARACTERS, Direction, MetricError, check_name, direction_of, tells_direction
from cockpit.variant.guess.commands import Command, documented_commands, files_of, is_run, other_commands
from cockpit.variant.guess.listing import Candidate, Guessed, Listing, settled
from cockpit.variant.guess.printed import Printed, imported_modules, named_scripts, printed_in_text, printed_names
from cockpit.variant.guess.score_names import HELD_OUT, RARER_SCORE, SCORE, TIME, TRAINING
from cockpit.variant.guess.statements import (
    Statement,
    edited_files,
    fixed_files,
    metric_statements,
    told_words,
    wants_speed,
)

CANDIDATES_AT_MOST = 6
_OF_ANOTHER = re.compile(r"(?:champion|incumbent|baseline|previous|reference|target|old)\W*", re.IGNORECASE)
"""Words before a name that mark it as the score of another run."""
_AGGREGATE = re.compile(r"(?:mean|avg|average|median|final|result|best|total)s?", re.IGNORECASE)
"""Names of aggregates, which do not say what was measured."""
_EXCEPTIONS = frozenset({"e", "err", "error", "ex", "exc", "exception"})
"""Names that code gives to an exception: `error: {e}` prints no number."""
_LEVELS = frozenset({"ERROR", "WARNING", "CRITICAL"})
"""Levels of a log, before a message."""
_SHORT = {"validation": "val", "valid": "val", "accuracy": "acc", "perplexity": "ppl"}
"""Words that code shortens."""
_SEPARATORS = re.compile(r"[\s_-]+")


class Known(NamedTuple):
    """The settings that a person has given; empty ones are guessed."""

    file: str = ""
    command: str = ""
    metric: str = ""
    direction: str = ""
    reads_otherwise: bool = False
    """A pattern or a score command reads the metric."""


UNKNOWN = Known()


class Guess(NamedTuple):
    file: Guessed
    command: Guessed
    metric: Guessed
    direction: Guessed

    @property
    def questions(self) -> list[str]:
        """The settings that a person must answer."""
        return [name for name, one in self._asdict().items() if not one.is_clear]


GIVEN = "given"
"""The evidence of a value that the person has given."""


def guess_repository(listing: Listing, known: Known = UNKNOWN) -> Guess:
    """Return the guess for what is not known. Never raises for a text, however strange."""
    commands = documented_commands(listing)
    file = Guessed(known.file, GIVEN) if known.file else guessed_file(listing, commands)
    command = Guessed(known.command, GIVEN) if known.command else guessed_command(listing, commands, file.value)
    if known.metric or known.reads_otherwise:
        metric = Guessed(known.metric or "val_bpb", GIVEN)
    else:
        metric = guessed_metric(listing, _sources(listing, file.value, command.value, commands))
    if known.direction or known.reads_otherwise:
        return Guess(file, command, metric, Guessed(known.direction or direction_of(metric.value), GIVEN))
    expression = _expression_of(listing, _sources(listing, file.value, command.value, commands), metric.value)
    return Guess(file, command, metric, guessed_direction(listing, metric.value, expression))


def guessed_file(listing: Listing, commands: Iterable[Command]) -> Guessed:
    """Guess the file that is edited: as the documents say, train.py, or the script that they run."""
    if said := edited_files(listing):
        return settled(said)
    if "train.py" in listing.paths:
        started = _started(listing, "train.py") if not _scores(listing, "train.py") else []
        return settled(started or [Candidate("train.py", "its name")])
    new = [
        Candidate(path, f"{one.evidence} runs a new file beside it")
        for one in commands
        for path in files_of(listing, one.folder)
    ]
    fixed = fixed_files(listing)
    own = [one for one in commands if is_run(one.script) and one.script not in fixed]
    run = settled(new or [Candidate(one.script, one.evidence) for one in own])
    if run.value:
        return run._replace(candidates=run.candidates[:CANDIDATES_AT_MOST])
    printing = [
        Candidate(path, f"line {scores[0].line} prints {scores[0].name}")
        for path in sorted(listing.texts)
        if path.endswith(".py") and "/" not in path and path not in fixed
        if (scores := [one for one in printed_names(listing.texts[path]) if SCORE.search(one.name)])
    ]
    return settled((printing or _nested(listing, fixed))[:CANDIDATES_AT_MOST])


def _nested(listing: Listing, fixed: set[str]) -> list[Candidate]:
    """Return the scripts named train.py in folders, for a repository with no script at its top."""
    if any(path.endswith(".py") and "/" not in path and is_run(path) for path in listing.paths):
        return []
    named = sorted(path for path in listing.texts if path.endswith("/train.py") and path not in fixed)
    return [Candidate(path, "its name") for path in named if _scores(listing, path)]


def _scores(listing: Listing, file: str) -> bool:
    """Return True if a script prints a score."""
    return any(SCORE.search(one.name) for one in printed_names(listing.texts.get(file, "")))


def _started(listing: Listing, file: str) -> list[Candidate]:
    """Return the scripts that print a score and that a script names in its texts."""
    found = []
    for line, text in named_scripts(listing.texts.get(file, "")):
        path = listing.resolve(text, file)
        if path and path != file and _scores(listing, path):
            found.append(Candidate(path, f"{file} line {line} starts it"))
    return found


def guessed_command(listing: Listing, commands: list[Command], file: str) -> Guessed:
    """Guess the command that runs the file, or a script that imports it; the one of an agent's loop first."""
    if not file:
        return Guessed()
    folder = PurePosixPath(file).parent.as_posix()
    if on_file := [Candidate(one.on(file), one.evidence) for one in commands if one.folder == folder != "."]:
        return settled(on_file)
    commands = [one for one in commands if not one.folder]
    if not file.endswith(".py"):
        return _command_on(listing, file, [*commands, *other_commands(listing)])
    direct = [one for one in commands if one.script == file]
    importing = [one for one in commands if _imports(listing, one.script, file)]
    fitting = direct or importing or [one for one in commands if one.is_loop]
    if loop := [one for one in fitting if one.is_loop]:
        fitting = loop
    if fitting:
        found = settled([Candidate(one.text, one.evidence) for one in fitting])
        return found._replace(candidates=found.candidates[:CANDIDATES_AT_MOST])
    if _scores(listing, file):
        return Guessed(f"python {file}", "no document shows another")
    importers = [
        Candidate(f"python {path}", f"it imports {file}")
        for path in sorted(listing.texts)
        if path.endswith(".py") and "/" not in path and is_run(path) and _imports(listing, path, file)
    ]
    return (
        settled(importers[:CANDIDATES_AT_MOST]) if importers else Guessed(f"python {file}", "no document shows another")
    )


def _command_on(listing: Listing, file: str, commands: list[Command]) -> Guessed:
    """Guess the command that runs a file of another language.

    It is one that names the file or whose shell script does, else one of an agent's loop.
    """
    name = PurePosixPath(file).name
    named = [
        one
        for one in commands
        if any(word.endswith(file) for word in one.words) or name in listing.texts.get(one.script, "")
    ]
    fitting = named or [one for one in commands if one.is_loop] or commands
    fitting = [one for one in fitting if one.is_loop] or fitting
    found = settled([Candidate(one.text, one.evidence) for one in fitting])
    return found._replace(candidates=found.candidates[:CANDIDATES_AT_MOST])


def _imports(listing: Listing, script: str, file: str) -> bool:
    module = ".".join(PurePosixPath(file).with_suffix("").parts).removeprefix("src.")
    return script != file and module in imported_modules(listing.texts.get(script, ""))


def _sources(listing: Listing, file: str, command: str, commands: list[Command]) -> list[str]:
    """List the files that can print the metric: the script that runs, the file, and what they import."""
    script = next((one.script for one in commands if one.text == command), "")
    if not script:
        script = next((word for word in command.split() if word in listing.paths), "")
    first = [path for path in dict.fromkeys((script, file)) if path]
    modules = {name for path in first for name in imported_modules(listing.texts.get(path, ""))}
    paths = [f"{name.replace('.', '/')}.py" for name in sorted(modules)]
    near = [(PurePosixPath(first[0]).parent / path).as_posix() for path in paths] if first else []
    return list(dict.fromkeys([*first, *(path for path in (*paths, *near) if path in listing.texts)]))


def _printed_by(listing: Listing, path: str) -> list[Printed]:
    """Return the names that a file prints; none for a configuration."""
    text = listing.texts.get(path, "")
    if path.endswith(".py"):
        return printed_names(text)
    return [] if path.lower().endswith((".toml", ".yaml", ".yml", ".json")) else printed_in_text(text)


_NOTHING_TOLD: Mapping[str, str] = MappingProxyType({})


class _Named(NamedTuple):
    rank: int
    name: str
    evidence: str


def guessed_metric(listing: Listing, sources: list[str]) -> Guessed:
    """Guess the metric among the names that the code prints: one that the documents call the metric, or that looks
    like a score on held-out data."""
    statements = metric_statements(listing)
    told, speed = _most_told(listing, sources), wants_speed(listing)
    ranked: dict[str, _Named] = {}
    for path in sources:
        for printed in _printed_by(listing, path):
            one = _ranked(printed, path, statements, told) or _timed(printed, path, speed)
            if one is not None and one.rank > ranked.get(_plain(one.name), _Named(0, "", "")).rank:
                ranked[_plain(one.name)] = one
    return _doubted(_best(ranked.values()), statements, ranked)


def _doubted(found: Guessed, statements: list[Statement], ranked: Mapping[str, _Named]) -> Guessed:
    """Leave a guess open if the documents name another score as the metric, which the code does not print."""
    if not found.is_clear or any(_is_same(one.name, name) for one in statements for name in ranked):
        return found
    words = set(_plain(found.value).split("_"))
    told = [one for one in statements if SCORE.search(one.name) and _is_name(one.name)]
    if not told or any(words.intersection(_plain(one.name).split("_")) for one in told):
        return found
    first = Candidate(found.value, found.evidence)
    return found._replace(candidates=(first, Candidate(told[0].name, f"{told[0].evidence} names it")))


def _is_name(text: str) -> bool:
    """Return True if a text may be the name of a metric."""
    try:
        check_name(text)
    except MetricError:
        return False
    return True


def metric_in_output(listing: Listing, printed: Iterable[Printed]) -> Guessed:
    """Guess the metric among the names that a run has printed, as among those that code prints."""
    statements, speed = metric_statements(listing), wants_speed(listing)
    found = (_ranked(one, "", statements) or _timed(one, "", speed) for one in printed)
    return _best(one._replace(evidence="the trial run printed it") for one in found if one is not None)


def _best(ranked: Iterable[_Named]) -> Guessed:
    """Return the name of the highest rank, or the question between several."""
    best = sorted(ranked, key=lambda one: -one.rank)
    likely = [one for one in best if one.rank == best[0].rank]
    found = settled([Candidate(one.name, one.evidence) for one in likely])
    return found._replace(candidates=found.candidates[:CANDIDATES_AT_MOST])


def _most_told(listing: Listing, sources: list[str]) -> dict[str, str]:
    """Return the printed names that most lines about keeping the better result hold, each with the first line."""
    lines = told_words(listing)
    names = {_plain(one.name) for path in sources for one in _printed_by(listing, path)}
    told = {name: lines[name] for name in names if name in lines and SCORE.search(name)}
    most = max(map(len, told.values()), default=0)
    return {name: places[0] for name, places in told.items() if len(places) == most}


def _ranked(
    printed: Printed, path: str, statements: list[Statement], told: Mapping[str, str] = _NOTHING_TOLD
) -> _Named | None:
    name = printed.name
    if _OF_ANOTHER.fullmatch(printed.before):
        return None
    if not _is_name(name) or printed.value in _EXCEPTIONS or name in _LEVELS:
        return None
    evidence = f"{path} line {printed.line} prints it"
    said = next((one for one in statements if _is_same(one.name, name)), None)
    rank = 0
    if said is not None:
        rank += 8
        evidence = f"{said.evidence}; {evidence}"
    if said is None and _plain(name) in told:
        rank += 3
        evidence = f"{told[_plain(name)]}; {evidence}"
    if SCORE.search(name):
        rank += 4 if HELD_OUT.search(name) else 2
    elif _AGGREGATE.fullmatch(name) and SCORE.search(_parts(printed.value)):
        rank += 2
        evidence = f"{evidence}, from {printed.value}"
    elif RARER_SCORE.search(name) and not printed.in_step:
        rank += 1
    elif said is None:
        return None
    if TRAINING.search(name):
        rank -= 2
    return _Named(rank + (0 if printed.in_step else 1), name, evidence) if rank > 0 else None


def _timed(printed: Printed, path: str, speed: str) -> _Named | None:
    """Return a program's time as the least likely metric, if a line of the documents, `speed`, calls it the goal."""
    if not speed or printed.in_step or not TIME.fullmatch(printed.name):
        return None
    return _Named(1, printed.name, f"{speed}; {path} line {printed.line} prints it")


def _parts(expression: str) -> str:
    """Return the words of an expression, each in the singular: `accs.mean()` is `acc mean`."""
    words = re.findall(r"[A-Za-z][A-Za-z0-9]*", expression)
    return " ".join(re.sub(r"(?<=ss)es$|(?<!s)s$", "", word) for word in words)


def _expression_of(listing: Listing, sources: list[str], metric: str) -> str:
    """Return the expression behind a name such as `Mean`; empty for a name of its own."""
    if not _AGGREGATE.fullmatch(metric):
        return ""
    printed = (one for path in sources for one in printed_names(listing.texts.get(path, "")))
    return next((one.value for one in printed if one.name == metric and one.value), "")


def other_names(listing: Listing, file: str, command: str) -> list[str]:
    """List the names that the code prints in a summary, for a person who must name the metric."""
    found = [
        one.name
        for path in _sources(listing, file, command, [])[:2]
        for one in _printed_by(listing, path)
        if not one.in_step
    ]
    return list(dict.fromkeys(found))[:CANDIDATES_AT_MOST]


def guessed_direction(listing: Listing, metric: str, expression: str = "") -> Guessed:
    """Guess the direction: as a document says beside the metric's name, or by the name; a question for other names.

    The mean of `accs` has the direction of an accuracy: `expression` is printed where the name tells nothing.
    """
    if not metric:
        return Guessed()
    said = [
        Candidate(one.direction, one.evidence)
        for one in metric_statements(listing)
        if one.direction is not None and _is_same(one.name, metric)
    ]
    if said:
        return settled(said)
    for text, reason in ((metric, "its name"), (_parts(expression), expression)):
        if tells_direction(text[:NAME_CHARACTERS]):
            return Guessed(direction_of(text), reason)
    unknown = "its name does not tell"
    return Guessed(Direction.MIN, unknown, (Candidate(Direction.MIN, unknown), Candidate(Direction.MAX, unknown)))


def _is_same(said: str, name: str) -> bool:
    """Return True if a document's name, such as `validation accuracy`, and a printed one, such as `val_acc`, agree."""
    return _shortened(said) == _shortened(name)


def _shortened(name: str) -> str:
    return "_".join(_SHORT.get(word, word) for word in re.split(r"[_/]", _plain(name)))


def _plain(name: str) -> str:
    return _SEPARATORS.sub("_", name.lower()[:NAME_CHARACTERS])
