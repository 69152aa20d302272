"""A session with a scripted hosted agent: a real worker, a real process that speaks ACP, real MCP tools."""

import json
import sys
from pathlib import Path
from typing import Any

from cockpit.core.intents import AnyIntent
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.session.client import SessionClient
from cockpit.session.paths import SessionFolder
from tests.agent.scripted_agent import read_log
from tests.worker.sessions import local_session, state_of

AGENT = Path(__file__).parents[1] / "agent" / "scripted_agent.py"
WAVE = {"question": "Deeper?", "factors": {"DEPTH": [6, 8]}}
NAME = "scripted_agent"
WAIT_S = 90

Step = list[Any]


class Night:
    """A session with the scripted agent as its proposer."""

    def __init__(self, place: Path, *turns: list[Step], mode: str = "copilot", **handshake: Any) -> None:
        self.own = place / "agent"
        """The files of the agent, which it may read and change behind its wall."""
        self.own.mkdir()
        self.script, self.log_path = self.own / "script.json", self.own / "agent.log"
        self.write(*turns, **handshake)
        command = f"{sys.executable} {AGENT} {self.script} {self.log_path}"
        self.folder: SessionFolder = local_session(place, mode=mode, agent=command, filler=False, confine=False)
        self.configure()

    def configure(self, tables: str = "", **settings: object) -> None:
        """Write the `[agent]` settings, and other tables. They count from the next start on."""
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        (Path(self.state.session.repo) / "cockpit.toml").write_text(
            "".join(["[agent]\n", f"folders = {json.dumps([str(self.own)])}\n", *lines, tables])
        )

    def write(self, *turns: list[Step], **handshake: Any) -> None:
        self.script.write_text(json.dumps({"turns": turns, **handshake}))

    def start(self) -> None:
        worker_process.start(self.folder)

    @property
    def state(self) -> State:
        return state_of(self.folder)

    def logged(self, kind: str) -> list[Any]:
        return [what for each, what in read_log(self.log_path) if each == kind]

    def said(self, kind: str = "say") -> list[str]:
        return [message.text for message in self.state.messages if message.author == NAME and message.kind == kind]

    def do(self, intent: AnyIntent) -> None:
        client = SessionClient(self.folder, "ann")
        try:
            client.do(intent, 30)
        finally:
            client.close()
