from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cockpit.agent.claude.researcher import Claude
from cockpit.agent.proposer_api import Request
from cockpit.session.api_key import KEY_VARIABLE, KeyHolder
from cockpit.session.settings import AgentSettings
from tests.agent.messages_server import KEY, MessagesServer, Reply, Script
from tests.agent.state_desk import StateDesk


@pytest.fixture
def desk(tmp_path: Path) -> StateDesk:
    return StateDesk(tmp_path)


class Researcher:
    """Claude at a desk, with a stand-in server that answers from a script."""

    def __init__(self, desk: StateDesk, server: MessagesServer, key: KeyHolder, **settings: Any) -> None:
        self.desk, self.server = desk, server
        chosen: dict[str, Any] = {"timeout_s": 5.0, "tries": 3, **settings}
        self.settings = AgentSettings(base_url=server.url, **chosen)
        self.claude = Claude(self.settings, desk.folder, key, backoff_s=0.01)
        self._ask = 0

    def turn(self, reason: str = "dry", arms: int = 12) -> None:
        self._ask += 1
        self.claude.propose(self.desk, Request(self._ask, arms, reason))


@pytest.fixture
def research(desk: StateDesk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Researcher]]:
    servers: list[MessagesServer] = []

    def start(script: Script | list[Reply], **settings: Any) -> Researcher:
        monkeypatch.setenv(KEY_VARIABLE, KEY)
        server = MessagesServer(script)
        servers.append(server.__enter__())
        return Researcher(desk, server, KeyHolder(""), **settings)

    yield start
    for server in servers:
        server.__exit__()
        assert not server.problems, server.problems
