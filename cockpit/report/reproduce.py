"""The shell commands that reproduce the best variant of a session."""

import shlex
from pathlib import Path

import msgspec

from cockpit.core.model import IMPORTED, Outcome
from cockpit.core.state import State

PYTHON = "python"


class Command(msgspec.Struct, frozen=True):
    purpose: str
    line: str


def commands(state: State) -> list[Command]:
    """Return the commands for the incumbent, to be run in this order in the folder that `commands_place` names.

    The code goes into its own folder beside the repository. A simulated session has no training command, since no run
    gives its scores. An imported session has no commands, since the code that ran is not known.
    """
    name = state.incumbent
    if name not in state.experiments or state.session.fleet.kind == IMPORTED:
        return []
    own = own_repository(state)
    place = f"{'../../..' if own else '..'}/{state.session.name}-{name}"
    made = f"{git_in(state)} worktree add --detach {shlex.quote(place)} {state.experiments[name].commit}"
    found = [Command("put the code into a folder of its own", made)]
    if not state.session.fleet.simulated:
        found += _training(state, place)
    if name != state.baseline:
        diff = f"cockpit diff {name} --against {state.baseline} -s {shlex.quote(state.session.name)}"
        found.append(Command("see its whole change", diff))
    if name in state.certificates:
        file = Path("sessions", state.session.name, "certificates", f"{name}.json")
        found.append(Command("check the evidence of its keep, offline", f"cockpit verify {shlex.quote(str(file))}"))
    return found


def own_repository(state: State) -> Path | None:
    """Return the repository that a demo keeps in its session's folder; None for any other session."""
    inside = Path("sessions", state.session.name, "repo")
    return inside if Path(state.session.repo).parts[-3:] == inside.parts else None


def commands_place(state: State) -> str:
    return "In the folder that has sessions/" if own_repository(state) else "In the researched repository"


def git_in(state: State) -> str:
    """Return the beginning of a git command that is run in that folder."""
    own = own_repository(state)
    return f"git -C {shlex.quote(str(own))}" if own else "git"


def _training(state: State, place: str) -> list[Command]:
    session = state.session
    runs = (state.attempts[name] for name in state.experiments[state.incumbent].attempts)
    seed = next((run.seed for run in runs if run.outcome is Outcome.VALID), session.seed)
    links = [
        Command(f"give it {path}", f"ln -s {_from_beside(target, session.repo)} {shlex.quote(f'{place}/{path}')}")
        for path, target in session.access.links.items()
    ]
    words = session.run_command or (PYTHON, session.script)
    run = " ".join(_from_beside(word, session.repo) for word in words)
    budget = f" COCKPIT_TIME_BUDGET_S={session.time_budget_s:g}" if session.time_budget_s else ""
    variables = f"SEED={seed}{budget}"
    return [
        *links,
        Command("train it again, with the seed of its first run", f"(cd {shlex.quote(place)} && {variables} {run})"),
    ]


def _from_beside(word: str, repo: str) -> str:
    """Quote a word for the shell. A path in the repository becomes relative to a folder beside the repository."""
    path = Path(word)
    inside = path.is_absolute() and path.is_relative_to(repo)
    return shlex.quote(str(Path("..", Path(repo).name, path.relative_to(repo))) if inside else word)
