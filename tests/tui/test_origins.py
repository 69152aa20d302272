"""Each table says how a score came to be: computed outside its run, the word of its own run, or by a failed probe."""

import msgspec
import pytest

from cockpit.core.rescore import Rescore
from cockpit.core.state import State
from cockpit.read.scores import kept_experiments
from cockpit.tui.theme import DARK
from cockpit.tui.widgets.arms import Arms
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.results import Results
from cockpit.tui.widgets.stack import KeptStack
from cockpit.tui.widgets.talk import text_of
from cockpit.tui.widgets.waves import Waves
from tests.tui import stories

OUTSIDE, FAILED = Rescore(public_bpb=0.9, passed=("finite",)), Rescore(failed="attends to the future")


def real_night(found: Rescore | None) -> State:
    """Return the state of a night that no simulator made, its runs behind a wall, each with this score from outside."""
    state = stories.night().state
    fleet = msgspec.structs.replace(state.session.fleet, simulated=False)
    state.session = msgspec.structs.replace(state.session, fleet=fleet)
    for run in state.attempts.values():
        run.wall, run.rescore = "bubblewrap", found
    return state


def drawn(monkeypatch: pytest.MonkeyPatch, pane: Listing, state: State, width: int) -> str:
    monkeypatch.setattr(Listing, "palette", DARK)
    monkeypatch.setattr(Listing, "paint", lambda self: None)
    if isinstance(pane, Results | KeptStack):
        pane.followed = True
    pane.tell(state, state.now)
    return text_of(pane.rows(width, 30))


@pytest.mark.parametrize(("found", "mark"), [(OUTSIDE, "✓"), (None, "?"), (FAILED, "✗")])
def test_each_table_marks_the_origin_of_a_score(
    monkeypatch: pytest.MonkeyPatch, found: Rescore | None, mark: str
) -> None:
    state = real_night(found)
    for pane in (Results(), KeptStack(), Arms("w003")):
        rows = drawn(monkeypatch, pane, state, 80).split("\n")
        marked = [row for row in rows if f" {mark} " in row]
        assert marked, type(pane).__name__
        if isinstance(pane, KeptStack):
            assert len(marked) == len(kept_experiments(state))
    assert f" {mark}" in drawn(monkeypatch, Waves(), state, 80)


@pytest.mark.parametrize(("found", "word"), [(OUTSIDE, "rescored"), (None, "self-scored"), (FAILED, "failed a probe")])
def test_a_wide_table_says_it_in_words(monkeypatch: pytest.MonkeyPatch, found: Rescore | None, word: str) -> None:
    state = real_night(found)
    for pane in (Results(), KeptStack()):
        assert f" {word} " in drawn(monkeypatch, pane, state, 140), type(pane).__name__


def test_a_simulated_score_has_no_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    state = stories.night().state
    for pane in (Results(), KeptStack()):
        rows = drawn(monkeypatch, pane, state, 140)
        assert not [word for word in ("rescored", "self-scored", " ? ") if word in rows]
