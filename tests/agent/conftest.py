from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cockpit.agent.claude.researcher import Claude
from cockpit.agent.proposer_api import ProposalRequest
from cockpit.session.api_key import KEY_VARIABLE, KeyHolder
from cockpit.session.settings import AgentSettings
from tests.agent.direct_api import DirectApi
from tests.agent.messages_server import KEY, MessagesServer, Reply, Script


@pytest.fixture
def api(tmp_path: Path) -> DirectApi:
    return DirectApi(tmp_path)


class Researcher:
    """Claude with a ProposerApi and a stand-in server that answers from a script."""

    def __init__(self, api: DirectApi, server: MessagesServer, key: KeyHolder, **settings: Any) -> None:
        self.api, self.server = api, server
        chosen: dict[str, Any] = {"timeout_s": 5.0, "tries": 3, **settings}
        self.settings = AgentSettings(base_url=server.url, **chosen)
        self.claude = Claude(self.settings, api.folder, key, backoff_s=0.01)
        self._ask = 0

    def turn(self, reason: str = "dry", arms: int = 12) -> None:
        self._ask += 1
        self.claude.propose(self.api, ProposalRequest(self._ask, arms, reason))


@pytest.fixture
def research(api: DirectApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Researcher]]:
    servers: list[MessagesServer] = []

    def start(script: Script | list[Reply], **settings: Any) -> Researcher:
        monkeypatch.setenv(KEY_VARIABLE, KEY)
        server = MessagesServer(script)
        servers.append(server.__enter__())
        return Researcher(api, server, KeyHolder(""), **settings)

    yield start
    for server in servers:
        server.__exit__()
        assert not server.problems, server.problems
