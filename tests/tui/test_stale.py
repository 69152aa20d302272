"""A proposal whose base is no longer the incumbent, and who hears what a person says."""

import pytest

from cockpit.control.verbs import verb
from cockpit.core.events import ProposerSet
from cockpit.core.fold import fold
from cockpit.core.intents import EditProposal, Say
from cockpit.core.model import Change
from cockpit.core.state import State, constants_of
from cockpit.read.listeners import listener_words, takes_words
from cockpit.read.needs import needs
from cockpit.read.waves import replaced_base, wave_word
from cockpit.tui.actions.effects import AskLine, Send
from cockpit.tui.actions.registry import Here, effects_of
from cockpit.tui.actions.steering import STEERING
from tests.tui import stories
from tests.tui.conftest import Opener, press, sent, shown, words_on

pytestmark = pytest.mark.anyio

PROPOSAL = "w007"


def test_a_proposal_is_stale_once_its_base_is_replaced() -> None:
    story = stories.night()
    wave = story.state.waves[PROPOSAL]
    assert replaced_base(story.state, wave) == "" and wave_word(story.state, wave) == "proposed"
    before = wave.base
    stories.replace_the_incumbent(story)
    wave = story.state.waves[PROPOSAL]
    assert replaced_base(story.state, wave) == before and wave_word(story.state, wave) == "stale base"
    assert any(
        f"its base {before} is no longer the incumbent" in need.sentence for need in needs(story.state, story.at)
    )


def test_a_base_that_a_person_chose_on_purpose_is_not_stale() -> None:
    story = stories.night()
    story.state.waves[PROPOSAL].base = story.state.baseline
    stories.replace_the_incumbent(story)
    assert replaced_base(story.state, story.state.waves[PROPOSAL]) == ""


def test_a_rebased_proposal_is_stale_again_after_the_next_keep() -> None:
    story = stories.night()
    story.state.waves[PROPOSAL].base = stories.replace_the_incumbent(story)
    assert replaced_base(story.state, story.state.waves[PROPOSAL]) == ""
    stories.replace_the_incumbent(story)
    assert replaced_base(story.state, story.state.waves[PROPOSAL]) == story.state.waves[PROPOSAL].base


async def test_a_stale_proposal_is_marked_and_one_key_rebases_it(screen_on: Opener) -> None:
    app = screen_on("stale_base")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "2")
        assert "stale base" in words_on(app)
        assert app.state is not None
        incumbent = app.state.incumbent
        await press(pilot, "e")
        assert f"the incumbent is {incumbent} now" in words_on(app)
        await press(pilot, "b")
        (intent,) = sent(app)
        assert isinstance(intent, EditProposal) and intent.draft.base == incumbent
        assert len(intent.draft.arms) == len(app.state.waves[PROPOSAL].arms)


def test_a_proposal_on_the_incumbent_is_not_rebased() -> None:
    state = stories.night().state
    assert verb("rebase").applies(state, {"wave": PROPOSAL}) == f"{PROPOSAL} is on the incumbent already"
    assert "does not wait" in verb("rebase").applies(state, {"wave": "w001"})


def test_an_arm_that_the_new_base_holds_already_is_left_out_of_a_rebase() -> None:
    story = stories.night()
    name = stories.replace_the_incumbent(story)
    wave = story.state.waves[PROPOSAL]
    arm = story.state.experiments[wave.arms[0]]
    arm.change = Change(constants=dict(list(constants_of(story.state, name).items())[:2]))
    intent = verb("rebase").intent(story.state, {"wave": PROPOSAL}, story.at)
    assert isinstance(intent, EditProposal)
    assert [one.experiment for one in intent.draft.arms] == wave.arms[1:]


def proposer_is(name: str) -> State:
    state = stories.night().state
    return fold(state, ProposerSet(at=state.now, author="ada", proposer=name))


@pytest.mark.parametrize("proposer", ["grid", "search", "tpe"])
def test_a_proposer_without_words_is_named_wherever_a_person_writes(proposer: str) -> None:
    state = proposer_is(proposer)
    said = f"{proposer} proposes and reads nothing: `:propose`"
    assert not takes_words(proposer) and listener_words(state).startswith(said)
    assert said in verb("say").done({"text": "wider"}, state)
    here = Here(state, state.now, "talk")
    registry = {action.name: action for action in STEERING}
    (send,) = effects_of(registry["say"], here, "wider")
    assert isinstance(send, Send) and send.intent == Say("wider") and said in send.done
    (question,) = effects_of(registry["reject"], here, "")
    assert isinstance(question, AskLine) and said in question.question


def test_a_proposer_that_fails_and_an_ended_session_are_named_too() -> None:
    state = proposer_is("claude")
    assert listener_words(state) == "claude reads it"
    state.ask_failures["claude"] = 3
    assert listener_words(state) == "claude reads it once it answers: it failed 3 times in a row"
    state.ended_at = state.now
    assert "has ended" in listener_words(state)
    assert listener_words(proposer_is("my-agent")) == "my-agent reads it at its next call"


async def test_the_line_to_write_in_says_that_grid_takes_no_words(screen_on: Opener) -> None:
    app = screen_on("laptop")
    async with shown(app) as pilot:
        assert app.state is not None
        app.state.proposer = "grid"
        app.main.show()
        await press(pilot, "i")
        assert "grid proposes and reads nothing: `:propose`" in words_on(app)
