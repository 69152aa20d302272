"""The wall around a hosted agent: that of the runs on this machine, with the network and the agent's login.

The agent sees its scratch checkout, its own program, its own settings and login, and the network, where its model is.
It does not see the session, the researched repository, other files of the person, or Cockpit's key.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cockpit.agent.acp.wall import Openings
from cockpit.core.hosted_agents import HostedAgent, known_agent
from cockpit.fleet.node import system_calls
from cockpit.fleet.node.confinement import Available, Sandbox, Wall, available, confined, environment_paths

INTERPRETERS = ("node", "bun", "deno")
"""Interpreters that the first line of an agent's script may name."""


class HostedAgentWall:
    """Implements AgentWall for one agent. `folders` are those that the person opens to it."""

    def __init__(self, agent: HostedAgent, folders: Sequence[str], wanted: bool) -> None:
        found = available() if wanted else Available(Wall.NONE, "`[agent] confined` is false")
        self._wall = found.wall
        self.name = str(found.wall)
        self.reason = found.reason if found.wall is Wall.NONE else ""
        known = known_agent(agent)
        named = (*(known.folders if known else ()), *folders)
        self._login = tuple(Path(name).expanduser().resolve() for name in named)

    def command(self, words: Sequence[str], openings: Openings) -> list[str]:
        sandbox = Sandbox(
            folder=openings.checkout,
            readable=(*_programs(words, openings.session), openings.tools),
            writable=(openings.temporary, *self._login),
            network=True,
            hidden=(openings.session,),
            nests=True,
            ends_with_starter=False,  # each turn has a thread of its own, and the process outlives it
        )
        command = confined(words, sandbox, self._wall)
        if self._wall is Wall.NONE:
            return command
        return [*system_calls.refusing(system_calls.Confinement(self._wall, network=True)), *command]


def _programs(words: Sequence[str], session: Path) -> tuple[Path, ...]:
    """Return the paths of the agent's program and of the code that it loads: its installation, or a script's folder."""
    home = Path.home().resolve()
    found = set(environment_paths((sys.executable,)))
    for name in (words[0], *INTERPRETERS):
        program = shutil.which(name)
        found |= set(_installation(Path(program), home)) if program else set()
    for word in words[1:]:
        path = Path(word).expanduser()
        if path.is_absolute() and path.exists():
            folder = path if path.is_dir() else path.parent
            found.add(path if _holds(folder, home, session) else folder)
    return tuple(sorted(path for one in found for path in {one, one.resolve()} if not _holds(path, home, session)))


def _installation(program: Path, home: Path) -> Iterator[Path]:
    """Yield the prefix that the program is installed in; in a home or ~/.local only the program's own folder."""
    for path in (program, program.resolve()):
        prefix = path.parent.parent
        yield path.parent if prefix in (home, home / ".local") else prefix


def _holds(path: Path, *places: Path) -> bool:
    return any(place.is_relative_to(path.resolve()) for place in places)
