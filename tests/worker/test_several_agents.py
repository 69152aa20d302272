"""Several hosted agents at once, each with a name, a share of the arms and a conversation of its own."""

import json
import re
import sys
from pathlib import Path

import pytest

from cockpit.agent.claude import turn_status
from cockpit.core.hosted_agents import KNOWN_AGENTS, HostedAgent, install_hint, known_agent
from cockpit.core.intents import HostAgent
from cockpit.core.state import shares
from cockpit.create.agents import agents_of
from cockpit.create.error import CreateError
from cockpit.read.proposer_results import proposer_results
from cockpit.session import worker_process
from cockpit.session.client import SessionClient
from cockpit.session.setting_types import SettingsError
from cockpit.session.settings import AgentSettings, NamedAgent, NewSession, Settings, read_settings
from tests.agent.scripted_agent import read_log
from tests.worker.agent_nights import AGENT, WAIT_S, WAVE
from tests.worker.sessions import ROOT, local_session, state_of, wait_for


def configure(repo: Path, agents: dict[str, NamedAgent]) -> None:
    """Write the agents into the repository's settings, from which the worker reads them."""
    (repo / "cockpit.toml").write_text(
        "".join(
            f"[agents.{name}]\ncommand = {json.dumps(agent.command)}\nfolders = {json.dumps(agent.folders)}\n"
            f"env = {json.dumps(agent.env)}\n"
            for name, agent in agents.items()
        )
    )


def test_two_agents_propose_side_by_side_and_one_that_hangs_does_not_stop_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("ITS_TOKEN", "t")
    turns = {
        "first": [["say", "I think."], ["environment"], ["until_cancelled"]],
        "second": [["environment"], ["tool", "propose_wave", WAVE], ["say", "Mine."]],
        "third": [["say", "Later."]],
    }
    own = tmp_path / "agents"
    own.mkdir()
    agents = {}
    for name, turn in turns.items():
        (own / f"{name}.json").write_text(json.dumps({"turns": [turn, [["say", "Nothing new."]]]}))
        command = (sys.executable, str(AGENT), *(str(own / f"{name}.{end}") for end in ("json", "log")))
        agents[name] = NamedAgent(command, (str(own),), ("ITS_TOKEN",) if name == "second" else ())
    folder = local_session(tmp_path, mode="copilot", agents=agents, agent=("first", "second", "search"), filler=False)
    state = state_of(folder)
    assert list(shares(state)) == ["first", "second", "search"]
    assert state.hosted_agents == {name: agents[name].command for name in ("first", "second")}, "one program, two names"
    configure(Path(state.session.repo), agents)
    worker_process.start(folder)
    try:
        wait_for(
            lambda: {"second", "search"} <= {one.proposer for one in state_of(folder).waves.values()}, WAIT_S, "waves"
        )
        wait_for(lambda: state_of(folder).unmetered.get("second"), WAIT_S, "the end of the second's turn")
        state = state_of(folder)
        assert "first" in state.asks, "it hangs in its turn"
        spoken = turn_status.read(folder.agent_live("first"))
        assert spoken is not None and spoken.text == "I think.", "the second's turn leaves its words alone"
        assert (folder.agent_files("first")).is_dir() and (folder.agent_files("second")).is_dir()
        told = {one.name: one for one in proposer_results(state)}
        assert (
            told["second"].arms == 2
            and told["second"].unmetered == state.unmetered["second"]
            and told["first"].arms == 0
        )
        had = {
            name: next(what for kind, what in read_log(own / f"{name}.log") if kind == "environment")
            for name in ("first", "second")
        }
        assert "ITS_TOKEN" in had["second"] and "ITS_TOKEN" not in had["first"], "each has variables of its own"
        client = SessionClient(folder, "ann")
        client.do(HostAgent("third=2", beside=True), 30)
        client.close()
        wait_for(lambda: "third" in state_of(folder).hosted_agents, WAIT_S, "the third agent")
        state = state_of(folder)
        assert state.hosted_agents["third"] == agents["third"].command and shares(state)["third"] == 2.0
    finally:
        worker_process.terminate(folder)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("[agents.claude]\ncommand = ['x']", "claude is the name of a proposer of cockpit's own"),
        ("[agents.'a/b']\ncommand = ['x']", "a name is up to 40 letters, digits"),
        ("[agents.mine]", "[agents.mine] has no command"),
        ("[agents.mine]\ncomand = ['x']", "did you mean 'command'?"),
        ("[agents.codex]\nenv = ['MY_TOKEN']", ""),
    ],
)
def test_an_agent_s_table_is_refused_in_one_sentence(tmp_path: Path, table: str, sentence: str) -> None:
    (tmp_path / "cockpit.toml").write_text(table)
    if not sentence:
        assert read_settings(tmp_path).agents["codex"].env == ("MY_TOKEN",)
        return
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("agents", "sentence"),
    [
        (("search", sys.executable), "the first agent is one that the worker starts; name search after it"),
        ((sys.executable, sys.executable), "is given twice: agents need different names"),
        ((sys.executable, "search=0"), "search=0: a share is a number above 0"),
        ((sys.executable, "no-such-command-here"), "the command no-such-command-here of no-such-command-here is not"),
    ],
)
def test_invalid_agents_are_refused_in_one_sentence(tmp_path: Path, agents: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CreateError, match=re.escape(sentence)) as caught:
        local_session(tmp_path, agent=agents)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "sessions" / "night").exists()


def test_an_agent_s_share_is_given_with_its_name(tmp_path: Path) -> None:
    folder = local_session(tmp_path, agent=(sys.executable, "search=3"))
    first, other = shares(state_of(folder)).items()
    assert first[1] == 1.0 and other == ("search", 3.0)


def test_an_agent_by_command_is_hosted_and_a_known_program_gets_its_name() -> None:
    own = AgentSettings(command=("/opt/bin/claude-agent-acp", "--debug"))
    assert agents_of(Settings(agent=own)) == [HostedAgent("claude-code", own.command)]
    named = Settings(session=NewSession(agent=("codex", "mine=2")), agents={"mine": NamedAgent(("my-agent", "--acp"))})
    assert agents_of(named) == [HostedAgent("codex", ("codex-acp",)), HostedAgent("mine", ("my-agent", "--acp"))]
    assert agents_of(Settings(session=NewSession(proposer="search"))) == []


def test_a_known_program_under_another_name_keeps_its_login_and_its_remedy() -> None:
    agent = HostedAgent("careful", ("/opt/bin/claude-agent-acp",))
    assert known_agent(agent) is KNOWN_AGENTS["claude-code"] and "npm install" in install_hint(agent)
    assert known_agent(HostedAgent("careful", ("my-agent",))) is None
