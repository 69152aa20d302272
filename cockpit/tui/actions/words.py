"""The words after a command, read into the arguments of its verb."""

import re

from cockpit.control.arguments import PATTERNS, Argument, Kind
from cockpit.control.values import BadArgument, parse_amount, parse_count
from cockpit.control.verbs import Verb

_EXPERIMENT = re.compile(PATTERNS[Kind.EXPERIMENT])
_LISTS = (Kind.NAMES, Kind.FACTORS)
_SWITCH = {"yes": True, "no": False}


def usage_of(verb: Verb) -> str:
    """Return the words that a verb takes: `WAVE [REASON]`, `[usd=…]`."""
    parts = []
    for argument in verb.arguments:
        if argument.option:
            parts.append(f"[{argument.name}]" if argument.kind is Kind.FLAG else f"[{argument.name}=…]")
        else:
            name = "|".join(argument.choices) or argument.metavar
            parts.append(name if argument.required else f"[{name}]")
    return " ".join(parts)


def given_by(verb: Verb, words: str, selected: str = "") -> dict[str, object]:
    """Read the arguments of a verb. `selected` is the first one if no word gives it. Raises BadArgument."""
    options = {argument.name: argument for argument in verb.arguments if argument.option}
    given: dict[str, object] = {}
    rest: list[str] = []
    for word in words.split():
        name, equals, text = word.partition("=")
        option = options.get(name)
        if option is None or (option.kind is Kind.FLAG) == bool(equals):
            rest.append(word)
        else:
            given[name] = True if option.kind is Kind.FLAG else _read(option, text)
    places = [argument for argument in verb.arguments if not argument.option]
    if not rest and selected:
        rest = [selected]
    for number, argument in enumerate(places):
        taken, rest = _split(argument, rest, last=number == len(places) - 1)
        if taken:
            given[argument.name] = taken if argument.kind in _LISTS else _read(argument, " ".join(taken))
        elif argument.required:
            raise BadArgument(f"{verb.name} takes {usage_of(verb)}: {argument.metavar} is missing")
    if rest:
        raise BadArgument(
            f"{' '.join(rest)!r} is not an argument of {verb.name}, which takes {usage_of(verb) or 'none'}"
        )
    return given


def _split(argument: Argument, rest: list[str], last: bool) -> tuple[list[str], list[str]]:
    """Split the words into those of one argument and those of the arguments behind it."""
    if argument.kind in (Kind.WORDS, Kind.TEXT) and last:
        return rest, []
    if argument.kind is Kind.TEXT:
        end = len(rest)
        while end > 1 and _EXPERIMENT.fullmatch(rest[end - 1]):
            end -= 1
        return rest[:end], rest[end:]
    return (rest, []) if argument.kind in _LISTS else (rest[:1], rest[1:])


def _read(argument: Argument, text: str) -> object:
    """Read one argument. Raises BadArgument, which names it."""
    try:
        match argument.kind:
            case Kind.AMOUNT:
                return parse_amount(text)
            case Kind.COUNT:
                return parse_count(text)
            case Kind.SWITCH:
                if text not in _SWITCH:
                    raise BadArgument(f"{text!r} is invalid: expected yes or no")
                return _SWITCH[text]
    except BadArgument as error:
        raise BadArgument(f"{argument.name}: {error}") from error
    return text
