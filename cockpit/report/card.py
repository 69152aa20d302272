"""The share card: a PNG with the verdict and the progress chart, for a place that shows one picture.

Pillow draws it: it has wheels for each platform and brings a font, so the card looks the same everywhere. It is an
extra, because nothing else in Cockpit needs pictures.
"""

import io
import textwrap
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

from cockpit.core.state import State
from cockpit.report.chart import Chart, Frame, Step
from cockpit.report.contents import contents

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

SIZE = (1200, 630)
"""The size that link previews have."""
SCALE = 2
"""The picture is drawn this many times larger and then scaled down, so that its edges are smooth."""
FRAME = Frame(SIZE[0], SIZE[1], 104, 34, 268, 66, 20, 5)
INK, QUIET, GRID, PLAIN, KEPT, CRASH, ALONE = (
    "#1c1f22",
    "#60666c",
    "#e2e4e7",
    "#a8adb3",
    "#1a9850",
    "#b0532e",
    "#8a8f94",
)
BANNER = "#f0e442"
COLOURS = 256
VERDICT_LINES, VERDICT_CHARACTERS = 3, 86
_ASCII = {"−": "-", "→": "->", "×": "x", "–": "-"}
"""Characters that the font lacks, with their replacements."""
Point = tuple[float, float]


def card(state: State, now: float) -> bytes:
    """Return the picture at `now`. Raises ImportError if Pillow is not installed."""
    from PIL import Image, ImageDraw

    found = contents(state, now)
    picture = Image.new("RGB", (SIZE[0] * SCALE, SIZE[1] * SCALE), "white")
    pen = _Pen(ImageDraw.Draw(picture))
    y = 24.0
    if found.simulated:
        pen.box((0, 0), (SIZE[0], 44), BANNER)
        pen.text((36, 10), "SIMULATED: no GPU ran any of this", 22, INK)
        y = 58.0
    pen.text((36, y), found.name, 38, INK)
    lines = textwrap.wrap(_drawable(found.verdict), VERDICT_CHARACTERS)[:VERDICT_LINES]
    for number, line in enumerate(lines):
        pen.text((36, y + 54 + 32 * number), line, 25, INK)
    if found.charts:
        _draw(pen, found.charts[0], f"dashed: the same search on {found.one_gpu_words}" if found.one_gpu else "")
    else:
        pen.text((36, 300), "Nothing has been measured yet", 24, QUIET)
    small = picture.resize(SIZE, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.quantize(COLOURS, Image.Quantize.FASTOCTREE).save(out, "PNG", optimize=True)
    return out.getvalue()


class _Pen:
    """Draws in the coordinates of the small picture."""

    def __init__(self, canvas: "ImageDraw") -> None:
        self._canvas = canvas

    def text(self, at: Point, text: str, size: int, colour: str, anchor: str = "la") -> None:
        self._canvas.text(_large(at), _drawable(text), fill=colour, font=_font(size * SCALE), anchor=anchor)

    def box(self, one: Point, other: Point, colour: str) -> None:
        self._canvas.rectangle((*_large(one), *_large(other)), fill=colour)

    def dot(self, at: Point, radius: float, colour: str, edge: str = "") -> None:
        (x, y), r = _large(at), radius * SCALE
        self._canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=edge or None, width=SCALE)

    def line(self, corners: list[Point], width: float, colour: str) -> None:
        self._canvas.line(
            [_large(corner) for corner in corners], fill=colour, width=round(width * SCALE), joint="curve"
        )

    def dashes(self, corners: list[Point], colour: str) -> None:
        for (x, y), (right, down) in pairwise(corners):
            steps = max(1, round((abs(right - x) + abs(down - y)) / 8))
            for step in range(0, steps, 2):
                a, b = step / steps, min(1.0, (step + 1) / steps)
                ends = [(x + (right - x) * share, y + (down - y) * share) for share in (a, b)]
                self.line(ends, 1.5, colour)


def _draw(pen: _Pen, chart: Chart, about_dashes: str) -> None:
    left, right, base = FRAME.left, FRAME.width - FRAME.right, FRAME.height - FRAME.bottom
    for value, label in chart.value_ticks(FRAME):
        y = chart.at(FRAME, 0.0, value)[1]
        pen.line([(left, y), (right, y)], 1, GRID)
        pen.text((left - 10, y), label, 18, QUIET, "rm")
    for hours, label in chart.hour_ticks(FRAME):
        pen.text((FRAME.x(hours / chart.hours), base + 10), label, 18, QUIET, "ma")
    pen.text((left, FRAME.top - 14), f"{chart.metric.name} on {chart.hardware}, {chart.metric.better}", 18, QUIET, "ls")
    pen.text((right, FRAME.top - 14), about_dashes, 18, QUIET, "rs")
    pen.text((right, FRAME.height - 12), "time since the start", 18, QUIET, "rs")
    for dot in chart.dots:
        if dot.value is None:
            x = FRAME.x(dot.hours / chart.hours)
            pen.line([(x - 3, FRAME.top - 6), (x + 3, FRAME.top)], 1, CRASH)
            pen.line([(x - 3, FRAME.top), (x + 3, FRAME.top - 6)], 1, CRASH)
        elif not dot.kept:
            pen.dot(chart.at(FRAME, dot.hours, dot.value), 2.6, PLAIN)
    _best_line(pen, chart, chart.one_gpu, True)
    _best_line(pen, chart, chart.best, False)
    for dot in chart.dots:
        if dot.kept and dot.value is not None:
            pen.dot(chart.at(FRAME, dot.hours, dot.value), 6, KEPT, INK)


def _best_line(pen: _Pen, chart: Chart, line: tuple[Step, ...], dashed: bool) -> None:
    corners = chart.steps(FRAME, line)
    if corners and dashed:
        pen.dashes(corners, ALONE)
    elif corners:
        pen.line(corners, 2.5, KEPT)


def _large(at: Point) -> Point:
    return at[0] * SCALE, at[1] * SCALE


def _drawable(text: str) -> str:
    """Return the text in characters that the font has."""
    spelled = "".join(_ASCII.get(character, character) for character in text)
    return unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()


def _font(size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ImportError("this Pillow has no FreeType")
    return font
