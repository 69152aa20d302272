"""Money for a request is in the ledger before the request is sent, and settled whatever happens to the worker."""

import threading
from pathlib import Path

import pytest

from cockpit.agent.proposer_api import ProposerTrouble
from cockpit.core.agent_events import ApiReleased, ApiReserved, ApiUsed
from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import AskEnded
from cockpit.core.intents import Hold, Interrupt, Say, encode_intent
from cockpit.session import worker_process
from cockpit.session.api_key import KEY_VARIABLE
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.agent.direct_api import DirectApi
from tests.agent.messages_server import KEY, Answer, Asked, Hang, MessagesServer, Refuse, Reply, says
from tests.agent.test_claude import Start
from tests.worker.sessions import kill, sim_session, state_of, wait_for

SLOW = Answer([{"type": "text", "text": "word " * 4_000}], delay_s=0.1)
"""An answer that takes minutes, so that it can be stopped."""


def events_of(folder: SessionFolder) -> list[AnyEvent]:
    ledger = LedgerReader(folder)
    try:
        return ledger.since(0)
    finally:
        ledger.close()


def asking_session(place: Path, server: MessagesServer) -> SessionFolder:
    folder = sim_session(place, speed=60.0, proposer="claude", mode="autopilot", budget_usd=100.0)
    toml = f'[agent]\nbase_url = "{server.url}"\ntimeout_s = 60.0\nkey_file = ""\n'
    (place / "repo" / "cockpit.toml").write_text(toml)
    return folder


@pytest.mark.timeout(120)
def test_a_request_of_a_killed_worker_counts_as_spent_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    answered = threading.Event()

    def script(asked: Asked) -> Reply:
        return says("Nothing more for now.") if answered.is_set() else Hang(60)

    with MessagesServer(script) as server:
        folder = asking_session(tmp_path, server)
        worker_process.start(folder)
        try:
            wait_for(lambda: state_of(folder).api_reserved, 60, "a request to be reserved for")
            wait_for(lambda: server.asked, 30, "the request to arrive")
            reserved = sum(state_of(folder).api_reserved.values())
            assert reserved > 0
            kill(folder)
            assert sum(state_of(folder).api_reserved.values()) == reserved, (
                "the reservation stays until the next worker starts"
            )
            answered.set()
            monkeypatch.setenv(KEY_VARIABLE, KEY)
            worker_process.start(folder)
            wait_for(lambda: state_of(folder).spend.api_usd >= reserved, 30, "the reservation to be settled")
        finally:
            worker_process.terminate(folder)
    state = state_of(folder)
    assert not state.api_reserved, "no reservation remains"
    assert any("broken off unseen" in message.text for message in state.messages)


@pytest.mark.timeout(120)
def test_a_stopping_worker_records_the_cost_of_its_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with MessagesServer(lambda asked: SLOW) as server:
        folder = asking_session(tmp_path, server)
        worker_process.start(folder)
        wait_for(lambda: state_of(folder).api_reserved and server.asked, 60, "a request")
        wait_for(lambda: folder.agent_live("claude").exists(), 30, "a turn status")
        assert worker_process.terminate(folder)
    state = state_of(folder)
    assert not state.api_reserved
    assert [event for event in events_of(folder) if isinstance(event, ApiUsed)]
    assert not any("broken off unseen" in message.text for message in state.messages)


@pytest.mark.timeout(120)
def test_an_interrupted_turn_does_not_restart_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with MessagesServer(lambda asked: SLOW) as server:
        folder = asking_session(tmp_path, server)
        Inbox(folder.inbox).put("ann", encode_intent(Hold()))
        Inbox(folder.inbox).put("ann", encode_intent(Say("Where are we?")))
        worker_process.start(folder)
        try:
            wait_for(lambda: server.asked and state_of(folder).asks, 60, "a turn")
            Inbox(folder.inbox).put("ann", encode_intent(Interrupt()))
            wait_for(lambda: not state_of(folder).asks, 30, "the turn to end")
        finally:
            worker_process.terminate(folder)
    ended = next(event for event in events_of(folder) if isinstance(event, AskEnded))
    assert not ended.trouble and ended.retry_at > ended.at
    assert "interrupted" in folder.transcript.read_text()
    assert not state_of(folder).api_reserved and state_of(folder).spend.api_usd > 0


def charges(api: DirectApi) -> list[AnyEvent]:
    kinds = (ApiReserved, ApiReleased, ApiUsed)
    return [event for event in api.ledger.since(0) if isinstance(event, kinds)]


def test_the_reservation_precedes_the_request(api: DirectApi, research: Start) -> None:
    seen: list[dict[str, float]] = []

    def script(asked: Asked) -> Reply:
        seen.append(dict(api.state.api_reserved))
        return says("ok")

    it = research(script)
    it.turn()
    assert list(seen[0]) == ["1.1"]
    reserved, used = charges(api)
    assert isinstance(reserved, ApiReserved) and isinstance(used, ApiUsed)
    assert reserved.tokens == it.server.asked[0].body["max_tokens"]
    assert used.request == reserved.request and used.usd < reserved.usd
    assert not api.state.api_reserved and api.state.spend.api_usd == used.usd


@pytest.mark.parametrize(
    ("reply", "billed"),
    [
        (Refuse(529, "overloaded_error"), False),
        (Refuse(402, "billing_error"), False),
        (Hang(2.0), True),
        (Answer([], cut_after=0), True),
    ],
    ids=["529", "402", "silence", "cut before the first word"],
)
def test_a_failed_request_leaves_no_reservation(api: DirectApi, research: Start, reply: Reply, billed: bool) -> None:
    it = research(lambda asked: reply, timeout_s=0.3, tries=1)
    with pytest.raises(ProposerTrouble):
        it.turn()
    assert not api.state.api_reserved
    assert [type(event) for event in charges(api)] == [ApiReserved, ApiUsed if billed else ApiReleased]
    assert (api.state.spend.api_usd > 0) is billed


def test_a_cut_answer_is_charged_for_unseen_thinking(api: DirectApi, research: Start) -> None:
    slow = Answer([{"type": "text", "text": "word " * 400}], delay_s=0.02, cut_after=40)
    it = research(lambda asked: slow, tries=1)
    with pytest.raises(ProposerTrouble):
        it.turn()
    used = charges(api)[-1]
    assert isinstance(used, ApiUsed)
    assert used.output_tokens > 36 * 37 / 4, "more than its characters"
    assert used.usd <= charges(api)[0].usd  # type: ignore[union-attr]
