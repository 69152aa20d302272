"""Diffs: the syntax's colours, the changed part of a line, two sides where there is room, and no colour where asked."""

import pytest

from cockpit.tui.rows import Ink
from cockpit.tui.theme import DARK, LIGHT, NO_COLOUR, TERMINAL
from cockpit.tui.views.diff_rows import CHANGED, DiffLine, Side, diff_of, pairs
from cockpit.tui.widgets.diff import BESIDE_FROM
from tests.tui.conftest import Opener, press, shown, strips_on, words_on

pytestmark = pytest.mark.anyio

DIFF = '''--- a/train.py
+++ b/train.py
@@ -10,6 +10,7 @@
 def step(x):
     """A text
-    of two lines."""  # old
+    of two lines."""  # new
-MATRIX_LR = 0.04
+MATRIX_LR = 0.055
+EXTRA = "\x1b[2J[red]"
 return x
'''
ROLES = {"+": "good", "-": "bad", "@": "info", " ": "text"}


def read(text: str = DIFF, script: str = "train.py") -> list[DiffLine]:
    lines = [
        (line, "dim" if line.startswith(("+++", "---")) else ROLES.get(line[:1], "text")) for line in text.splitlines()
    ]
    return diff_of(lines, script)


def inks(line: DiffLine, words: str) -> set[Ink]:
    return {ink for text, ink in line.spans for part in words.split() if part in text}


def test_a_line_has_its_side_its_number_and_its_colours() -> None:
    lines = read()
    assert [line.side for line in lines[:3]] == [Side.HEAD] * 3
    same, _, removed, added = lines[3:7]
    assert (same.side, same.old, same.new) == (Side.SAME, 10, 10) and inks(same, "def") == {"accent"}
    assert (removed.side, removed.old, removed.new) == (Side.REMOVED, 12, 0)
    assert (added.side, added.old, added.new) == (Side.ADDED, 0, 12)
    assert lines[-1].old == 14 and lines[-1].new == 15
    assert inks(added, "lines") == {"agent"}, "a string that began in the line before is a string"
    assert inks(removed, "#") == {"dim"}
    assert {ink for line in lines for _, ink in line.spans}.isdisjoint({"good", "bad"}), "these say added and removed"


def test_the_part_that_changed_stands_out_without_colour() -> None:
    old, new = (next(line for line in read() if line.text.startswith("MATRIX") and line.side is s) for s in
                (Side.REMOVED, Side.ADDED))  # fmt: skip
    assert [text for text, ink in old.spans if ink == CHANGED] == ["4"]
    assert [text for text, ink in new.spans if ink == CHANGED] == ["55"]
    assert CHANGED.bold and CHANGED.underline and CHANGED.color is None


def test_both_sides_keep_their_order_and_meet_where_they_are_the_same() -> None:
    lines = read()
    rows = list(pairs(lines))
    assert [old for old, _ in rows if old and old.side is not Side.HEAD] == [
        line for line in lines if line.side in (Side.SAME, Side.REMOVED)
    ]
    assert [new for _, new in rows if new and new.side is not Side.HEAD] == [
        line for line in lines if line.side in (Side.SAME, Side.ADDED)
    ]
    assert all(old is new for old, new in rows if old and new and old.side is Side.SAME)


def test_another_language_and_a_very_long_diff_have_no_syntax_colours() -> None:
    plain = [line for line in read(script="train.cu") if line.side is not Side.HEAD]
    assert all(ink in ("text", CHANGED) for line in plain for _, ink in line.spans)
    long = diff_of([(f"+x = {n}", "good") for n in range(5_000)], "train.py")
    assert all(line.spans == ((line.text, "text"),) for line in long)


def test_no_escape_of_a_diff_reaches_the_terminal() -> None:
    hostile = next(line for line in read() if line.text.startswith("EXTRA"))
    assert "".join(text for text, _ in hostile.spans) == 'EXTRA = "␛[2J[red]"'


async def test_two_sides_stand_beside_each_other_where_there_is_room(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, BESIDE_FROM, 40) as pilot:
        await press(pilot, "enter", "d")
        row = next(row for row in words_on(app).split("\n") if "WARMDOWN_RATIO" in row)
        left, _, right = row.partition("│")
        assert "-WARMDOWN_RATIO = 0.5" in left and "+WARMDOWN_RATIO = " in right
        await pilot.resize_terminal(BESIDE_FROM - 1, 40)
        await press(pilot)
        text = words_on(app)
        assert text.index("-WARMDOWN_RATIO") < text.index("+WARMDOWN_RATIO")
        assert not any("-WARM" in row and "+WARM" in row for row in text.split("\n"))


@pytest.mark.parametrize("theme", ["dark", "light", "terminal", "plain"])
async def test_added_and_removed_lines_are_distinguished_in_every_theme(
    screen_on: Opener, monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    if theme == "plain":
        monkeypatch.setenv("NO_COLOR", "1")
    app = screen_on("night", theme=theme)
    async with shown(app, 100, 34) as pilot:
        await press(pilot, "enter", "d")
        palette = {p.name: p for p in (DARK, LIGHT, TERMINAL, NO_COLOUR)}[theme]
        grounds: dict[str, object] = {}
        for strip in strips_on(app):
            text = strip.text
            if text.startswith(("+WA", "-WA")):
                style = next(iter(strip)).style
                assert style is not None
                grounds[text[0]] = style.bgcolor
                assert theme != "plain" or style.color is None or style.color.is_default
        assert set(grounds) == {"+", "-"}, "the sign is there without colour"
        assert palette.ansi or grounds["+"] != grounds["-"]
