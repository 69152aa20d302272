"""The header above the panes, about the session, and the footer below, with the keys that apply."""

import msgspec
from textual import events
from textual.message import Message
from textual.strip import Strip

from cockpit.core.state import State
from cockpit.read.needs import Need, NeedKind
from cockpit.session.heartbeat import WorkerStatus
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row
from cockpit.tui.views.summary import best_parts, corpus_words, fitting, fleet_words, mode_words, money_parts
from cockpit.tui.widgets.pane import Pane

TROUBLE_ROWS = 8
NOTE_ROWS = 8
_WORKER_INK = {"running": "good", "replay": "info", "stopped": "warn", "stale": "bad"}


class Header(Pane):
    NAME = "header"

    def __init__(self, session: str) -> None:
        super().__init__()
        self.session = session
        self.state: State | None = None
        self.now = 0.0
        self.worker = WorkerStatus("", None)
        self.needs: list[Need] = []
        self.watching = ""
        """The owner of a watched session; empty for a session that can be steered."""
        self.replay = ""
        self.trouble = ""

    def rows(self, width: int, height: int) -> list[Strip]:
        trouble = self._trouble(width)
        if trouble:
            return [self._first(width), *(Row(width, self.palette).skip().put(line, "bad").strip() for line in trouble)]
        return [self._first(width), self._second(width)]

    def rows_wanted(self, width: int) -> int:
        """Return two rows, or more for a long trouble: it is shown whole."""
        return 1 + max(1, len(self._trouble(width)))

    def _trouble(self, width: int) -> list[str]:
        return wrap(self.trouble, width - 2, TROUBLE_ROWS) if self.trouble else []

    def _first(self, width: int) -> Strip:
        row = Row(width, self.palette).skip()
        state = self.state
        if self.watching:
            row.put(f" WATCHING {plain(self.watching)}'s ", "alarm").skip()
        if self.replay:
            row.put(f" REPLAY {self.replay} ", "alarm").skip()
        row.put(plain(self.session), "key").skip(2)
        if state is None:
            return row.put("" if self.trouble else "reading the ledger…", "dim").strip()
        words, ink = mode_words(state)
        row.put(words, ink).skip(2)
        alarms = fitting(self.needs, width)
        is_named = any(need.kind is NeedKind.WORKER and need.about == self.worker.state for need in self.needs)
        worker = "" if is_named or self.worker.state == "replay" else f"worker {self.worker.state}"
        tail = width_of(alarms) + (2 if alarms else 0) + width_of(worker) + 4
        if state.session.fleet.simulated:
            row.put("SIMULATED", "simulated").skip(2)
        for part in (fleet_words(state), corpus_words(state)):
            if part and width_of(part) + 2 < row.left - tail:
                row.put(part, "dim").skip(2)
        if width_of(worker) + width_of(alarms) + 4 > row.left:
            worker = ""
        room = row.left - width_of(worker) - (2 if worker else 0) - 3
        if self.needs and room > 4:
            shown = f" {fitting(self.needs, room)} "
            row.to(width - width_of(worker) - (2 if worker else 0) - width_of(shown) - 1)
            row.put(shown, "alarm")
        if worker:
            row.end(worker + " ", _WORKER_INK.get(self.worker.state, "dim"))
        return row.strip()

    def _second(self, width: int) -> Strip:
        row = Row(width, self.palette).skip()
        if self.state is None:
            return row.strip()
        money = money_parts(self.state, self.now)
        for keep in range(len(money), 0, -1):
            tail = sum(width_of(text) + 2 for text, _ in money[:keep])
            if tail <= width // 2 or keep == 2:
                money = money[:keep]
                break
        tail = sum(width_of(text) + 2 for text, _ in money)
        for text, ink in best_parts(self.state):
            if width_of(text) > row.left - tail - 1:
                break
            row.put(text, ink).skip()
        row.to(width - tail + 1)
        for text, ink in money:
            row.put(text, ink).skip(2)
        return row.strip()


class Hint(msgspec.Struct, frozen=True):
    action: str
    key: str
    label: str
    ink: str = "dim"
    last: bool = False
    """True if it is in the footer at every width."""

    @property
    def cells(self) -> int:
        return width_of(self.key) + width_of(self.label) + 3


def offered(hints: list[Hint], cells: int) -> list[Hint]:
    """Return the hints that fit in `cells`: first those that keep their place, then the others in order."""
    room = cells - sum(hint.cells for hint in hints if hint.last)
    lasting = room >= 0
    room = room if lasting else cells
    fit: set[str] = set()
    for hint in hints:
        if not hint.last:
            room -= hint.cells
            if room < 0:
                break
            fit.add(hint.action)
    return [hint for hint in hints if hint.action in fit or (hint.last and lasting)]


class Footer(Pane):
    """The actions that apply here, each a click away. A note of what was just done takes their place for a while."""

    NAME = "footer"

    class Clicked(Message):
        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self) -> None:
        super().__init__()
        self.hints: list[Hint] = []
        self.note = ""
        self.note_ink = "accent"
        self._spots: list[tuple[int, int, str]] = []

    def rows_wanted(self, width: int) -> int:
        """Return one row, or as many as a long note takes: it is shown whole."""
        return max(1, len(self._note_lines(width)))

    def _note_lines(self, width: int) -> list[str]:
        return wrap(self.note, width - 2, NOTE_ROWS) if self.note else []

    def rows(self, width: int, height: int) -> list[Strip]:
        lines = self._note_lines(width)
        self._spots = []
        rows = [Row(width, self.palette).skip().put(line, self.note_ink) for line in lines] or [
            Row(width, self.palette).skip()
        ]
        if len(rows) == 1:
            self._put_hints(rows[0].skip(2) if lines else rows[0])
        return [row.strip() for row in rows]

    def _put_hints(self, row: Row) -> None:
        for hint in offered(self.hints, row.left):
            start = row.at
            row.put(hint.key, "key").skip().put(hint.label, hint.ink)
            self._spots.append((start, row.at, hint.action))
            row.skip(2)

    def on_click(self, event: events.Click) -> None:
        for start, stop, action in self._spots:
            if start <= event.x < stop:
                self.post_message(self.Clicked(action))
