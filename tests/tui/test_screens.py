"""Every screen as an SVG snapshot, at three sizes and in each state.

`pytest tests/tui/test_screens.py --snapshot-update` draws them again, to be looked at before they are kept.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_textual_snapshot import normalize_svg
from textual.pilot import Pilot

from cockpit.agent.claude.turn_status import TurnStatusFile
from cockpit.core.agent_events import PermissionAsked
from cockpit.core.events import Said
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.ledger import Ledger
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import LedgerFeed
from tests.tui.conftest import Opener, press, settle, shown, words_on
from tests.tui.drawings import difference
from tests.tui.test_markdown import ANSWER

STALE = WorkerStatus("stale", 3600.0, 4242, "login1")
SNAPSHOTS = Path(__file__).parent / "__snapshots__" / "test_screens"
SIZES = ((80, 24), (120, 36), (200, 50))

Compare = Callable[..., bool]


@dataclass(frozen=True)
class Picture:
    """A story, and the keys that lead to the screen that is drawn."""

    name: str
    story: str = "night"
    keys: tuple[str, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)
    happens: Callable[[CockpitApp], None] = lambda app: None
    """Happens before the keys are pressed."""


def picture(name: str, *keys: str, story: str = "night", **how: Any) -> Picture:
    return Picture(name, story, keys, how)


def tear_ledger(app: CockpitApp) -> None:
    """Break the ledger while it is shown, and look for news."""
    assert isinstance(app.feed, LedgerFeed)
    app.feed.folder.events.write_bytes(b"torn" * 4096)
    app.feed._version = None
    app.tick()


MAIN = picture("main")
REVIEW = picture("review", "e", "j")
EXPERIMENT = picture("experiment", "colon", *"open e0019", "enter")


def answer(app: CockpitApp) -> None:
    """Let the proposer answer in Markdown, and begin another turn."""
    ledger = Ledger.open(app.feed.folder.ledger)
    ledger.append([Said(at=app.feed.now(), author="claude", text=ANSWER)])
    ledger.close()
    turn = TurnStatusFile(app.feed.folder.agent_live("claude"), "claude", app.feed.now)
    turn.show("writes", "### Then\nHold the **width** at `96`:\n- vary the warmdown of e0019\n- *one* seed each")
    app.tick()


def asks_permission(app: CockpitApp) -> None:
    """Let a hosted agent ask to use its shell."""
    ledger = Ledger.open(app.feed.folder.ledger)
    what = "use execute: `python bench.py --steps 20 > out.txt`"
    ledger.append([PermissionAsked(at=app.feed.now(), agent="claude", request="p9.1", what=what, within_s=300.0)])
    ledger.close()
    app.tick()


def costs_more_than_it_gains(app: CockpitApp) -> None:
    """Let a gain be worth so little that the next hour costs more."""
    assert app.state is not None
    app.state.envelope = msgspec.structs.replace(app.state.envelope, worth_usd=1e-6)
    app.show_state()


DIFF = picture("diff", "enter", "d")
CURVES = picture("curves", *"2jj", "c", *"hhhh")
ANSWERED = Picture("answered", keys=("5",), happens=answer)
TOUR = ("colon", *"tour", "enter")
PICTURES = [
    MAIN,
    REVIEW,
    EXPERIMENT,
    picture("waves", "2", "j"),
    picture("log", "3"),
    picture("chart", "4", "l", "l"),
    picture("wave-effects", "2", "enter", story="interaction"),
    picture("many", "l", "l", "j", story="many"),
    picture("effects", "2", "j", "j", "j", "j", "4", "v", "z"),
    CURVES,
    picture("curves-marked", "4", "l", "l", " ", *"lllll", " ", *"lllll", " ", "c", "z", *"hhhhhh"),
    picture("results", "6"),
    picture("results-query", "6", "ampersand", *"DEPTH=9 clss:H100", "enter"),
    picture("stack", "7"),
    picture("talk", "5"),
    picture("say", "i", *"keep waves small"),
    picture("editor", "i", *"Keep waves small:", "ctrl+o", "enter", *"at most six arms,", "enter", *"one factor each."),
    picture("meanwhile", "5", story="meanwhile"),
    picture("meanwhile-review", "e", story="meanwhile"),
    picture("filler-row", "2", "j", "j", story="meanwhile"),
    Picture("plateau", "late", happens=costs_more_than_it_gains),
    picture("decided", "2", *"jjjj", "enter"),
    picture("crashed", "colon", *"open e0004", "enter"),
    DIFF,
    picture("page-log", "enter", "o"),
    picture("curve", "enter", "v"),
    picture("help", "question_mark"),
    picture("knobs", "colon", *"knob", "enter"),
    picture("ended", story="ended"),
    picture("ended-help", "question_mark", story="ended"),
    picture("palette", "colon"),
    picture("palette-problem", "colon", *"open e9999", "enter"),
    picture("kill", "x"),
    picture("mode", "m"),
    picture("end", "E"),
    picture("form", "e", "e", "down", *", 0.3"),
    picture("form-problem", "e", "e", "down", "down", *"DEPTH=1,,2", "enter"),
    picture("level", "e", "c"),
    picture("level-problem", "e", "c", *"{}", "enter"),
    picture("problem", "colon", *"theme dark", "enter", "slash", *"no such cluster anywhere " * 6, "enter"),
    picture("laptop", story="laptop"),
    picture("empty", story="empty"),
    picture("launching", story="launching"),
    picture("proposers", "5", story="launching"),
    picture("tour", *TOUR),
    picture("tour-waves", *TOUR, "enter"),
    picture("tour-talk", *TOUR, "enter", "enter", story="empty"),
    picture("filled", "2", "j", "enter", story="filled"),
    picture("hostile", story="hostile"),
    picture("stale", worker=STALE, later_s=3600.0),
    picture("watch", "2", watch=True),
    ANSWERED,
    Picture("permission", keys=("5",), happens=asks_permission),
    Picture("torn", happens=tear_ledger),
]
DRAWN = [(picture, size, "dark") for picture in PICTURES for size in SIZES]
DRAWN += [
    (picture, size, theme)
    for picture in (MAIN, REVIEW, EXPERIMENT, CURVES, DIFF, ANSWERED)
    for size in SIZES
    for theme in ("light", "plain")
]
DRAWN += [(MAIN, (320, 80), "dark"), (MAIN, (50, 18), "dark"), (REVIEW, (60, 20), "dark")]


@pytest.mark.parametrize(
    ("drawn", "size", "theme"),
    DRAWN,
    ids=[f"{picture.name}-{size[0]}x{size[1]}-{theme}" for picture, size, theme in DRAWN],
)
def test_the_screen_is_drawn_as_its_snapshot(
    snap_compare: Compare,
    screen_on: Opener,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    drawn: Picture,
    size: tuple[int, int],
    theme: str,
) -> None:
    if theme == "plain":
        monkeypatch.setenv("NO_COLOR", "1")
    app = screen_on(drawn.story, theme=theme, **drawn.how)
    found: list[str] = []

    async def arrange(pilot: Pilot[int]) -> None:
        await settle(pilot)
        drawn.happens(app)
        await press(pilot, *drawn.keys)
        found.append(normalize_svg(app.export_screenshot(simplify=True)))

    same = snap_compare(app, terminal_size=size, run_before=arrange)
    kept = SNAPSHOTS / f"{request.node.name}.svg"
    assert same, difference(kept.read_text() if kept.exists() else "", found[0])


def test_a_difference_of_snapshots_names_the_rows() -> None:
    kept = (SNAPSHOTS / "test_the_screen_is_drawn_as_its_snapshot[main-80x24-dark].svg").read_text()
    assert "+▶ gpu-99 H100 busy" in difference(kept, kept.replace("gpu-01", "gpu-99", 1))
    assert "row 3" in difference(kept, kept.replace("r10", "r1", 4))


@pytest.mark.anyio
async def test_a_resize_lays_everything_out_again(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24):
        small = words_on(app)
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        large = words_on(app)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert words_on(app) == small
        await pilot.resize_terminal(50, 18)
        await settle(pilot)
        assert "Too small at 50×18: make it 60×20" in words_on(app)
        await pilot.resize_terminal(200, 50)
        await settle(pilot)
        assert words_on(app) == large


@pytest.mark.anyio
async def test_a_fault_of_the_screen_ends_it_in_one_sentence_and_keeps_the_trace(
    screen_on: Opener, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "tracebacklimit", 0, raising=False)  # as SkyPilot's threads may leave it
    app = screen_on("night")

    def broken(width: int, height: int) -> list[object]:
        raise ValueError("no such row\nsecond line")

    with pytest.raises(ValueError, match="no such row"):
        async with shown(app) as pilot:
            app.main.grid.rows = broken  # type: ignore[assignment]
            await press(pilot, "j")
    said = capsys.readouterr().err
    assert app.return_code == 1
    assert "ended by a fault of its own (ValueError: no such row)" in " ".join(said.split())
    assert "Traceback" not in said and len(said.split("\n")) < 8
    assert "in broken" in app.feed.folder.screen_log.read_text()
