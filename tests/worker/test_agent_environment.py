"""A hosted agent inherits no variable with a key, unless a person named it."""

from typing import Any

import pytest

from cockpit.core.hosted_agents import agent_of
from cockpit.session import api_key
from cockpit.worker.agent_environment import agent_environment
from tests.worker.agent_nights import WAIT_S
from tests.worker.sessions import wait_for

PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "planted-aws",
    "GITHUB_TOKEN": "planted-github",
    "ANTHROPIC_API_KEY": "planted-anthropic",
    "KUBECONFIG": "/planted/config",
}
WANTED = {"no_proxy": "localhost", "LC_ALL": "C.UTF-8"}


def inherited(nights: Any, monkeypatch: pytest.MonkeyPatch, **settings: object) -> dict[str, str]:
    """Return the environment of an agent whose worker has all of PLANTED and WANTED."""
    for name, value in {**PLANTED, **WANTED}.items():
        monkeypatch.setenv(name, value)
    night = nights([["environment"], ["say", "Seen."]], starts=False)
    night.configure(**settings)
    night.start()
    wait_for(lambda: "Seen." in night.said(), WAIT_S, "the turn")
    found: dict[str, str] = night.logged("environment")[0]
    return found


@pytest.mark.parametrize("confined", [True, False])
def test_keys_and_tokens_of_the_worker_do_not_reach_the_agent(
    nights: Any, monkeypatch: pytest.MonkeyPatch, confined: bool
) -> None:
    found = inherited(nights, monkeypatch, confined=confined)
    assert not [name for name, value in PLANTED.items() if name in found or value in " ".join(found.values())]
    assert found.items() >= WANTED.items() and {"PATH", "HOME", "TMPDIR"} <= found.keys()


def test_the_agent_gets_what_a_person_named(nights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = inherited(nights, monkeypatch, env=["AWS_*", "ANTHROPIC_API_KEY"])
    asked = {name: found.get(name) for name in PLANTED}
    assert asked == {**PLANTED, "GITHUB_TOKEN": None, "KUBECONFIG": None}


def test_cockpit_s_key_is_handed_on_by_its_full_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_key, "_held", "secret")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    environment = {"ANTHROPIC_AUTH_TOKEN": "secret", "ANTHROPIC_API_KEY": "secret", "ANTHROPIC_MODEL": "m"}
    for wanted in ("*", "ANTHROPIC_*"):
        assert agent_environment(agent_of("claude-code"), [wanted], environment) == {"ANTHROPIC_MODEL": "m"}
    found = agent_environment(agent_of("claude-code"), ["ANTHROPIC_API_KEY"], {})
    assert found == {"ANTHROPIC_API_KEY": "secret"}


def test_a_known_agent_inherits_the_variables_of_its_own_account() -> None:
    environment = {"CODEX_HOME": "/c", "OPENAI_API_KEY": "k", "GEMINI_API_KEY": "g", "OPENCODE_CONFIG": "o"}
    own = {name: list(agent_environment(agent_of(name), (), environment)) for name in ("codex", "gemini", "opencode")}
    assert own == {
        "codex": ["CODEX_HOME", "OPENAI_API_KEY"],
        "gemini": ["GEMINI_API_KEY"],
        "opencode": ["OPENCODE_CONFIG"],
    }
    assert not agent_environment(agent_of("my-agent --acp"), (), environment)
