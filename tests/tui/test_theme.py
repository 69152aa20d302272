"""Every theme is readable with all colours, with 256, and with none."""

import re
import sys
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from rich.style import Style

from cockpit.tui.theme import DARK, LIGHT, THEMES, Palette
from tests.tui import stories
from tests.tui.conftest import Opener, shown, strips_on
from tests.tui.terminal import needs_tmux, terminal

READ = ("text", "dim", "accent", "good", "bad", "warn", "info", "agent", "person", "key", "simulated")
DEPTHS = (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT)
COLOURED = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|38;|48;)")


def luminance(colour: Color, depth: ColorSystem) -> float:
    """Return the relative luminance, 0 to 1: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [part / 255 for part in colour.downgrade(depth).get_truecolor()]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color | None, other: Color | None, depth: ColorSystem) -> float:
    """Return the contrast ratio of WCAG, 1 to 21."""
    assert one is not None and other is not None
    low, high = sorted((luminance(one, depth), luminance(other, depth)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("palette", [DARK, LIGHT])
def test_every_word_can_be_read_on_every_ground(palette: Palette, depth: ColorSystem) -> None:
    for ground in (palette.base, palette.selection, palette.noise):
        for role in READ:
            assert contrast(palette[role].color, ground.bgcolor, depth) >= 4.5, (role, ground)
    alarm = palette["alarm"]
    assert contrast(alarm.color, alarm.bgcolor, depth) >= 4.5


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("palette", [DARK, LIGHT])
def test_a_selected_row_and_a_band_are_distinct_greys(palette: Palette, depth: ColorSystem) -> None:
    grounds = [style.bgcolor for style in (palette.base, palette.noise, palette.selection)]
    shades = [ground.downgrade(depth).get_truecolor() for ground in grounds if ground is not None]
    assert len(set(shades)) == 3
    assert all(max(shade) - min(shade) <= 10 for shade in shades)


def test_the_terminal_theme_uses_the_terminal_s_colours_only() -> None:
    palette = THEMES["terminal"]
    styles = [*palette.styles.values(), palette.base, palette.selection, palette.noise]
    for colour in [colour for style in styles for colour in (style.color, style.bgcolor) if colour is not None]:
        assert colour.is_default or (colour.number is not None and colour.number < 8), colour


@pytest.mark.anyio
async def test_a_selected_row_of_reversed_cells_has_no_blocks_of_colour(screen_on: Opener) -> None:
    app = screen_on("night", theme="terminal")
    async with shown(app, 80, 24):
        reversed_styles = {
            Style.from_color(segment.style.color, segment.style.bgcolor)
            for strip in strips_on(app)
            for segment in strip
            if segment.style is not None and segment.style.reverse and "gpu-01" in strip.text
        }
    assert len(reversed_styles) == 1


@needs_tmux
@pytest.mark.parametrize(("env", "coloured"), [({"NO_COLOR": "1"}, False), ({"COLORTERM": ""}, True)])
def test_no_color_removes_every_colour_and_no_word(tmp_path: Path, env: dict[str, str], coloured: bool) -> None:
    folder = stories.night().write(tmp_path)
    with terminal([sys.executable, "-m", "cockpit", "watch", str(folder)], env=env) as screen:
        screen.wait_for("gpu-07", "lost", "idle", "busy", "proposed", "held", "running")
        drawn = screen.tmux("capture-pane", "-p", "-e")
    assert bool(COLOURED.search(drawn)) == coloured
