"""The conversation: messages, findings, troubles, the agent's current turn, and the proposals as cards."""

import re
from collections.abc import Iterable

from rich.segment import Segment
from textual import events
from textual.message import Message as TextualMessage
from textual.strip import Strip

from cockpit.agent.claude.turn_status import TurnStatus
from cockpit.core.model import Message
from cockpit.core.state import UNCONFINED, State, open_permissions
from cockpit.read.filler import HOLD, meanwhile_words
from cockpit.read.kept_stack import kept_words
from cockpit.read.needs import NeedKind, needs
from cockpit.tui.figures import about_usd, age, clock, count, duration
from cockpit.tui.plain import cut, plain, width_of, wrap
from cockpit.tui.rows import Row, hint_rows
from cockpit.tui.views.markdown import markdown_rows
from cockpit.tui.views.spans import Span
from cockpit.tui.views.waves import wave_view
from cockpit.tui.widgets.pane import WheeledPane

_INKS = {"finding": "good", "trouble": "bad", "phase": "info", "news": "dim"}
_MARKS = {"finding": "◆ ", "trouble": "! ", "phase": "▸ ", "news": "· "}
AS_WRITTEN = ("news", "trouble")
"""The kinds of messages that are not Markdown: asterisks of an error stay."""
MESSAGE_ROWS = 200
SPOKEN_ROWS = 4
"""Rows for all turns under way together: these, or a third of the pane if that is more."""
NAME = re.compile(r"@?\b([ew]\d{3,9})\b", re.ASCII)
"""The name of an experiment or a wave in a text."""
END_ROWS = 4
"""The most rows that say why a session has ended."""
LEAST_SHAPE = 6
"""The fewest cells in which a wave's shape is readable."""


