"""A turn of the researcher against a server that speaks the real wire format."""

import inspect
import json
import threading
import time
from collections.abc import Callable
from typing import get_args, get_type_hints

import pytest
from anthropic.resources.messages import messages
from anthropic.resources.messages.messages import AsyncMessages
from anthropic.types import ModelParam, OutputConfigParam
from msgspec.structs import astuple

from cockpit.agent.claude import turn_status
from cockpit.agent.claude.transcript import rendered
from cockpit.agent.proposer_api import ProposerTrouble
from cockpit.core.agent_events import ApiUsed
from cockpit.session.settings import PRICES, AgentSettings, Price
from tests.agent.conftest import Researcher
from tests.agent.direct_api import DirectApi
from tests.agent.messages_server import KEY, Answer, Asked, Hang, Refuse, calls, says, together

Start = Callable[..., Researcher]

WAVE = {"question": "Is wider better?", "factors": {"WIDTH": [512, 768]}, "hypothesis": "yes"}


def used(api: DirectApi) -> list[ApiUsed]:
    return [event for event in api.ledger.since(0) if isinstance(event, ApiUsed)]


def test_a_tool_call_becomes_a_proposal_and_its_result_is_returned(api: DirectApi, research: Start) -> None:
    it = research([calls("propose_wave", WAVE), says("Two widths are on their way.")])
    it.turn()
    assert [draft.factors for draft in api.drafts] == [{"WIDTH": [512, 768]}]
    answer = it.server.asked[1].answers[0]
    assert answer["experiments"] == ["e0001", "e0002"]
    assert api.state.messages[-1].text == "Two widths are on their way."


def test_the_stable_part_comes_first_and_is_read_from_the_cache(api: DirectApi, research: Start) -> None:
    it = research([calls("propose_wave", WAVE), says("done"), says("nothing new")])
    it.turn()
    it.turn()
    first, second, third = used(api)
    assert first.cache_read_tokens == 0 and first.cache_write_tokens > 1_000
    assert second.cache_read_tokens > first.cache_write_tokens * 0.8
    assert third.cache_read_tokens > 0.3 * first.cache_write_tokens
    assert api.state.spend.cache_read_tokens == second.cache_read_tokens + third.cache_read_tokens


def test_many_tool_calls_in_one_answer_keep_the_cache(api: DirectApi, research: Start) -> None:
    many = together(*(calls("query_experiments", {"limit": number}) for number in range(1, 15)))
    it = research([many, many, says("done")])
    it.turn()
    first, second, third = used(api)
    assert second.cache_read_tokens == first.cache_write_tokens and second.input_tokens == 0
    assert third.cache_read_tokens == second.cache_read_tokens + second.cache_write_tokens


def test_a_new_turn_reads_all_but_the_current_session_from_the_cache(api: DirectApi, research: Start) -> None:
    it = research([says("one"), says("two")])
    it.turn()
    it.turn()
    first, second = used(api)
    changing = len(it.server.asked[1].briefing) / 4
    assert second.cache_write_tokens < 1.2 * changing < 0.5 * first.cache_write_tokens
    assert second.cache_read_tokens + second.cache_write_tokens == pytest.approx(first.cache_write_tokens, rel=0.05)


def test_tokens_are_priced_by_kind(api: DirectApi, research: Start) -> None:
    it = research([says("hello")])
    it.turn()
    event = used(api)[0]
    price = it.settings.price(event.model)
    least = event.input_tokens * price.input + event.output_tokens * price.output
    least += event.cache_read_tokens * price.cache_read
    assert event.usd * 1e6 >= least + event.cache_write_tokens * price.cache_write_5m - 1e-6
    assert event.usd * 1e6 <= least + event.cache_write_tokens * price.cache_write_1h + 1e-6


def test_a_free_model_gets_its_full_answer_length(api: DirectApi, research: Start) -> None:
    free = Price(0.0, 0.0, 0.0, 0.0, 0.0)
    it = research([says("hello")], prices={"claude-opus-5-5": free})
    it.turn()
    assert it.server.asked[0].body["max_tokens"] == it.settings.max_tokens
    assert api.state.spend.api_usd == 0.0 and used(api)[0].output_tokens > 0


def test_an_unknown_model_has_the_highest_price() -> None:
    fallback = AgentSettings().price("claude-unheard-of")
    for price in PRICES.values():
        assert all(ours >= theirs for ours, theirs in zip(astuple(fallback), astuple(price), strict=True))


