"""The bytes sent make the terminal show the frame. A frame without changes sends nothing."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from cockpit.tui.terminal.wire import Wire

WIDTH, HEIGHT = 24, 5
STYLES = [
    Style.parse(spec)
    for spec in ("default", "bold", "#56b4e9 on #101317", "reverse", "dim red", "#ffffff on blue", "underline")
]


ON_BLANKS = ("4", "7", "48")
"""The attributes of a blank that a person sees. The foreground of a reversed one is compared on the cells beside it."""


class Terminal:
    """A terminal with what the wire uses: cursor moves, SGR and text. Cells hold (text, attributes)."""

    def __init__(self) -> None:
        self.cells = [[("?", "?")] * WIDTH for _ in range(HEIGHT)]
        self.x = self.y = 0
        self.look: dict[str, str] = {}

    def feed(self, data: str) -> None:
        for move, text in re.findall(r"\x1b\[([0-9;]*[HCm])|([^\x1b])", data):
            if text:
                self._put(text)
            elif move.endswith("H"):
                row, _, column = move[:-1].partition(";")
                self.y, self.x = int(row) - 1, int(column) - 1
            elif move.endswith("C"):
                self.x += int(move[:-1])
            else:
                self._sgr(move[:-1].split(";"))

    def _put(self, text: str) -> None:
        from rich.cells import cell_len

        look = str(sorted((code, how) for code, how in self.look.items() if text.strip() or code in ON_BLANKS))
        self.cells[self.y][self.x] = (text, look)
        if cell_len(text) == 2:
            self.cells[self.y][self.x + 1] = ("", look)
        self.x += cell_len(text)

    def _sgr(self, codes: list[str]) -> None:
        while codes:
            code = codes.pop(0)
            if code in ("", "0"):
                self.look.clear()
            elif code in ("38", "48"):
                kind = codes.pop(0)
                self.look[code] = ",".join(codes.pop(0) for _ in range(3 if kind == "2" else 1))
            elif code in ("39", "49"):
                self.look.pop("38" if code == "39" else "48", None)
            elif len(code) == 2 and code[0] in "349":
                self.look["38" if code[0] in "39" else "48"] = code
            else:
                self.look[code] = "on"

    def text(self) -> list[str]:
        return ["".join(text for text, _ in row) for row in self.cells]

    def looks(self) -> list[list[str]]:
        return [[look for _, look in row] for row in self.cells]


def frame(rows: list[list[tuple[str, Style]]]) -> LayoutUpdate:
    strips = [Strip([Segment(text, style) for text, style in row]).adjust_cell_length(WIDTH) for row in rows]
    return LayoutUpdate([[strip] for strip in strips], Region(0, 0, WIDTH, HEIGHT))


def looks_of(wanted: list[list[tuple[str, Style]]]) -> list[list[str]]:
    """Return the looks of a terminal that is sent each cell with its whole style."""
    terminal = Terminal()
    codes = {"bold": "1", "dim": "2", "underline": "4", "reverse": "7"}
    for y, row in enumerate(wanted):
        terminal.x, terminal.y = 0, y
        for segment in Strip([Segment(text, style) for text, style in row]).adjust_cell_length(WIDTH):
            style = segment.style or Style()
            terminal.look = {code: "on" for name, code in codes.items() if getattr(style, name)}
            for colour, front in ((style.color, True), (style.bgcolor, False)):
                if colour is not None and not colour.is_default:
                    terminal._sgr(list(colour.downgrade(ColorSystem.TRUECOLOR).get_ansi_codes(front)))
            terminal.feed(segment.text)
    return terminal.looks()


def wire() -> Wire:
    made = Wire(ColorSystem.TRUECOLOR)
    made.resize(WIDTH, HEIGHT)
    return made


pieces = st.tuples(st.text(st.sampled_from("ab ─━▶你好é"), min_size=1, max_size=8), st.sampled_from(STYLES))
rows = st.lists(pieces, min_size=1, max_size=4)
frames = st.lists(rows, min_size=HEIGHT, max_size=HEIGHT)


@settings(max_examples=40)
@given(st.lists(frames, min_size=1, max_size=4))
def test_the_terminal_shows_each_frame_after_any_other(many: list[list[list[tuple[str, Style]]]]) -> None:
    step, whole = wire(), Terminal()
    for wanted in many:
        step.take(frame(wanted))
        whole.feed(step.flush())
        fresh, clean = wire(), Terminal()
        fresh.take(frame(wanted))
        clean.feed(fresh.flush())
        assert whole.text() == clean.text()
        assert whole.looks() == clean.looks() == looks_of(wanted)


@given(frames)
def test_a_frame_without_changes_sends_nothing(wanted: list[list[tuple[str, Style]]]) -> None:
    once = wire()
    once.take(frame(wanted))
    assert once.flush()
    once.take(frame(wanted))
    assert once.flush() == ""


def test_only_the_cells_that_changed_are_sent() -> None:
    once = wire()
    plain = STYLES[2]
    once.take(frame([[("loss 2.3401 of a run", plain)]] * HEIGHT))
    once.flush()
    once.take(frame([[("loss 2.3399 of a run", plain)]] + [[("loss 2.3401 of a run", plain)]] * (HEIGHT - 1)))
    sequence = once.flush()
    assert "399" in sequence
    assert "loss" not in sequence
    assert "run" not in sequence


def test_after_forgetting_everything_is_sent_again() -> None:
    once = wire()
    once.take(frame([[("same", STYLES[0])]] * HEIGHT))
    first = once.flush()
    once.forget()
    assert once.flush() == first


def test_the_pieces_of_a_row_that_look_alike_are_sent_together() -> None:
    once = wire()
    bar, number = Style.parse("#56b4e9 on #101317"), Style.parse("#959ca6 on #101317")

    def rows(done: str, share: str) -> list[list[tuple[str, Style]]]:
        cell = [(f"{done:<5}", bar), (f"{share} ", number)]
        return [[*cell, *cell]] * HEIGHT

    once.take(frame(rows("━", "10%")))
    once.flush()
    once.take(frame(rows("━━━━", "40%")))
    sequence = once.flush()
    colours = re.findall(r"\x1b\[(?:38;2;[0-9;]*)m", sequence)
    assert len(colours) == HEIGHT + 1