class Talk(WheeledPane, can_focus=True):
    NAME = "talk"
    KEY = "5"

    class Opened(TextualMessage):
        """The name of an experiment or a wave was clicked on."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, user: str, watching: bool) -> None:
        super().__init__()
        self.state: State | None = None
        self.now = 0.0
        self.user = user
        self.watching = watching
        self.spoken: dict[str, TurnStatus] = {}
        """Proposer to its turn under way."""
        self.back = 0
        """Rows scrolled up from the newest; 0 follows the end."""
        self._laid: list[Strip] = []
        self._laid_for: tuple[int, str, Message | None] = (0, "", None)
        self._laid_messages = 0
        self._height = 1

    def tell(self, state: State, now: float, spoken: Iterable[TurnStatus] = ()) -> None:
        self.state, self.now = state, now
        self.spoken = {turn.proposer: turn for turn in spoken}
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        state = self.state
        if state is None:
            return [self.titled(width)]
        tail = self._now_rows(state, width, height) + self._cards(state, width, height)
        tail += self._permission_rows(state, width, height)
        before = len(self._laid)
        self._lay(state, width)
        if self.back:
            self.back += max(0, len(self._laid) - before)
        self._height = room = max(0, height - 1 - len(tail))
        self.back = max(0, min(self.back, len(self._laid) - room))
        stop = len(self._laid) - self.back
        shown = self._laid[max(0, stop - room) : stop]
        note = count(len(state.findings), "finding") if state.findings else ""
        note = f"+{self.back} below" if self.back else note
        blank = Strip.blank(width, self.palette.base)
        if not self._laid and not tail:
            hint = "Nothing has been said yet." + ("" if self.watching else " Press i to write to the proposer.")
            return [self.titled(width, note), *hint_rows(width, self.palette, hint)[:room]]
        return [self.titled(width, note), *shown, *[blank] * (room - len(shown)), *tail]

    def _lay(self, state: State, width: int) -> None:
        """Wrap the new messages; all of them if the width or the first message changed."""
        first = state.messages[0] if state.messages else None
        wanted = (width, self.palette.name, first)
        if self._laid_for != wanted or self._laid_messages > len(state.messages):
            self._laid, self._laid_messages, self._laid_for = [], 0, wanted
        for message in state.messages[self._laid_messages :]:
            self._laid.extend(self._message_rows(message, width))
        self._laid_messages = len(state.messages)

    def _message_rows(self, message: Message, width: int) -> list[Strip]:
        author = plain(message.author)[:16]
        mine = message.author == self.user
        ink = _INKS.get(message.kind, "text")
        name_ink = "dim" if message.kind == "news" else "person" if mine else "agent"
        indent = 6
        words, room = message_words(self.state, message), max(10, width - indent - 1 - width_of(author) - 3)
        if mine or message.kind in AS_WRITTEN:
            lines: list[list[Span]] = [[(line, ink)] for line in wrap(words, room, MESSAGE_ROWS)]
        else:
            lines = markdown_rows(words, room, ink)[:MESSAGE_ROWS]
        rows: list[Strip] = []
        hang = indent + width_of(author) + 1 + width_of(_MARKS.get(message.kind, ""))
        for number, line in enumerate(lines):
            row = Row(width, self.palette)
            if number == 0:
                row.put(clock(message.at), "faint", indent)
                row.put(author, name_ink).skip().put(_MARKS.get(message.kind, ""), ink)
            else:
                row.to(min(hang, width // 2))
            rows.append(self._with_names(row, line).strip())
        return rows

    def _with_names(self, row: Row, line: list[Span]) -> Row:
        """Add a line in which the names of experiments and waves stand out: a click opens them."""
        for text, ink in line:
            at = 0
            for found in NAME.finditer(text):
                if self.state is not None and is_known(self.state, found[1]):
                    row.put(text[at : found.start()], ink).put(found[0], "key")
                    at = found.end()
            row.put(text[at:], ink)
        return row

    def on_click(self, event: events.Click) -> None:
        """Open the experiment or the wave that was clicked on."""
        text = text_of(self._drawn[event.y : event.y + 1])
        for found in NAME.finditer(text):
            first, last = width_of(text[: found.start()]), width_of(text[: found.end()])
            if first <= event.x < last and self.state is not None and is_known(self.state, found[1]):
                self.post_message(self.Opened(found[1]))

    def _now_rows(self, state: State, width: int, height: int) -> list[Strip]:
        """Return what the proposers do now. The text of a turn follows its end; rows that stay are not drawn again."""
        rows: list[Strip] = []
        most = max(SPOKEN_ROWS, height // 3) // max(1, len(self.spoken))
        for ask in state.asks.values():
            spoken = self.spoken.get(ask.proposer)
            doing = plain(spoken.doing) if spoken is not None else "thinks"
            row = Row(width, self.palette).put("  …   ", "faint").put(plain(ask.proposer), "agent").skip()
            if state.agent_walls.get(ask.proposer) == UNCONFINED:
                row.put(UNCONFINED, "warn").skip()
            asked = f"asked for {count(ask.arms, 'arm')} " if ask.arms else "asked "
            row.put(f"{doing}: {asked}{age(self.now - ask.asked_at)} ago", "dim")
            rows.append(row.strip())
            if spoken is not None and spoken.text:
                lines = markdown_rows(spoken.text.rstrip(), max(10, width - 8), "dim")
                rows.extend(
                    self._with_names(Row(width, self.palette).to(6), line).strip() for line in lines[-max(1, most) :]
                )
        return rows

    def _cards(self, state: State, width: int, height: int) -> list[Strip]:
        if state.ended_at:
            lines = [line for said in end_words(state, self.now) for line in wrap(said, width - 2, END_ROWS)]
            return [Row(width, self.palette).skip(2).put(line, "warn").strip() for line in lines]
        rows: list[Strip] = []
        most = max(1, (height - 4) // 6)
        names = list(state.proposals)
        if words := meanwhile_words(state):
            said = words if self.watching else f"{words}; {HOLD}"
            rows += [Row(width, self.palette).skip(2).put(line, "warn").strip() for line in wrap(said, width - 2, 2)]
        for name in names[:most]:
            view = wave_view(state, state.waves[name], self.now)
            ground = self.palette.card
            first = Row(width, self.palette, ground).put("▌", "warn").put(view.id, "key").skip()
            first.put(view.proposer, "agent").skip().put(view.question, "text")
            second = Row(width, self.palette, ground).put("▌", "warn")
            second.put(f"{count(view.arms, 'arm')}  {about_usd(view.coming_usd)}, {duration(view.ends_in_s)}", "dim")
            keys = "e review " if self.watching or state.ending else "a approve  r reject  e review "
            room = second.left - 2 - (width_of(keys) + 1 if second.left > width_of(keys) + 1 else 0)
            if room >= LEAST_SHAPE:
                second.skip(2).put(cut(view.shape.within(room), room), "dim")
            second.end(keys, "dim")
            rows.extend([first.strip(), second.strip()])
        if len(names) > most:
            rows.append(
                Row(width, self.palette)
                .put(f"  {len(names) - most} more {'waits' if len(names) - most == 1 else 'wait'}", "dim")
                .strip()
            )
        return rows

    def _permission_rows(self, state: State, width: int, height: int) -> list[Strip]:
        """Return the oldest request of an agent that waits for a person, in full if the pane has room."""
        waiting = open_permissions(state)
        if not waiting:
            return []
        name, request = next(iter(waiting.items()))
        ground = self.palette.card
        lines = wrap(f"asks to {request.what}", max(10, width - 4))
        most = max(1, height - 5)
        shown = lines if len(lines) <= most else [*lines[: most - 1], f"… {count(len(lines) - most + 1, 'more row')}"]
        first = Row(width, self.palette, ground).put("▌", "warn").put(name, "key").skip()
        first.put(plain(request.agent), "agent")
        ago, left = age(self.now - request.asked_at), duration(request.within_s)
        others = f", {len(waiting) - 1} more" if len(waiting) > 1 else ""
        last = Row(width, self.palette, ground).put("▌", "warn")
        last.put(f"asked {ago} ago, refused after {left}{others}", "dim")
        last.end("" if self.watching else "y allow once  n refuse ", "dim")
        words = (Row(width, self.palette, ground).put("▌", "warn").put(line, "text") for line in shown)
        return [row.strip() for row in (first, *words, last)]

    def move(self, key: str) -> bool:
        steps = {"up": 1, "down": -1, "page_up": self._height, "page_down": -self._height}
        if key in ("top", "bottom"):
            self.back = len(self._laid) if key == "top" else 0
        elif key in steps:
            self.back += steps[key]
        else:
            return False
        self.paint()
        return True

    def forget(self) -> None:
        self._laid_for = (0, "", None)
        super().forget()


def end_words(state: State, now: float) -> list[str]:
    """Return why the session has ended, and what a person can do."""
    why = plain(state.end_reason)
    reopen = f"`cockpit start {plain(state.session.name)}` reopens it"
    wanted = [plain(need.sentence) for need in needs(state, now) if need.kind is NeedKind.BASELINE]
    return wanted or [f"the session has ended{f': {why}' if why else ''}; {reopen}"]


def is_known(state: State, name: str) -> bool:
    return name in state.experiments or name in state.waves


def message_words(state: State | None, message: Message) -> str:
    """Return the words of a message; of the news of a keep, the change and its gain instead of the test's words."""
    if message.kind != "news" or state is None:
        return message.text
    for step in state.incumbencies:
        if step.at == message.at and step.estimate is not None and step.experiment in message.text:
            return kept_words(state, step.experiment)
    return message.text


def text_of(strips: list[Strip]) -> str:
    """Return the text of rows."""
    return "\n".join("".join(segment.text for segment in strip if isinstance(segment, Segment)) for strip in strips)
