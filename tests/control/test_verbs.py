"""Promises of the table of verbs: each row is whole, and applies by the worker's own rule."""

import pytest

from cockpit.control.arguments import Given
from cockpit.control.values import BadArgument
from cockpit.control.verbs import VERBS, verb
from cockpit.core.events import Approved, Rejected
from cockpit.core.intents import Kill, SetEnvelope
from cockpit.core.model import Mode
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from tests.tui import stories
from tests.tui.story import Story


@pytest.fixture(scope="module")
def night() -> Story:
    return stories.night()


def the_proposal(story: Story) -> str:
    return next(iter(story.state.proposals))


def test_each_verb_has_a_name_a_help_and_words_for_when_it_is_done() -> None:
    assert len({row.name for row in VERBS}) == len(VERBS)
    for row in VERBS:
        assert (
            row.help
            and not row.help.endswith(".")
            and row.done({argument.name: "x" for argument in row.arguments}, stories.night().state)
        )


def test_a_verb_applies_exactly_where_the_worker_would_do_it(night: Story) -> None:
    state = night.state
    names = {
        "wave": [*list(state.waves)[:4], the_proposal(night), "w999"],
        "experiment": [*list(state.experiments)[:4], *list(state.experiments)[-2:], "e9999"],
        "cluster": [*list(state.clusters)[:2], "gpu-99"],
    }
    tried = 0
    for row in VERBS:
        subject = next((argument.name for argument in row.arguments if argument.name in names), "")
        for name in names.get(subject, []):
            given = {subject: name}
            try:
                handle_intent(state, row.intent(state, given, 0.0), "", 0.0)
                works = True
            except (Refused, BadArgument):
                works = False
            assert (row.applies(state, given) == "") is works, (row.name, name)
            tried += 1
    assert tried > 40


def test_approving_says_the_runs_the_dollars_and_the_time(night: Story) -> None:
    wave = the_proposal(night)
    said = verb("approve").cost(night.state, {"wave": wave, "trust": True}, night.at)
    assert said.startswith(f"Approve {wave}, and trust ") and " runs, about $" in said and "within" in said


@pytest.mark.parametrize("name", ["approve", "rerun", "promote", "kill", "cancel", "drop", "base"])
def test_a_verb_that_spends_or_destroys_has_a_question(night: Story, name: str) -> None:
    state = night.state
    given = {
        "wave": the_proposal(night),
        "attempt": next(iter(state.in_flight)),
        "experiment": state.incumbent,
    }
    said = verb(name).cost(state, given, night.at)
    assert said.endswith(".") and said[0].isupper()


def test_autopilot_asks_once(night: Story) -> None:
    state = night.state
    asked = verb("mode").cost(state, {"mode": Mode.AUTOPILOT}, night.at)
    assert "spends unasked within the envelope" in asked
    assert verb("mode").cost(state, {"mode": Mode.MANUAL}, night.at) == ""


def test_a_kill_of_an_experiment_ends_the_attempt_that_runs(night: Story) -> None:
    state = night.state
    attempt = next(name for name in state.in_flight if state.attempts[name].started_at)
    experiment = state.attempts[attempt].experiment
    running = [name for name in state.experiments[experiment].attempts if name in state.in_flight]
    if len(running) == 1:
        assert verb("kill").intent(state, {"attempt": experiment}, 0.0) == Kill(attempt)
    with pytest.raises(BadArgument, match="is not running"):
        verb("kill").intent(state, {"attempt": state.baseline}, 0.0)


def test_an_envelope_changes_only_what_is_named(night: Story) -> None:
    made = verb("envelope").intent(night.state, {"usd": 7.0, "patches": None}, 0.0)
    assert isinstance(made, SetEnvelope)
    assert made.envelope.usd == 7.0 and made.envelope.wave_size == night.state.envelope.wave_size
    with pytest.raises(BadArgument, match="name at least one limit"):
        verb("envelope").intent(night.state, {}, 0.0)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("say", {"text": "  "}, "nothing to say"),
        ("phase", {"phase": ""}, "needs at least one word"),
        ("finding", {"claim": " "}, "needs at least one word"),
        ("proposer", {"name": "gpt"}, "there is no proposer 'gpt'"),
        ("proposer", {"name": "serach"}, "did you mean search?"),
        ("proposer", {"name": "codex", "outside": True}, ""),
        ("mode", {"mode": "auto"}, "there is no mode 'auto'"),
        ("early", {"switch": "maybe"}, "expected on or off"),
        ("knob", {"name": "DEPHT", "setting": "pin"}, "did you mean DEPTH?"),
        ("knob", {"name": "DEPTH", "setting": "maybe"}, "expected pin, exclude, free, a range"),
        ("knob", {"name": "DEPTH", "setting": "9..3"}, "low 9 is not below high 3"),
        ("knob", {"name": "DEPTH", "setting": ".."}, "expected LOW..HIGH"),
        ("knob", {"name": "DEPTH", "setting": "a..b"}, "is not the end of a range"),
        ("knob", {"name": "DEPTH", "setting": "4..12"}, ""),
        ("knob", {"name": "DEPTH", "setting": "4,8"}, ""),
        ("knob", {"name": "DEPTH", "setting": "free"}, ""),
    ],
)
def test_words_without_a_meaning_are_refused(night: Story, name: str, given: Given, said: str) -> None:
    found = verb(name).applies(night.state, given)
    assert said in found if said else not found


def test_a_wave_with_nothing_to_come_is_not_moved() -> None:
    story = stories.night()
    wave = the_proposal(story)
    story.tell(Rejected(at=story.at, wave=wave, author="ada", reason="no"))
    assert verb("move").applies(story.state, {"wave": wave}) == (
        f"{wave} is rejected: only a wave that has runs to come can be moved"
    )


def test_approve_is_the_worker_s_approval(night: Story) -> None:
    wave = the_proposal(night)
    made = verb("approve").intent(night.state, {"wave": wave}, 0.0)
    assert isinstance(handle_intent(night.state, made, "ada", 0.0)[0], Approved)
