"""Draw the README's pictures again, from the stories of the tests.

python docs/make_screens.py            # writes docs/screens/*.svg
python docs/make_screens.py --look DIR # every theme, and 256 colours, to be looked at
"""

import argparse
import asyncio
import html
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
os.environ["TZ"] = "UTC"

from rich.cells import cell_len  # noqa: E402
from rich.color import Color, ColorSystem  # noqa: E402

from cockpit.session.heartbeat import WorkerStatus  # noqa: E402
from cockpit.tui.app import CockpitApp  # noqa: E402
from cockpit.tui.feed import LedgerFeed  # noqa: E402
from cockpit.tui.theme import THEMES  # noqa: E402
from tests.tui import stories  # noqa: E402
from tests.tui.story import Story  # noqa: E402

PICTURES: list[tuple[str, Callable[[], Story], int, int, list[str], bool]] = [
    ("main", stories.night, 200, 50, [], False),
    ("small", stories.laptop, 80, 24, [], False),
    ("review", stories.night, 120, 30, ["e", "j"], False),
    ("experiment", stories.night, 120, 30, ["colon", *"open", "space", *"e0019", "enter"], False),
    ("watch", stories.night, 120, 34, [], True),
]
"""(name, story, columns, rows, keys pressed, watching)"""


async def draw(tell: Callable[[], Story], width: int, height: int, keys: list[str], watch: bool, theme: str) -> str:
    """Return the screen as SVG."""
    story = tell()
    with tempfile.TemporaryDirectory() as place:
        folder = story.write(Path(place))
        feed = LedgerFeed(folder, clock=lambda: story.at, look=lambda _: WorkerStatus("running", 1.0))
        app = CockpitApp(feed, watch=watch, user="ada", theme=theme)
        app.main.header.watching = "ada" if watch else ""
        async with app.run_test(size=(width, height)) as pilot:
            while app.loading or not app.warm:
                await pilot.pause(0.01)
            for key in keys:
                await pilot.press(key)
            await pilot.pause()
            await pilot.pause()
            return placed(app.export_screenshot(title=f"cockpit {story.state.session.name}"))


def fewer_colours(svg: str) -> str:
    """Return the picture with each colour as a terminal of 256 colours shows it."""

    def nearest(found: re.Match[str]) -> str:
        return Color.parse(found[0]).downgrade(ColorSystem.EIGHT_BIT).get_truecolor().hex

    return re.sub("#[0-9a-f]{6}", nearest, svg)


TEXT = re.compile(r'<text class="([^"]+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)" ([^>]*)>([^<]*)</text>')
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def placed(svg: str) -> str:
    """Return the picture in the viewer's own monospaced font, without downloads, each word at its cell: some viewers
    drop spaces."""

    def words(found: re.Match[str]) -> str:
        kind, x, y, length, rest, escaped = found.groups()
        text = html.unescape(escaped)
        cell = float(length) / max(1, cell_len(text))
        return "".join(
            f'<text class="{kind}" x="{float(x) + cell * cell_len(text[: word.start()]):g}" y="{y}"'
            f' textLength="{cell * cell_len(word[0]):g}" {rest}>{html.escape(word[0])}</text>'
            for word in re.finditer("[^\u00a0]+(?:\u00a0[^\u00a0]+)*", text)
        )

    return TEXT.sub(words, FONT.sub("", svg)).replace("Fira Code", "DejaVu Sans Mono")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", type=Path, metavar="DIR")
    look: Path | None = parser.parse_args().look
    where = look or HERE / "screens"
    where.mkdir(parents=True, exist_ok=True)
    for name, story, width, height, keys, watch in PICTURES:
        for theme in (*THEMES, "no-color") if look else ("dark",):
            os.environ.pop("NO_COLOR", None)
            if theme == "no-color":
                os.environ["NO_COLOR"] = "1"
            svg = asyncio.run(draw(story, width, height, keys, watch, theme))
            drawn = {f"{name}-{theme}": svg, f"{name}-{theme}-256": fewer_colours(svg)} if look else {name: svg}
            for stem, picture in drawn.items():
                path = where / f"{stem}.svg"
                path.write_text(picture, encoding="utf-8")
                print(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
