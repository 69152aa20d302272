"""Markdown in the talk: what is laid out, and that a model's text is data, also while it is being written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from cockpit.agent.claude import turn_status
from cockpit.agent.claude.turn_status import TurnStatusFile
from cockpit.core.events import Asked, Said
from cockpit.session.ledger import Ledger
from cockpit.tui.plain import plain, width_of
from cockpit.tui.views.markdown import CODE, EMPHASIS, HEADING, STRONG, markdown_rows
from cockpit.tui.views.spans import Span
from tests.tui.conftest import Opener, press, settle, shown, strips_on, words_on
from tests.tui.stories import HOSTILE

pytestmark = pytest.mark.anyio

ANSWER = """## Next: the warmdown
The width is **settled**; `WARMDOWN_RATIO` is *not*. See [the paper](https://example.org/x).

1. eight arms at most, of which four hold the width at the best one so far
2. then
   - a replicate

> keep waves small

```python
WARMDOWN_RATIO = 0.5  # **as it is**
```
"""


def text_of(rows: list[list[Span]]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def inks_of(rows: list[list[Span]], words: str) -> set[object]:
    return {ink for row in rows for text, ink in row if words in text}


def test_marks_become_styles_and_leave_the_text() -> None:
    rows = markdown_rows(ANSWER, 50)
    text = text_of(rows)
    assert text[0] == "Next: the warmdown" and inks_of(rows, "Next") == {HEADING}
    assert inks_of(rows, "settled") == {STRONG} and inks_of(rows, "not") >= {EMPHASIS}
    assert CODE in inks_of(rows, "WARMDOWN_RATIO")
    assert "│ WARMDOWN_RATIO = 0.5  # **as it is**" in text, "code stays as written"
    assert "│ keep waves small" in text and "   • a replicate" in text
    assert not any("```" in line or "##" in line for line in text)
    item = next(number for number, line in enumerate(text) if line.startswith("1. "))
    assert text[item + 1].startswith("   ") and text[item + 1].strip(), "a wrapped item hangs"
    assert all(width_of(line) <= 50 for line in text)


def test_a_link_shows_its_address_and_leads_nowhere() -> None:
    rows = markdown_rows("[here](javascript:alert) ![x](file:///etc/passwd)", 80)
    assert text_of(rows) == ["here (javascript:alert) x (file:///etc/passwd)"]
    for row in rows:
        assert all(not (isinstance(ink, Style) and (ink.link or ink.meta)) for _, ink in row)


@pytest.mark.parametrize("text", ["snake_case_name", "2*3*4", "a * b * c", "__init__.py", "e0042_x and _y", "<b>x</b>"])
def test_words_with_such_letters_stay_as_they_are(text: str) -> None:
    assert text_of(markdown_rows(text, 80)) == [text]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_escape_and_no_markup_comes_through(text: str) -> None:
    laid = "".join(text_of(markdown_rows(text, 200)))
    assert laid == plain(laid)
    assert "".join(plain(text.replace("\r\n", "")).split()) in "".join(laid.split())


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab *_`#>-[]()|~1.\n你", max_size=80), st.integers(4, 30))
def test_any_text_is_laid_out_within_its_width_without_losing_a_letter(text: str, width: int) -> None:
    rows = text_of(markdown_rows(text, width))
    assert all(width_of(row) <= max(width, 9) for row in rows)
    fences = any(line.lstrip().startswith(("```", "~~~")) for line in text.split("\n"))
    for letter in "ab你":
        assert fences or sum(row.count(letter) for row in rows) == text.count(letter)


def test_each_beginning_of_a_text_is_laid_out_and_earlier_rows_stay() -> None:
    before: list[str] = []
    for end in range(1, len(ANSWER)):
        rows = text_of(markdown_rows(ANSWER[:end], 40))
        same = sum(1 for one, other in zip(before, rows, strict=False) if one == other)
        assert len(before) - same <= 3, f"only the paragraph being written changes, not {before} to {rows}"
        before = rows


async def test_a_turn_is_streamed_by_the_rows_that_changed(screen_on: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        talk = app.main.talk
        await press(pilot, "5")
        text = "## Plan\nHold the **width** and vary the"
        state = app.state
        assert state is not None
        talk.tell(state, talk.now, [turn_status.TurnStatus(1.0, "claude", "writes", text)])
        await settle(pilot)
        assert "Plan" in words_on(app) and "##" not in words_on(app) and "**" not in words_on(app)
        drawn: list[int] = []
        monkeypatch.setattr(talk, "refresh", lambda *regions: drawn.append(len(regions)))
        talk.tell(state, talk.now, [turn_status.TurnStatus(1.0, "claude", "writes", text + " warmdown")])
        assert drawn == [1], "one row for one word"
        talk.tell(state, talk.now, [turn_status.TurnStatus(1.0, "claude", "writes", text + " warmdown")])
        assert drawn == [1], "none for none"


async def test_each_turn_under_way_is_shown_under_its_own_name(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "5")
        assert app.state is not None
        ledger = Ledger.open(app.feed.folder.ledger)
        ledger.append([Asked(at=app.feed.now(), ask=99, proposer="codex", arms=4)])
        ledger.close()
        for name, text in (("claude", "Wider first."), ("codex", "Deeper first.")):
            TurnStatusFile(app.feed.folder.agent_live(name), name, app.feed.now).show("writes", text)
        app.tick()
        await settle(pilot)
        rows = words_on(app).split("\n")
        for name, text in (("claude", "Wider first."), ("codex", "Deeper first.")):
            at = next(number for number, row in enumerate(rows) if f"{name} writes" in row)
            assert text in rows[at + 1]


async def test_an_answer_is_markdown_and_an_error_or_a_persons_words_are_not(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        ledger = Ledger.open(app.feed.folder.ledger)
        said = [Said(at=app.feed.now(), author=author, text="the **width**") for author in ("claude", "ada")]
        ledger.append(said)
        ledger.close()
        app.tick()
        await press(pilot, "5")
        rows = words_on(app).split("\n")
        assert any("claude the width" in row for row in rows) and any("ada the **width**" in row for row in rows)
        bold = [s.text for strip in strips_on(app) for s in strip if s.style is not None and s.style.bold]
        assert "width" in bold
