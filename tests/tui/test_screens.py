"""What the screen says, at three sizes and in each state; the golden files under `screens/` are made by
`COCKPIT_DRAW=1 pytest tests/tui/test_screens.py`, to be looked at before they are kept."""

import os
import sys
from pathlib import Path

import pytest

from cockpit.session.worker_process import WorkerStatus
from tests.tui.conftest import Opener, press, settle, shown, words_on

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parent / "screens"
STALE = WorkerStatus("stale", 3600.0, 4242, "login1")
STOPPED = WorkerStatus("stopped", 3600.0)


def like_golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("COCKPIT_DRAW"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


SCREENS: list[tuple[str, str, int, int, list[str], dict[str, object]]] = [
    ("night-200x50", "night", 200, 50, [], {}),
    ("night-120x34", "night", 120, 34, [], {}),
    ("night-80x24", "night", 80, 24, [], {}),
    ("laptop-80x24", "laptop", 80, 24, [], {}),
    ("laptop-120x34", "laptop", 120, 34, [], {}),
    ("talk-80x24", "night", 80, 24, ["5"], {}),
    ("empty-120x34", "empty", 120, 34, [], {}),
    ("empty-80x24", "empty", 80, 24, [], {}),
    ("stale-80x24", "night", 80, 24, [], {"worker": STALE, "later_s": 3600.0}),
    ("watch-80x24", "night", 80, 24, ["2"], {"watch": True}),
    ("review-120x34", "night", 120, 34, ["e"], {}),
    ("review-60x20", "night", 60, 20, ["e"], {}),
    ("effects-120x34", "night", 120, 34, ["2", "j", "j", "j", "j", "4", "v"], {}),
    ("experiment-120x34", "night", 120, 34, ["4", "j", "enter"], {}),
    ("curve-80x24", "night", 80, 24, ["enter", "v"], {}),
    ("hostile-120x34", "hostile", 120, 34, [], {}),
    ("small-50x18", "night", 50, 18, [], {}),
]


@pytest.mark.parametrize("row", SCREENS, ids=[row[0] for row in SCREENS])
async def test_the_screen_says(screen_on: Opener, row: tuple[str, str, int, int, list[str], dict[str, object]]) -> None:
    name, story, width, height, keys, how = row
    app = screen_on(story, **how)
    async with shown(app, width, height) as pilot:
        await press(pilot, *keys)
        like_golden(name, words_on(app))


async def test_a_ledger_that_breaks_while_shown_says_so_and_keeps_what_was_known(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        app.feed.folder.ledger.write_bytes(b"torn" * 4096)
        app.feed._version = -1  # type: ignore[attr-defined]
        app.tick()
        await settle(pilot)
        like_golden("error-80x24", words_on(app))


async def test_a_resize_lays_everything_out_again(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        like_golden("night-80x24", words_on(app))
        await pilot.resize_terminal(50, 18)
        await settle(pilot)
        assert "Too small at 50×18: make it 60×20" in words_on(app)
        await pilot.resize_terminal(200, 50)
        await settle(pilot)
        like_golden("night-200x50", words_on(app))


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
