"""Each key of the registry, at each place and in each state: it has effects, or one sentence says why not."""

import re
from collections.abc import Iterator

import pytest

from cockpit.tui.actions.effects import Note, Problem
from cockpit.tui.actions.registry import Action, Here, effects_of
from cockpit.tui.actions.subjects import PANES
from cockpit.tui.app import CockpitApp
from cockpit.tui.screens.base import CockpitScreen
from cockpit.tui.widgets.bars import Footer
from tests.tui.conftest import Opener, press, shown
from tests.tui.test_keys import start_again

pytestmark = pytest.mark.anyio

STATES = ("night", "empty", "laptop", "filled", "interaction", "held", "ending", "ended")


def places(app: CockpitApp) -> list[tuple[str, list[str]]]:
    """Return the keys that lead to each place of a session."""
    assert app.state is not None
    found = [(name, [str(number)]) for number, name in enumerate(PANES, start=1)]
    found.append(("help", ["question_mark"]))
    for name in (*list(app.state.waves)[:1], *list(app.state.proposals)[:1]):
        found.append((f"review of {name}", ["colon", *f"open {name}", "enter"]))
    for name in list(app.state.experiments)[-1:]:
        found.append((f"page of {name}", ["colon", *f"open {name}", "enter"]))
    return found


def keyed(app: CockpitApp, here: Here) -> Iterator[Action]:
    """Yield the actions whose keys work at a place."""
    for action in app.registry.actions:
        if any(app.registry.for_key(key, here.place) is action for key in action.keys):
            yield action


def reason(action: Action, here: Here) -> str:
    """Return why an action does nothing; empty if it has effects. Fails for anything between."""
    try:
        effects = effects_of(action, here)
    except Problem as problem:
        said = str(problem)
    else:
        assert effects, f"{action.name} has neither effects nor a reason in {here.place}"
        said = "".join(effect.text for effect in effects if isinstance(effect, Note))
        assert all(effect.text for effect in effects if isinstance(effect, Note))
        return ""
    assert re.search(r"\w+ \w+", said) and "\n" not in said and not said.endswith("."), said
    return said


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("story", STATES)
async def test_each_key_has_effects_or_shows_a_reason(screen_on: Opener, story: str, watch: bool) -> None:
    app = screen_on(story, watch=watch)
    async with shown(app, 80, 24) as pilot:
        for name, keys in places(app):
            await start_again(pilot)
            await press(pilot, *keys)
            page = app.screen
            assert isinstance(page, CockpitScreen), name
            here = page.here()
            assert here is not None, name
            for action in keyed(app, here):
                if why := reason(action, here):
                    app.do(action)
                    assert app.screen is page, f"{action.name} in {name}"
                    assert page.query_one(Footer).note == why, f"{action.name} in {name}"
