"""Text from outside is shown, never obeyed, and is as wide as it says."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cockpit.tui.plain import cut, plain, width_of, wrap


@given(st.text())
def test_no_character_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = plain(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp") for c in shown)
    assert all(unicodedata.bidirectional(c) not in ("R", "AL", "AN", "RLO", "RLE", "LRO") for c in shown)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert plain(text) == text


def test_escapes_are_spelled_out() -> None:
    assert plain("\x1b[31mred\x07") == "␛[31mred␇"
    assert plain("‮abc") == "\\u202eabc"
    assert plain("e\u0301") == "e\\u0301"
    assert plain("你好") == "你好"


@given(st.text(max_size=60), st.integers(0, 30))
def test_cut_text_fits(text: str, width: int) -> None:
    assert cell_len(cut(plain(text), width)) <= width


@given(st.text(max_size=200), st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_only_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(width_of(line) <= width for line in lines)
    kept = "".join(lines).replace(" ", "")
    assert kept == "".join(plain(part) for part in text.replace("\r\n", "\n").split("\n")).replace(" ", "")