def test_program_md_is_read_again_in_each_turn(api: DirectApi, research: Start) -> None:
    it = research([says("a"), says("b")])
    it.turn()
    (api.repo / "program.md").write_text("Look at the schedule only.")
    it.turn()
    assert "Screen first, then promote." in it.server.asked[0].text
    assert "Look at the schedule only." in it.server.asked[1].text


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Refuse(429, "rate_limit_error"), "rate limit"),
        (Refuse(529, "overloaded_error"), "overloaded"),
        (Refuse(500, "api_error"), "failed (500)"),
        (Answer([{"type": "text", "text": "x" * 200}], cut_after=4), "cut"),
        (Answer([{"type": "text", "text": "x" * 200}], cut_after=4, end_early=True), "cut"),
        (Answer([{"type": "text", "text": "x" * 200}], cut_after=4, error_after="overloaded_error"), "overloaded"),
        (Answer([]), "empty answer"),
        (Answer([{"type": "text", "text": "One moment"}], stop_reason="pause_turn"), "paused"),
    ],
    ids=["429", "529", "500", "cut", "ended early", "error event", "empty", "paused"],
)
def test_a_failure_that_may_pass_is_retried(
    api: DirectApi, research: Start, failure: Answer | Refuse, words: str
) -> None:
    it = research([failure, calls("propose_wave", WAVE), failure, says("done")])
    it.turn()
    assert len(it.server.asked) == 4
    assert len(api.drafts) == 1
    assert words in "\n".join(rendered(api.folder.transcript))


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (Refuse(429, "rate_limit_error"), "rate limit is reached (429); tried 3 times"),
        (Refuse(529, "overloaded_error"), "overloaded (529); tried 3 times"),
        (Refuse(402, "billing_error"), "no credit"),
        (Refuse(400, "invalid_request_error", "Your credit balance is too low to access the API"), "no credit"),
        (Refuse(403, "permission_error", "not you"), "lacks the permission (403): not you"),
        (Refuse(400, "invalid_request_error", "bad\x1b[31m thing"), "refused the request (400): bad thing"),
        (Hang(3.0), "did not answer in time"),
        (Answer([], cut_after=2), "cut before the answer was complete"),
        (Answer([{"type": "text", "text": "I"}], stop_reason="max_tokens"), "reached its limit"),
        (
            Answer([{"type": "text", "text": "I"}], stop_reason="model_context_window_exceeded"),
            "exceeded the model's context window",
        ),
        (
            Answer(
                [{"type": "text", "text": "I"}],
                stop_reason="refusal",
                stop_details={"type": "refusal", "category": "frontier_llm", "explanation": "competing models"},
            ),
            "refused to answer: competing models",
        ),
    ],
    ids=["429", "529", "402", "credit", "403", "400", "silence", "cut", "max_tokens", "window", "refusal"],
)
def test_a_failure_that_persists_is_one_line_and_proposes_nothing(
    api: DirectApi, research: Start, failure: Answer | Refuse | Hang, sentence: str
) -> None:
    it = research(lambda asked: failure, timeout_s=0.3)
    with pytest.raises(ProposerTrouble) as trouble:
        it.turn()
    assert sentence in str(trouble.value)
    assert "\n" not in str(trouble.value) and "\x1b" not in str(trouble.value)
    assert trouble.value.retry_in_s > 0
    assert not api.drafts


def test_a_long_rate_limit_ends_the_turn(api: DirectApi, research: Start) -> None:
    it = research(lambda asked: Refuse(429, "rate_limit_error", headers={"retry-after": "900"}))
    with pytest.raises(ProposerTrouble) as trouble:
        it.turn()
    assert trouble.value.retry_in_s >= 900
    assert len(it.server.asked) == 1


def test_a_tool_call_in_a_cut_stream_is_not_run(api: DirectApi, research: Start) -> None:
    cut = together(calls("propose_wave", WAVE), calls("propose_wave", WAVE | {"question": "Deeper?"}))
    cut.cut_after = 8
    it = research([cut, calls("propose_wave", WAVE), says("done")])
    it.turn()
    assert len(api.drafts) == 1


def test_a_proposal_before_a_failure_is_not_repeated(api: DirectApi, research: Start) -> None:
    it = research(
        [
            calls("propose_wave", WAVE),
            Refuse(402, "billing_error"),
            calls("propose_wave", WAVE),
            says("It waits already."),
        ]
    )
    with pytest.raises(ProposerTrouble):
        it.turn()
    it.turn()
    assert "Is wider better?" in it.server.asked[2].briefing
    assert "No arm was accepted" in it.server.asked[3].answers[0]["error"]
    assert [wave.proposer for wave in api.state.waves.values()] == ["baseline", "claude"]


