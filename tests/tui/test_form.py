"""The form of a proposal: one edit of the whole, with its cost, and no typed text lost."""

import msgspec
import pytest

from cockpit.core.events import IntentTaken, ProposalEdited
from cockpit.core.intents import EditProposal
from cockpit.session.ledger import Ledger
from cockpit.tui.app import CockpitApp
from cockpit.tui.screens.form import ARMS_HINT, LEAVING, ProposalForm
from cockpit.tui.screens.review import ReviewScreen
from tests.tui.conftest import Opener, press, sent, settle, shown, words_on

pytestmark = pytest.mark.anyio

OPEN = ("e", "e")
ERASE = ("end", "ctrl+u")


def edit(app: CockpitApp) -> EditProposal:
    """Return the one intent that was sent."""
    (intent,) = sent(app)
    assert isinstance(intent, EditProposal)
    return intent


def happened(app: CockpitApp, event: IntentTaken | ProposalEdited) -> None:
    """Write an event as the worker does, and look for news."""
    ledger = Ledger.open(app.feed.folder.ledger)
    ledger.append([event])
    ledger.close()
    app.tick()


def refuse(app: CockpitApp, why: str) -> None:
    happened(app, IntentTaken(at=app.feed.now(), intent=len(sent(app)), author="ada", what="", refused=why))


@pytest.mark.parametrize(("width", "height"), [(60, 20), (80, 24), (200, 50)])
async def test_the_whole_proposal_is_edited_at_once(screen_on: Opener, width: int, height: int) -> None:
    app = screen_on("night")
    async with shown(app, width, height) as pilot:
        await press(pilot, *OPEN)
        text = words_on(app)
        for field in ("question", "MUON_MOMENTUM", "WARMDOWN_RATIO", "+ factor", "runs of each arm", "6 arms, 6 runs"):
            assert field in text
        await press(pilot, *", 0.99", "down", *ERASE, *"0.6", "down", *"DEPTH = 8, 9", "down", "down", *ERASE, *"2")
        assert "8 arms, 16 runs" in words_on(app)
        await press(pilot, "enter")
        draft = edit(app).draft
        assert draft.factors == {"MUON_MOMENTUM": [0.92, 0.95, 0.97, 0.99], "WARMDOWN_RATIO": [0.6], "DEPTH": [8, 9]}
        assert len(draft.arms) == 8 and draft.replicates == 2
        happened(app, IntentTaken(at=app.feed.now(), intent=1, author="ada", what=""))
        await settle(pilot)
        assert isinstance(app.screen, ReviewScreen)


async def test_an_emptied_field_drops_its_factor(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, *OPEN, *ERASE)
        assert "the factor is dropped" in words_on(app) and "→ 2 arms, 2 runs" in words_on(app)
        await press(pilot, "enter")
        assert edit(app).what == "dropped MUON_MOMENTUM"


async def test_a_problem_is_beside_its_field_and_nothing_is_sent(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, *OPEN, *", ", "down", "down", *"NOPE", "enter")
        lines = words_on(app).split("\n")
        at = next(number for number, line in enumerate(lines) if "MUON_MOMENTUM" in line and "0.97," in line)
        assert "a level is empty" in lines[at + 1]
        assert any("'NOPE' is not a factor" in line for line in lines)
        assert "mend the field first" in words_on(app) and sent(app) == []
        assert app.screen.focused is app.screen.query_one("#fields").query("LineInput")[3]


async def test_a_refusal_of_the_worker_is_beside_the_field_and_loses_nothing(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, *OPEN, *", 0.99", "down", "down", *"NOPE=1,2", "enter")
        refuse(app, "arm 1 (MUON_MOMENTUM=0.92, NOPE=1): there is no constant NOPE; it has MUON_MOMENTUM")
        await settle(pilot)
        lines = words_on(app).split("\n")
        at = next(number for number, line in enumerate(lines) if "NOPE=1,2" in line)
        assert "arm 1 (MUON_MOMENTUM=0.92, NOPE=1)" in lines[at + 1] and "constant NOPE" in lines[at + 2]
        assert "0.97, 0.99" in words_on(app)
        await press(pilot, *ERASE, "enter")
        assert len(sent(app)) == 2


