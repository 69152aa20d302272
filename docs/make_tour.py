"""Draw the pictures of docs/tour.md from the demo's night: docs/images/tour-*.png.

python docs/make_tour.py        needs Chromium and Pillow; takes two minutes
"""

import asyncio
import os
import re
import tempfile
from pathlib import Path

from make_images import picture, played
from make_screens import placed

from cockpit.core.events import ModeSet, Proposed
from cockpit.core.fold import fold
from cockpit.core.model import Mode
from cockpit.core.state import State
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.reader import LedgerReader
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import ReplayFeed

COLUMNS, ROWS = 140, 40
CELL_PIXELS = 8
SCREENS: list[tuple[str, float, bool, list[str]]] = [
    ("tour-night", 4.0, False, []),
    ("tour-stack", 8.0, False, ["7"]),
    ("tour-proposal", 4.0, True, ["e"]),
]
"""(name, hours into the night, in copilot mode with the next proposal waiting, keys pressed)"""


class Moment:
    """Shows a stored session as its screen was at one moment."""

    def __init__(self, root: Path, hours: float, waiting: bool) -> None:
        self._stored = ReplayFeed(root, speed=1.0)
        self._stored.paused = True
        self._hours = hours
        self._waiting = waiting
        self.folder = self._stored.folder
        self.state: State | None = None
        self.worker = WorkerStatus("running", 1.0)

    def load(self) -> None:
        self._stored.load()
        at = self._stored.began + self._hours * 3600
        proposed = next(
            (each for each in LedgerReader(self.folder).since(0) if isinstance(each, Proposed) and each.at > at), None
        )
        self._stored.seek(proposed.at - 1 if self._waiting and proposed else at)
        self.state = self._stored.state
        if self._waiting and proposed:
            for event in (ModeSet(at=proposed.at, mode=Mode.COPILOT, author="ada"), proposed):
                self.state = fold(self.state, event)

    def poll(self) -> bool:
        return False

    def now(self) -> float:
        return self._stored.now()

    def log_share(self, attempt: str) -> float:
        return self._stored.log_share(attempt)

    def close(self) -> None:
        self._stored.close()


async def screen(feed: Moment, keys: list[str]) -> str:
    """Return the screen at that moment as SVG, without the frame of a window."""
    app = CockpitApp(feed, user="ada", theme="dark")
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        while app.loading or not app.warm:
            await pilot.pause(0.01)
        for key in keys:
            await pilot.press(key)
        for _ in range(3):
            await pilot.pause()
        return placed(app.export_screenshot(title=f"cockpit {feed.folder.name}"))


def main() -> None:
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        night = played(place)
        for name, hours, waiting, keys in SCREENS:
            svg = asyncio.run(screen(Moment(night.root, hours, waiting), keys))
            found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
            assert found is not None
            width = COLUMNS * CELL_PIXELS
            height = round(width * float(found[2]) / float(found[1]))
            (place / f"{name}.svg").write_text(svg, encoding="utf-8")
            page = place / f"{name}.html"
            page.write_text(f'<body style="margin:0"><img src="{name}.svg" width="{width}">', encoding="utf-8")
            picture(f"file://{page}", name, (width, height))


if __name__ == "__main__":
    main()