def test_invalid_arguments_come_back_as_a_result(api: DirectApi, research: Start) -> None:
    it = research(
        [calls("propose_wave", {"question": 3, "replicates": "two"}), calls("propose_wave", WAVE), says("ok")]
    )
    it.turn()
    result = it.server.asked[1].results[0]
    assert result["is_error"] is True
    assert "question: Input should be a valid string, not 3" in json.loads(result["content"])["error"]
    assert len(api.drafts) == 1


def test_ten_invalid_calls_in_a_row_end_the_turn(api: DirectApi, research: Start) -> None:
    it = research(lambda asked: calls("rm", {"path": "/"}))
    with pytest.raises(ProposerTrouble, match=r"10 invalid tool calls in a row, the last rm: There is no tool 'rm'"):
        it.turn()
    assert len(it.server.asked) == 10


def test_the_message_on_a_refused_key_does_not_contain_it(
    api: DirectApi, research: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = research([says("never")])
    it.claude._key._from_environment = KEY + "-old"
    with pytest.raises(ProposerTrouble, match="key was refused") as trouble:
        it.turn()
    assert KEY not in str(trouble.value)
    assert "`cockpit open` with one that works in ANTHROPIC_API_KEY" in str(trouble.value)


def test_the_message_names_an_unknown_model(api: DirectApi, research: Start) -> None:
    it = research([], model="claude-opus-0")
    with pytest.raises(ProposerTrouble, match="does not know the model 'claude-opus-0'"):
        it.turn()


def test_an_interrupt_ends_a_turn_in_the_middle_of_an_answer(api: DirectApi, research: Start) -> None:
    slow = Answer([{"type": "text", "text": "word " * 2_000}], delay_s=0.05)
    it = research([slow])

    def interrupt_after_the_first_text() -> None:
        while not (now := turn_status.read(api.folder.agent_live("claude"))) or not now.text:
            time.sleep(0.02)
        api.stop.set()

    threading.Thread(target=interrupt_after_the_first_text, daemon=True).start()
    it.turn()
    assert "interrupted" in "\n".join(rendered(api.folder.transcript))
    said = api.state.messages[-1]
    assert said.author == "claude" and said.text.startswith("word word") and said.text.endswith(" […]")
    assert used(api)[0].output_tokens > 0


def test_an_interrupt_ends_a_wait_between_retries(api: DirectApi, research: Start) -> None:
    def script(asked: Asked) -> Refuse:
        threading.Timer(0.1, api.stop.set).start()
        return Refuse(529, "overloaded_error", headers={"retry-after": "50"})

    it = research(script)
    it.turn()
    assert len(it.server.asked) == 1


def test_a_person_steers_a_turn_under_way(api: DirectApi, research: Start) -> None:
    def script(asked: Asked) -> Answer:
        if asked.opens_turn:
            api.say("Stop widening, look at the schedule.")
            return calls("query_experiments", {})
        wants = "schedule" in asked.text
        return says("The schedule it is." if wants else "Wider then.")

    it = research(script)
    it.turn()
    assert api.state.messages[-1].text == "The schedule it is."
    assert api.messages_answered == 1, "the answered message causes no new turn"


def test_the_reason_of_a_rejection_is_in_the_next_briefing(api: DirectApi, research: Start) -> None:
    it = research([calls("propose_wave", WAVE), says("ok"), says("I see.")])
    it.turn()
    api.reject("w001", "width is settled; look at the schedule")
    it.turn()
    assert "width is settled; look at the schedule" in it.server.asked[2].briefing


def test_a_crash_is_reported_with_its_traceback_at_most_twice_per_idea(api: DirectApi, research: Start) -> None:
    api.score = lambda experiment, hardware, seed: None
    edit = {"edits": [{"search": "1.0:.6f", "replace": "1 / 0:.6f"}]}

    def script(asked: Asked) -> Answer:
        if not asked.opens_turn:
            return says("ok")
        number = len(api.state.experiments)
        fixes = {} if number == 1 else {"fixes": f"e{number - 1:04d}"}
        arm = edit | {"constants": {"DEPTH": 8 + number}} | fixes
        return calls("propose_wave", {"question": f"Does it divide, {number}?", "arms": [arm]})

    it = research(script)
    for _ in range(5):
        it.turn()
        api.settle()
        for name in api.state.recent:
            api.logs[name] = "step 1\nTraceback (most recent call last):\n  File x\nZeroDivisionError: division by zero"
    shown = [asked.briefing.count("| ZeroDivisionError") for asked in it.server.asked if asked.opens_turn]
    assert shown == [0, 1, 1, 0, 0]
    refused = [asked.answers[0].get("error", "") for asked in it.server.asked if not asked.opens_turn]
    assert [bool(error) for error in refused] == [False, False, False, True, True]
    assert "has crashed 3 times" in refused[-1]


def test_the_turn_ends_when_the_budget_is_spent(api: DirectApi, research: Start) -> None:
    it = research(lambda asked: calls("query_experiments", {}), max_tokens=4_000, most_calls=200)
    api.state.budget_usd = api.state.spend.api_usd + 1.0
    with pytest.raises(ProposerTrouble, match="too little to ask claude: raise the budget to continue"):
        it.turn()
    assert 3 < len(it.server.asked) < 200
    assert api.state.spend.api_usd <= 1.0


def test_a_small_budget_shortens_the_answer(api: DirectApi, research: Start) -> None:
    it = research([says("hi")])
    api.state.budget_usd = 0.5
    it.turn()
    assert 1_500 <= it.server.asked[0].body["max_tokens"] < it.settings.max_tokens


def test_the_status_shows_the_text_during_a_turn_only(api: DirectApi, research: Start) -> None:
    seen: list[turn_status.TurnStatus] = []
    slow = Answer([{"type": "text", "text": "one two three " * 40}], delay_s=0.04)
    it = research([slow])
    thread = threading.Thread(target=it.turn)
    thread.start()
    while thread.is_alive():
        now = turn_status.read(api.folder.agent_live("claude"))
        if now is not None:
            seen.append(now)
        time.sleep(0.02)
    texts = [now.text for now in seen if now.doing == "writes"]
    assert texts and texts == sorted(texts, key=len)
    assert turn_status.read(api.folder.agent_live("claude")) is None
    assert (api.folder.agent_live("claude").stat().st_mode & 0o777) == 0o640


def test_the_transcript_renders_the_whole_exchange(api: DirectApi, research: Start) -> None:
    it = research([calls("propose_wave", WAVE, thinking="Width first."), says("Two \x1b[31mwidths.")])
    it.turn()
    text = "\n".join(rendered(api.folder.transcript))
    for words in ("Screen first, then promote.", "DEPTH = 8", "Width first.", "calls propose_wave", "Two widths."):
        assert words in text
    assert "\x1b" not in text and KEY not in text


def test_the_small_model_summarizes_findings_that_are_no_longer_listed(api: DirectApi, research: Start) -> None:
    from cockpit.core.events import FindingRecorded

    api.record(
        *(FindingRecorded(at=api.now(), author="claude", claim=f"fact {n}", experiments=["e0000"]) for n in range(90))
    )
    it = research([says("a"), says("b")])
    it.turn()
    it.turn()
    small = [asked for asked in it.server.asked if asked.body["model"] == "claude-haiku-5-5"]
    assert small[0].body["output_config"] == {"effort": "low"} and small[0].body["max_tokens"] >= 4_000
    assert len(small) == 1 and "fact 49" in small[0].text and "fact 50" not in small[0].text
    assert "A summary of" in it.server.asked[-1].briefing
    assert used(api)[0].model == "claude-haiku-5-5"


def test_no_request_is_invalid_for_the_api(api: DirectApi, research: Start) -> None:
    it = research([together(says(" "), calls("say", {"text": "hi"}), calls("brief", {})), says("done")])
    it.turn()
    assert it.server.problems == []


def test_the_default_models_are_known_to_the_sdk_and_priced() -> None:
    known = [name for part in get_args(ModelParam) for name in get_args(part)]
    settings = AgentSettings()
    assert {settings.model, settings.small_model} <= set(known) - set(vars(messages)["DEPRECATED_MODELS"])
    assert settings.model.startswith("claude-opus") and {settings.model, settings.small_model} <= set(PRICES)
    opus = [name for name in known if name.startswith("claude-opus")]
    assert settings.model == opus[0], "the SDK lists the newest model first"


def test_requests_match_the_types_of_the_sdk(api: DirectApi, research: Start) -> None:
    it = research([calls("query_experiments", {}), says("done")])
    it.turn()
    taken = set(inspect.signature(AsyncMessages.stream).parameters) | {"stream"}
    for asked in it.server.asked:
        assert set(asked.body) <= taken
        assert not {"temperature", "top_p", "top_k", "tool_choice"} & set(asked.body), "refused by current models"
        assert asked.body["thinking"] == {"type": "adaptive", "display": "summarized"}
        assert asked.body["output_config"]["effort"] in get_args(
            get_args(get_type_hints(OutputConfigParam)["effort"])[0]
        )
        assert "anthropic-beta" not in asked.headers
