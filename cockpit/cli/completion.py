"""Shell completion: a script for each shell, which asks this module for the words that may come next."""

from argparse import Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterable, Sequence
from itertools import pairwise

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import all_sessions, session, state_of
from cockpit.core.errors import CockpitError
from cockpit.core.state import State

SCRIPTS = {
    "bash": """\
_cockpit() {
    local IFS=$'\\n'
    COMPREPLY=($(cockpit completion bash --for "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _cockpit cockpit
""",
    "zsh": """\
#compdef cockpit
_cockpit() {
    local -a found
    found=("${(@f)$(cockpit completion zsh --for "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -V cockpit -a found
}
compdef _cockpit cockpit
""",
    "fish": """\
function __cockpit_words
    set -l given (commandline -opc) (commandline -ct | string collect --allow-empty)
    cockpit completion fish --for $given[2..-1] 2>/dev/null
end
complete -k -c cockpit -a '(__cockpit_words)'
""",
}
SESSIONS, WAVES, EXPERIMENTS, ATTEMPTS, CLUSTERS = "sessions", "waves", "experiments", "attempts", "clusters"
NAMED_BY = {
    "session": (SESSIONS,),
    "wave": (WAVES,),
    "before": (WAVES,),
    "experiment": (EXPERIMENTS,),
    "experiments": (EXPERIMENTS,),
    "against": (EXPERIMENTS,),
    "base": (EXPERIMENTS,),
    "attempt": (ATTEMPTS, EXPERIMENTS),
    "cluster": (CLUSTERS,),
    "clusters": (CLUSTERS,),
    "target": (WAVES, CLUSTERS),
}
"""The name of an argument to the kinds of names that it takes."""
WORDS_AT_MOST = 500


def print_completion(shell: str, words: Sequence[str] | None, parser: ArgumentParser) -> None:
    """Print the script of a shell, or the words that may stand in place of the last of `words`."""
    if words is None:
        print(SCRIPTS[shell], end="")
        return
    for word in next_words(parser, words):
        print(word)


def next_words(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the commands, flags, choices and names that begin with the last of `words`, the newest name first."""
    given, begun = list(words[:-1]), words[-1] if words else ""
    commands = next(action for action in parser._actions if isinstance(action, _SubParsersAction))
    at = next((number for number, word in enumerate(given) if word in commands.choices), None)
    if at is None:
        found: Iterable[str] = _flags(parser) if begun.startswith("-") else commands.choices
    else:
        found = _of_command(commands.choices[given[at]], given[at + 1 :], begun)
    return [word for word in found if word.startswith(begun)][:WORDS_AT_MOST]


def _of_command(parser: ArgumentParser, given: Sequence[str], begun: str) -> Iterable[str]:
    taking = {flag: action for action in parser._actions for flag in action.option_strings if action.nargs != 0}
    if given and given[-1] in taking:
        return _values(taking[given[-1]], given)
    if begun.startswith("-"):
        return _flags(parser)
    positionals = [action for action in parser._actions if not action.option_strings]
    before = [
        word
        for number, word in enumerate(given)
        if not word.startswith("-") and not (number and given[number - 1] in taking)
    ]
    for number, action in enumerate(positionals):
        if number == len(before) or action.nargs in ("+", "*"):
            return _values(action, given)
    return ()


def _flags(parser: ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]


def _values(action: Action, given: Sequence[str]) -> Iterable[str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    kinds = NAMED_BY.get(action.dest, ())
    if kinds == (SESSIONS,):
        return [folder.name for folder in all_sessions()]
    if not kinds:
        return ()
    try:
        state = state_of(session(_session_of(given)))
    except (CockpitError, CommandError):
        return ()
    return [name for kind in kinds for name in _names(state, kind)]


def _session_of(given: Sequence[str]) -> str | None:
    """Return the session that the words name with -s or --session; None for the default."""
    return next((name for flag, name in pairwise(given) if flag in ("-s", "--session")), None)


def _names(state: State, kind: str) -> Iterable[str]:
    match kind:
        case "waves":
            return reversed(state.waves)
        case "experiments":
            return reversed(state.experiments)
        case "attempts":
            return list(state.in_flight)
    return state.clusters