async def test_edits_are_left_at_the_second_escape_only(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, *OPEN, "escape")
        assert isinstance(app.screen, ReviewScreen)
        await press(pilot, "e", *", 0.99", "escape")
        assert isinstance(app.screen, ProposalForm) and LEAVING in words_on(app)
        await press(pilot, "0", "escape", "escape")
        assert isinstance(app.screen, ReviewScreen) and sent(app) == []


async def test_the_mouse_sends_and_leaves(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, *OPEN)
        await pilot.click("#form_ends", offset=(3, 0))
        await settle(pilot)
        assert "nothing was changed" in words_on(app) and sent(app) == []
        await press(pilot, *", 0.99")
        await pilot.click("#form_ends", offset=(3, 0))
        await settle(pilot)
        assert edit(app).draft.factors["MUON_MOMENTUM"][-1] == 0.99
        refuse(app, "no")
        await settle(pilot)
        await pilot.click("#form_ends", offset=(14, 0))
        await pilot.click("#form_ends", offset=(14, 0))
        await settle(pilot)
        assert isinstance(app.screen, ReviewScreen)


async def test_a_proposal_that_someone_else_edited_is_not_overwritten(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, *OPEN, *", 0.99")
        state = app.state
        assert state is not None
        wave = state.waves["w007"]
        arms = [state.experiments[name] for name in wave.arms]
        changed = msgspec.structs.replace(wave, edits=[*wave.edits, "bob: another reason"])
        happened(app, ProposalEdited(at=app.feed.now(), wave=changed, experiments=arms, author="bob", what="reason"))
        await press(pilot, "enter")
        assert "was edited meanwhile" in words_on(app) and sent(app) == []


async def test_a_decided_proposal_says_why_it_has_no_form(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "2", *"jjj", "enter", "e")
        assert isinstance(app.screen, ReviewScreen)
        assert "only a waiting proposal can be edited" in " ".join(words_on(app).split())
        await press(pilot, "colon", *"edit w001", "enter")
        assert "w001 does not wait for approval" in " ".join(words_on(app).split())


async def test_arms_are_dropped_and_kept_again_in_the_form(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, *OPEN, *["down"] * 4)
        assert ARMS_HINT.strip() in words_on(app) and "✓ e0062" in words_on(app)
        await press(pilot, "space", "down", "D", "down", "space", "space")
        assert "✗ e0062" in words_on(app) and "✗ e0063" in words_on(app) and "✓ e0064" in words_on(app)
        assert "6 arms → 4 arms, 4 runs" in words_on(app)
        await press(pilot, "enter")
        assert edit(app).what == "dropped e0062; e0063"
        assert [arm.experiment for arm in edit(app).draft.arms] == ["e0064", "e0065", "e0066", "e0067"]


async def test_dropping_every_arm_is_refused_in_the_form(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, *OPEN, *["down"] * 4, *["space", "down"] * 6, "enter")
        assert "a wave needs at least one arm" in words_on(app) and "mend the field first" in words_on(app)
        assert sent(app) == []


async def test_the_mouse_drops_an_arm_and_the_edit_is_not_left_unasked(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, *OPEN)
        await pilot.click("#arm_choice", offset=(3, 1))
        await settle(pilot)
        assert "✗ e0063" in words_on(app)
        await press(pilot, "escape")
        assert isinstance(app.screen, ProposalForm) and LEAVING in words_on(app)


async def test_the_base_and_the_hypothesis_are_edited_with_the_rest(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, *OPEN, "up", *ERASE, *"e0007", "up", *ERASE, *"a longer tail", "enter")
        draft = edit(app).draft
        assert draft.base == "e0007" and draft.hypothesis == "a longer tail"
        refuse(app, "no")
        await press(pilot, "down", *ERASE, *"e7777", "enter")
        assert "there is no experiment 'e7777' to build on" in words_on(app) and len(sent(app)) == 1


async def test_each_of_many_arms_can_be_reached_on_a_small_screen(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 60, 20) as pilot:
        await press(pilot, *OPEN, "end", *", 0.98, 0.985, 0.99, 0.995", *["up"] * 4)
        assert "▸ ✓ new" in words_on(app), "the last arm is chosen, and in sight"
        await press(pilot, "space")
        assert "✗ new" in words_on(app) and "→ 13 arms" in words_on(app)
