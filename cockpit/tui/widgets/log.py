"""A run's log. Only the lines on the screen are read, so that a million lines cost no more than a screenful."""

import time
from array import array
from collections.abc import Callable
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip

from cockpit.core.metric import DEFAULT_NAME
from cockpit.session.plain_file import open_plain
from cockpit.tui.actions.effects import Problem, SearchStep
from cockpit.tui.figures import count
from cockpit.tui.log_index import LogIndex
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row, hint_rows
from cockpit.tui.widgets.pane import Pane

FILTERED_AT_ONCE = 50_000
SIDEWAYS = 16
NOTHING_CHOSEN = "Select a busy cluster, or an experiment, to see its log here."


class Log(Pane, can_focus=True):
    """A log that follows its end until it is scrolled up, and then counts the new lines."""

    NAME = "log"
    KEY = "3"

    def __init__(self) -> None:
        super().__init__()
        self.what = ""
        self.hint: tuple[str, ...] = (NOTHING_CHOSEN,)
        self.file: LogIndex | None = None
        self.metric = DEFAULT_NAME
        """The name of the session's metric. A line that begins with it stands out."""
        self.standing = ""
        """The state of the run beside its name: `evaluating`."""
        self.follow = True
        self.wrapped = False
        self.timed = False
        self.needle = ""
        """The text last searched for."""
        self.filter = ""
        self.top = 0
        self.sideways = 0
        self._seen = 0
        self._share: Callable[[], float] = lambda: 1.0
        self._matches = array("L")
        self._matched_to = 0
        self._height = 1

    def show(self, what: str, path: Path | None, share: Callable[[], float] = lambda: 1.0) -> None:
        """Show another log; the same log keeps its place. `share` returns the share of it to show."""
        self._share = share
        if what == self.what and (self.file is None) == (path is None):
            return
        self.what, self.file = what, LogIndex(path) if path is not None else None
        self.follow, self.top, self._seen, self.sideways = True, 0, 0, 0
        self._matches, self._matched_to = array("L"), 0
        self.tick()
        self.paint()

    def hint_at(self, paragraphs: tuple[str, ...]) -> None:
        """Show these paragraphs while there is no log."""
        if paragraphs != self.hint:
            self.hint = paragraphs
            self.paint()

    def tick(self) -> bool:
        """Read the appended lines. Returns True if there are any."""
        if self.file is None or not self.file.grow(self._share()):
            return False
        if self.file.lines < self._matched_to:
            self._matches, self._matched_to = array("L"), 0
        self.file.mark(time.time())
        self.paint()
        return True

    @property
    def count(self) -> int:
        """The lines to scroll through: all, or those that match the filter."""
        if self.file is None:
            return 0
        if not self.filter:
            return self.file.lines
        stop = min(self.file.lines, self._matched_to + FILTERED_AT_ONCE)
        if stop > self._matched_to:
            # The last line may still grow: it is matched once it is complete.
            stop = stop if stop < self.file.lines else max(self._matched_to, stop - 1)
            self._matches.extend(self.file.matching(self.filter, self._matched_to, stop))
            self._matched_to = stop
        return len(self._matches)

    def number(self, index: int) -> int:
        """Return the line number at `index` of the lines to scroll through."""
        return self._matches[index] if self.filter else index

    def rows(self, width: int, height: int) -> list[Strip]:
        self._height = room = max(1, height - 1)
        total = self.count
        if self.file is None:
            return [self.titled(width), *hint_rows(width, self.palette, *self.hint)]
        if self.follow:
            self._seen = total
            body = self._tail(total, width, room)
        else:
            self.top = max(0, min(self.top, total - 1))
            body = self._body(self.top, total, width, room)
        if not total:
            body = hint_rows(width, self.palette, "No line matches." if self.filter else "No output yet.")
        return [self.titled(width, self._note(total)), *body[:room]]

    def _note(self, total: int) -> str:
        parts = [f"{self.what} {self.standing}".strip(), count(total, "line")]
        if self.needle:
            parts.insert(0, f"/ {plain(self.needle)}")
        if self.filter:
            parts.insert(0, f"& {plain(self.filter)}")
        if not self.follow:
            newer = total - self._seen
            parts.insert(0, f"+{count(newer, 'line')}" if newer > 0 else f"at {min(total, self.top + 1):,}")
        return "  ".join(parts)

    def _tail(self, total: int, width: int, room: int) -> list[Strip]:
        body: list[Strip] = []
        index = total - 1
        while index >= 0 and len(body) < room:
            body[:0] = self._line_rows(index, width)
            index -= 1
        self.top = index + 1
        return body[-room:]

    def _body(self, top: int, total: int, width: int, room: int) -> list[Strip]:
        body: list[Strip] = []
        while top < total and len(body) < room:
            body.extend(self._line_rows(top, width))
            top += 1
        return body

    def _line_rows(self, index: int, width: int) -> list[Strip]:
        assert self.file is not None
        number = self.number(index)
        text = plain(self.file.line(number))
        prefix = ""
        if self.timed:
            came = self.file.came_at(number)
            prefix = time.strftime("%H:%M:%S ", time.localtime(came)) if came is not None else " " * 9
        ink = _ink(text, self.metric)
        room = max(1, width - len(prefix))
        pieces = wrap(text, room, 100) if self.wrapped else [text[self.sideways :]]
        rows = []
        for piece in pieces:
            row = Row(width, self.palette).put(prefix, "faint").put(piece, ink)
            rows.append(self._marked(row, piece))
            prefix = " " * len(prefix)
        return rows

    def _marked(self, row: Row, piece: str) -> Strip:
        """Return the row with the searched text in reverse."""
        segments = row.segments()
        at = piece.casefold().find(self.needle.casefold()) if self.needle else -1
        if at < 0:
            return Strip(segments, row.width)
        text = "".join(segment.text for segment in segments)
        start = text.find(piece[:at] + piece[at : at + len(self.needle)]) + at if text else 0
        strip = Strip(segments, row.width)
        left = width_of(text[:start])
        cells = width_of(text[start : start + len(self.needle)])
        parts = [strip.crop(0, left), strip.crop(left, left + cells), strip.crop(left + cells, row.width)]
        marked = Strip([Segment(s.text, (s.style or Style()) + Style(reverse=True)) for s in parts[1]], cells)
        return Strip.join([parts[0], marked, parts[2]])

    def move(self, key: str) -> bool:
        steps = {"up": -1, "down": 1, "page_up": -self._height, "page_down": self._height}
        if key == "bottom":
            self.follow = True
        elif key == "top":
            self._leave_end()
            self.top = 0
        elif key in steps:
            self._leave_end()
            self.top = max(0, self.top + steps[key])
            if self.top >= self.count - self._height:
                self.follow = steps[key] > 0
        elif key in ("left", "right"):
            self.sideways = max(0, self.sideways + (SIDEWAYS if key == "right" else -SIDEWAYS))
        else:
            return False
        self.paint()
        return True

    def _leave_end(self) -> None:
        if self.follow:
            self.follow = False
            self._seen = self.count

    def toggle_follow(self) -> None:
        if self.follow:
            self._leave_end()
        else:
            self.follow = True
        self.paint()

    def toggle_wrap(self) -> None:
        self.wrapped = not self.wrapped
        self.paint()

    def toggle_time(self) -> None:
        self.timed = not self.timed
        self.paint()

    def set_filter(self, text: str) -> None:
        self.filter, self._matches, self._matched_to = text, array("L"), 0
        self.follow = True
        while text and self.file is not None and self._matched_to < self.file.lines - 1:
            self.count  # noqa: B018  # each look takes in another part of the file
        self.paint()

    @property
    def file_name(self) -> str:
        """A name for a copy of this log; empty while there is none."""
        return self.what.split(" ")[0] + ".log" if self.file is not None else ""

    def toggle(self, what: str) -> str:
        """Follow the end, wrap lines or show times; or stop. Returns words for it."""
        {"follow": self.toggle_follow, "wrap": self.toggle_wrap, "time": self.toggle_time}[what]()
        return {
            "follow": "the log's end is followed" if self.follow else "the log's end is not followed",
            "wrap": "long lines are wrapped" if self.wrapped else "long lines are cut",
            "time": "lines show when they arrived" if self.timed else "lines show no times",
        }[what]

    def save(self, target: Path) -> Path:
        """Copy the whole log to a new file. Returns its path. Raises Problem."""
        if self.file is None:
            raise Problem("no log is shown")
        try:
            with open_plain(self.file.path) as source, target.open("xb") as copy:
                while chunk := source.read(1 << 20):
                    copy.write(chunk)
        except FileExistsError as error:
            raise Problem(f"{target} is there already: save under another name") from error
        except OSError as error:
            raise Problem(f"{target} cannot be written: {error.strerror}") from error
        return target

    def find_words(self, text: str, step: SearchStep) -> str:
        """Go to a line that contains `text`, which is marked from now on. Returns a sentence if there is none."""
        self.needle = text
        found = self._find(text.casefold(), step) if text and self.file is not None else None
        if found is not None:
            self.top = found
        self.paint()
        is_missing = text and found is None
        return f"no line {'before' if step == 'previous' else 'after'} this one contains {text!r}" if is_missing else ""

    def _find(self, wanted: str, step: SearchStep) -> int | None:
        assert self.file is not None
        total = self.count
        self._leave_end()
        match step:
            case "first":
                places = range(self.top, total)
            case "next":
                places = range(self.top + 1, total)
            case "previous":
                places = range(self.top - 1, -1, -1)
        return next((at for at in places if wanted in self.file.line(self.number(at)).casefold()), None)

    def shown_text(self) -> str:
        """Return the lines on the screen, as they are in the file."""
        if self.file is None:
            return ""
        stop = min(self.count, self.top + self._height)
        return "\n".join(plain(self.file.line(self.number(index))) for index in range(self.top, stop))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(-3)

    def _wheel(self, lines: int) -> None:
        self._leave_end()
        self.top = max(0, self.top + lines)
        if lines > 0 and self.top >= self.count - self._height:
            self.follow = True
        self.paint()


def _ink(text: str, metric: str) -> str:
    if text.lower().startswith(metric.lower()):
        return "good"
    if "Error" in text or text.startswith("Traceback"):
        return "bad"
    return "text"
