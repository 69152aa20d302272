"""The division of the arms between a model and a numeric proposer."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.agent.claude import turn_status
from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.agent.proposers.hybrid import Hybrid
from cockpit.agent.proposers.search import Search
from cockpit.agent.proposers.tpe import Tpe
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import AgentSettings, Settings, read_settings
from cockpit.worker.proposers import proposers
from tests.agent.direct_api import DirectApi
from tests.agent.messages_server import KEY, Answer, Asked, MessagesServer, says


class Counting:
    """A proposer that records its requests."""

    def __init__(self, name: str, trouble: str = "") -> None:
        self.name = name
        self.requests: list[ProposalRequest] = []
        self._trouble = trouble

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        self.requests.append(request)
        if self._trouble:
            raise ProposerTrouble(self._trouble)

    @property
    def arms(self) -> int:
        return sum(request.arms for request in self.requests)


class NeverInterrupted:
    def interrupted(self) -> bool:
        return False


@given(st.floats(0, 1), st.lists(st.integers(1, 20), min_size=1, max_size=40))
def test_the_share_holds_over_many_requests_and_no_arm_is_lost(share: float, asks: list[int]) -> None:
    model, search = Counting("claude"), Counting("search")
    hybrid = Hybrid(model, search, share)
    for number, arms in enumerate(asks):
        hybrid.propose(NeverInterrupted(), ProposalRequest(number, arms, "dry"))  # type: ignore[arg-type]
    assert model.arms + search.arms == sum(asks)
    assert abs(model.arms - share * sum(asks)) <= 1


def test_the_model_alone_answers_a_person(api: DirectApi) -> None:
    model, search = Counting("claude"), Counting("search")
    Hybrid(model, search, 0.5).propose(api, ProposalRequest(1, 8, "said"))
    assert (model.arms, search.arms) == (8, 0)


def test_search_takes_the_arms_of_a_model_that_fails(api: DirectApi) -> None:
    model, search = Counting("claude", "the API is overloaded (529)"), Counting("search")
    Hybrid(model, search, 0.5).propose(api, ProposalRequest(1, 8, "dry"))
    assert search.arms == 8
    assert api.state.messages[-1].text == "the API is overloaded (529)"
    assert api.state.messages[-1].kind == "trouble"


def test_a_model_that_failed_is_not_asked_before_its_retry_time(api: DirectApi) -> None:
    model, search = Counting("claude", "the API key was refused (401)"), Counting("search")
    hybrid = Hybrid(model, search, 0.5)
    for _ in range(3):
        hybrid.propose(api, ProposalRequest(1, 8, "dry"))
    assert (len(model.requests), search.arms) == (1, 24)
    assert [message.kind for message in api.state.messages].count("trouble") == 1
    api.clock += 61
    hybrid.propose(api, ProposalRequest(2, 8, "dry"))
    assert len(model.requests) == 2


@pytest.mark.parametrize(("numeric", "kind"), [("search", Search), ("tpe", Tpe)])
def test_the_numeric_proposer_is_a_setting(tmp_path: Path, numeric: str, kind: type) -> None:
    toml = f"[agent]\nnumeric = '{numeric}'\nkey_file = ''\n"
    (tmp_path / "cockpit.toml").write_text(toml)
    made = proposers(SessionFolder(tmp_path), read_settings(tmp_path))
    hybrid = made["hybrid"]._make()  # type: ignore[attr-defined]
    assert isinstance(hybrid, Hybrid) and isinstance(hybrid._numeric, kind)


def test_an_interrupted_request_does_not_start_the_model(api: DirectApi) -> None:
    model, search = Counting("claude"), Counting("search")
    api.stop.set()
    Hybrid(model, search, 0.5).propose(api, ProposalRequest(1, 8, "dry"))
    assert (model.arms, search.arms) == (0, 4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_zero_or_one_asks_one_proposer(api: DirectApi, share: float) -> None:
    model, search = Counting("claude"), Counting("search")
    Hybrid(model, search, share).propose(api, ProposalRequest(1, 8, "dry"))
    assert (model.arms, search.arms) == (8 * share, 8 * (1 - share))


def test_the_words_of_its_model_are_shown_as_the_words_of_the_proposer_that_was_asked(
    api: DirectApi, tmp_path: Path
) -> None:
    seen: list[turn_status.TurnStatus | None] = []

    def script(asked: Asked) -> Answer:
        seen.append(turn_status.read(api.folder.agent_live("hybrid")))
        return says("Width first.")

    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    with MessagesServer(script) as server:
        configured = Settings(agent=AgentSettings(base_url=server.url, key_file=str(key)))
        proposers(api.folder, configured)["hybrid"].propose(api, ProposalRequest(1, 8, "said"))
    assert seen[0] is not None and seen[0].proposer == "hybrid" and seen[0].doing
    assert not api.folder.agent_live("claude").exists()
