"""The header names what needs a person, the gravest first, at any width. The bell rings once for each new need."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.cluster_events import ClusterGivenUp
from cockpit.core.events import BudgetSet, Event, Held, Rejected, SessionEnding, WorkerStopped
from cockpit.core.model import DECISIONS, EndMode
from cockpit.core.totals import EarlyStops
from cockpit.read.needs import Need, NeedKind
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.ledger import Ledger
from cockpit.tui.app import CockpitApp
from cockpit.tui.plain import width_of
from cockpit.tui.terminal import notice
from cockpit.tui.views.summary import fitting, money_parts
from tests.tui import stories
from tests.tui.conftest import RUNNING, Opener, settle, shown, words_on

pytestmark = pytest.mark.anyio

FULL = "the disk that holds sessions/night is full: free some space, and the session continues"


def tell(app: CockpitApp, *events: Event) -> None:
    ledger = Ledger.open(app.feed.folder.ledger)
    ledger.append(list(events))
    ledger.close()


NEEDS: list[tuple[str, WorkerStatus, Callable[[float], list[Event]], str]] = [
    ("a proposal waits", RUNNING, lambda at: [Rejected(at=at, wave="w008", author="a", reason="")],
     "w007 is proposed"),
    ("proposals wait", RUNNING, lambda at: [], "2 proposals wait"),
    ("a cluster is lost", RUNNING, lambda at: [], "gpu-07 lost"),
    ("a cluster is given up", RUNNING, lambda at: [ClusterGivenUp(at=at, cluster="gpu-03", message="no quota")],
     "gpu-03 given up"),
    ("the budget is near", RUNNING, lambda at: [BudgetSet(at=at, usd=32.0, author="a")], "budget 96% spent"),
    ("the worker is silent", WorkerStatus("stale", 720.0, 7), lambda at: [], "worker silent for 12m"),
    ("the worker has stopped", WorkerStatus("stopped", 5.0), lambda at: [], "worker stopped"),
    ("the worker has a note", WorkerStatus("running", 1.0, 7, note=FULL), lambda at: [], FULL),
    ("the session is held", RUNNING, lambda at: [Held(at=at, author="a")], "copilot · held"),
    ("the session ends", RUNNING,
     lambda at: [SessionEnding(at=at, author=DECISIONS, how=EndMode.DRAIN, reason="its 8 hours are over")],
     "ending: drain, its 8 hours are over"),
    ("the session has ended", WorkerStatus("stopped", 5.0),
     lambda at: [SessionEnding(at=at, author=DECISIONS, how=EndMode.DRAIN), WorkerStopped(at=at, reason="drained")],
     "ended: drain"),
]  # fmt: skip


@pytest.mark.parametrize("row", NEEDS, ids=[row[0] for row in NEEDS])
async def test_the_header_names_what_needs_a_person(
    screen_on: Opener, row: tuple[str, WorkerStatus, Callable[[float], list[Event]], str]
) -> None:
    _, worker, events, words = row
    app = screen_on("night", worker=worker)
    async with shown(app, 160, 40) as pilot:
        tell(app, *events(app.feed.now()))
        app.tick()
        await settle(pilot)
        assert words in " ".join(words_on(app).split("\n")[:2])


async def test_a_narrow_header_shows_the_gravest_need(screen_on: Opener) -> None:
    app = screen_on("night", worker=WorkerStatus("stale", 720.0, 7))
    async with shown(app, 60, 20) as pilot:
        tell(app, BudgetSet(at=app.feed.now(), usd=32.0, author="a"))
        app.tick()
        await settle(pilot)
        first = words_on(app).split("\n")[0]
        assert "worker silent for 12m" in first and "+3" in first


async def test_the_bell_rings_once_for_each_new_need(screen_on: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    app = screen_on("night")
    app.with_bell = True
    rings: list[int] = []
    monkeypatch.setattr(app, "bell", lambda: rings.append(1))
    async with shown(app) as pilot:
        app.tick()
        await settle(pilot)
        assert len(rings) == 1
        tell(app, ClusterGivenUp(at=app.feed.now(), cluster="gpu-03", message="no quota"))
        for _ in range(3):
            app.tick()
            await settle(pilot)
        assert len(rings) == 2


async def test_a_new_need_is_reported_once_outside_the_terminal(
    screen_on: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-kitty")
    app = screen_on("night")
    written: list[str] = []
    monkeypatch.setattr(app, "write_sequence", written.append)

    def notices() -> list[str]:
        return [one for one in written if one.startswith("\x1b]9;")]

    async with shown(app) as pilot:
        assert notices() == [], "what waits when the screen is opened is on the screen"
        tell(app, ClusterGivenUp(at=app.feed.now(), cluster="gpu-03", message="no\x1b]quota;"))
        for _ in range(3):
            app.tick()
            await settle(pilot)
        (told,) = notices()
        assert told.startswith("\x1b]9;cockpit night: gpu-03 was given up") and told.count("\x1b") == 1


@pytest.mark.parametrize("term", ["foot", "foot-extra", "rxvt-unicode-256color", "xterm-256color", "tmux-256color"])
def test_a_notice_is_one_sequence_that_the_terminal_reads(term: str) -> None:
    told = notice.sequence("cockpit night", "w007 waits; \x07\x1b[2J\n", term)
    assert told.startswith("\x1b]777;notify;cockpit night;" if term[0] in "fr" else "\x1b]9;cockpit night: ")
    assert told.endswith("\x07") and told.count("\x07") == told.count("\x1b") == 1 and "\n" not in told
    assert told.count(";") == (3 if term[0] in "fr" else 1)


@given(st.lists(st.text("abc ", min_size=1, max_size=12), min_size=1, max_size=6), st.integers(1, 60))
def test_the_needs_fit_any_width_and_are_never_empty(texts: list[str], cells: int) -> None:
    words = fitting([Need(NeedKind.LOST, text, text, text.strip() or "x") for text in texts], cells)
    assert words and width_of(words) <= cells


def test_the_header_counts_early_stops_and_their_mistakes() -> None:
    state = stories.night().state
    words = [text for text, _ in money_parts(state, state.now)]
    assert not any("early" in text for text in words)
    state.early_stops = EarlyStops(ended=3, checked=2, mistaken=1)
    assert money_parts(state, state.now)[-1] == ("3 ended early, 1 of 2 checks wrong", "warn")


def test_an_ended_session_has_an_end() -> None:
    state = stories.night().state
    state.ended_at = state.session.created_at + 8 * 3600
    words = [text for text, _ in money_parts(state, state.session.created_at + 15 * 3600)]
    assert any(text.startswith("8h00m of") for text in words), words
