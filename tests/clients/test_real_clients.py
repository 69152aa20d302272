"""Real clients against a scripted model on loopback: from outside by MCP, and hosted behind a wall by ACP.

    cp tests/clients/package.json DIRECTORY && npm install --prefix DIRECTORY
    PATH=DIRECTORY/node_modules/.bin:$PATH pytest -m clients tests/clients

package.json beside this file has their versions. A client that is not on the PATH is skipped. Each has a home folder of
its own, and no account.

The example agent of the ACP SDK is in its source archive alone; ACP_EXAMPLE_AGENT is its path:

    pip download --no-deps --no-binary :all: agent-client-protocol==0.12.1 && tar xzf agent_client_protocol-*.tar.gz
    ACP_EXAMPLE_AGENT=$PWD/agent_client_protocol-0.12.1/examples/agent.py pytest -m clients tests/clients
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cockpit.core.hosted_agents import KNOWN_AGENTS
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.session.settings import NamedAgent
from tests.agent.model_stand_in import Call, ModelStandIn
from tests.cli.shell import cockpit
from tests.worker.sessions import ROOT, local_session, state_of, wait_for

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]

ENDS_WITHIN_S = 300
SCRIPT: list[Call] = [
    ("propose_wave", {"question": "Deeper?", "factors": {"DEPTH": [6, 8]}}),
    ("query_experiments", {}),
]
OUTSIDE: list[Call] = [SCRIPT[0], ("wait", {"seconds": 2}), SCRIPT[1]]
LAST_WORDS = "All done."


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def claude_code(home: Path, url: str) -> None:
    variables = {
        "ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": "x", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"
    }  # fmt: skip
    write(home / ".claude" / "settings.json", json.dumps({"env": variables}))
    write(home / ".claude.json", "{}")


def codex(home: Path, url: str) -> None:
    provider = f'[model_providers.it]\nname = "it"\nbase_url = "{url}/v1"\nwire_api = "responses"\n'
    write(home / ".codex" / "config.toml", f'model = "m"\nmodel_provider = "it"\n\n{provider}')


def gemini(home: Path, url: str) -> None:
    write(home / ".gemini" / "settings.json", '{"security": {"auth": {"selectedType": "gemini-api-key"}}}')


def opencode(home: Path, url: str) -> None:
    for folder in KNOWN_AGENTS["opencode"].folders:
        (home / folder.removeprefix("~/")).mkdir(parents=True)
    options = {"baseURL": f"{url}/v1", "apiKey": "x"}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "it", "options": options, "models": {"m": {"name": "m"}}}
    found = {"provider": {"it": provider}, "model": "it/m"}
    write(home / ".config" / "opencode" / "opencode.json", json.dumps(found))


LOGINS: dict[str, Callable[[Path, str], None]] = {
    "claude-code": claude_code, "codex": codex, "gemini": gemini, "opencode": opencode,
}  # fmt: skip
"""Client to the function that writes its own configuration, with the model's address."""
ALONE = {
    "claude-code": ("claude", "-p", "{}", "--mcp-config", ".mcp.json", "--allowedTools", "mcp__cockpit"),
    "codex": ("codex", "exec", "--skip-git-repo-check", "{}"),
    "gemini": ("gemini", "--yolo", "-m", "gemini-2.5-pro", "-p", "{}"),
    "opencode": ("opencode", "run", "{}"),
}
"""Client to the command that does one task without a terminal."""


def home_of(client: str, program: str, place: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder with the client's configuration, and let the processes that start have it."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    home = place / "home"
    LOGINS[client](home, url)
    for name, value in (
        ("HOME", str(home)), ("PYTHONPATH", str(ROOT)), ("CODEX_HOME", ""), ("IS_SANDBOX", "1"),
        ("GEMINI_CLI_TRUST_WORKSPACE", "true"), ("GOOGLE_GEMINI_BASE_URL", url), ("GEMINI_API_KEY", "x"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CODEX_HOME")
    return home


def proposed(state: State) -> list[str]:
    return [wave.proposer for wave in state.waves.values() if wave.question == "Deeper?"]


@pytest.mark.parametrize("client", ALONE)
def test_a_client_from_outside_proposes_waits_and_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    with ModelStandIn(OUTSIDE, LAST_WORDS) as model:
        home_of(client, ALONE[client][0], tmp_path, model.url, monkeypatch)
        night = local_session(tmp_path, mode="copilot", proposer="search", filler=False)
        done = cockpit(tmp_path, "agent-setup", client, "night", "--yes")
        assert done.returncode == 0, done.stderr
        worker_process.start(night)
        try:
            words = [word.format("Do the research.") for word in ALONE[client]]
            ran: Any = subprocess.run(
                words, cwd=tmp_path / "repo", stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=ENDS_WITHIN_S, env=os.environ | {"PWD": str(tmp_path / "repo")},
            )  # fmt: skip
        finally:
            worker_process.terminate(night)
        assert ran.returncode == 0, ran.stderr[-2_000:]
        assert LAST_WORDS in ran.stdout
        assert len(model.results) >= len(OUTSIDE) and "Deeper?" not in model.results[0]
        assert "news" in model.results[-2] and "columns" in model.results[-1]
    assert len(proposed(state_of(night))) == 1


@pytest.mark.parametrize("client", KNOWN_AGENTS)
def test_a_hosted_agent_proposes_and_reads_behind_its_wall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    with ModelStandIn(SCRIPT, LAST_WORDS) as model:
        home_of(client, KNOWN_AGENTS[client].command[0], tmp_path, model.url, monkeypatch)
        night = local_session(tmp_path, mode="copilot", agent=client, filler=False)
        worker_process.start(night)
        try:
            wait_for(
                lambda: [one for one in state_of(night).messages if (one.author, one.text) == (client, LAST_WORDS)],
                ENDS_WITHIN_S,
                "the end of the agent's turn",
            )
        finally:
            worker_process.terminate(night)
        assert "columns" in model.results[-1]
    state = state_of(night)
    assert proposed(state) == [client]
    assert state.agent_walls[client]


def test_the_example_agent_of_the_acp_sdk_is_asked_and_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = os.environ.get("ACP_EXAMPLE_AGENT")
    if not example:
        pytest.skip("ACP_EXAMPLE_AGENT does not name it")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    agents = {"example": NamedAgent((sys.executable, str(Path(example).resolve())))}
    night = local_session(tmp_path, mode="copilot", agents=agents, agent="example", filler=False)
    worker_process.start(night)
    try:
        wait_for(lambda: state_of(night).unmetered.get("example"), ENDS_WITHIN_S, "the end of the agent's turn")
    finally:
        worker_process.terminate(night)
    state = state_of(night)
    said = [one.text for one in state.messages if one.author == "example" and one.kind == "say"]
    assert said[0].startswith("Client sent:") and "You are the researcher" in said[0], "it sends its prompt back"
    assert not state.ask_failures and state.agent_walls["example"]
