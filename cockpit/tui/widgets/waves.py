"""The wave queue: two rows for each wave, those that wait for a person on top."""

from textual import events
from textual.strip import Strip

from cockpit.core.model import Wave
from cockpit.core.state import State
from cockpit.read.filler import filler_running
from cockpit.read.questions import Questions
from cockpit.tui.figures import about_usd, count, duration, money
from cockpit.tui.plain import plain, width_of
from cockpit.tui.rows import Row, hint_rows
from cockpit.tui.theme import Palette
from cockpit.tui.views.queue import FILLER, FillerView, Queue, queued
from cockpit.tui.views.waves import WaveView, wave_view
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.results import MARK_INK

EMPTY = (
    "No wave has been proposed yet. Each wave is a question with its arms; those that wait for you are on top.",
    "The baseline runs first, then the proposer asks. `cockpit propose DEPTH=9,10` asks one of your own.",
)

UNASKED = "runs unasked: space holds it"


class Waves(Listing):
    NAME = "waves"
    KEY = "2"

    def __init__(self) -> None:
        super().__init__()
        self.item_rows = 2
        self.queue = Queue()
        self.questions = Questions()
        self._explained = ""
        """The meaning of the short names in the selected row."""
        self.opened = False
        """True while the filler's own waves are shown."""
        self.chosen = ""
        """The wave that the person selected. While it is empty the first wave is selected."""

    def keys_of(self, state: State) -> list[str]:
        self.queue.follow(state)
        self.questions.follow(state)
        return self.queue.keys(state, self.opened)

    def tell(self, state: State, now: float) -> None:
        super().tell(state, now)
        if self.chosen != self.selected and self.keys and self.selected != self.keys[0]:
            self.selected, self.chosen = self.keys[0], ""
            self.paint()

    def select_index(self, index: int) -> None:
        super().select_index(index)
        self.chosen = self.selected

    def window(self, most: int) -> list[str]:
        """Show the first waves, which wait or run, while another pane has the focus."""
        if self.has_focus:
            return super().window(most)
        self.top = 0
        return self.keys[:most]

    def toggle_filler(self) -> None:
        self.opened = not self.opened
        if self.state is not None:
            self.tell(self.state, self.now)

    def rows(self, width: int, height: int) -> list[Strip]:
        state = self.state
        if state is None:
            return [self.titled(width)]
        waiting, running = len(state.proposals), len(queued(state))
        undone = [(waiting, "waiting"), (running, "open")] if not state.ended_at else [(waiting + running, "not done")]
        counts = [*undone, (len(self.queue.asked), "in all")]
        note = "  ".join(f"{number} {word}" for number, word in counts if number)
        self._explained = ""
        rows = []
        if not self.keys:
            rows += hint_rows(width, self.palette, *EMPTY)
        for key in self.window((height - 1) // self.item_rows):
            chosen = key == self.selected
            if key == FILLER:
                rows.extend(
                    filler_rows(
                        self.queue.filler(state, self.now),
                        self.opened,
                        width,
                        self.palette,
                        chosen,
                        _filler_note(state),
                    )
                )
            else:
                rows.extend(self._wave_rows(state, state.waves[key], width, chosen))
        return [self.titled(width, "  ".join(filter(None, (self._explained, note))) if self.keys else ""), *rows]

    def _wave_rows(self, state: State, wave: Wave, width: int, chosen: bool) -> list[Strip]:
        question = plain(self.questions.differing_first(wave))
        view = wave_view(state, wave, self.now)
        drawn = wave_rows(view, question, width, self.palette, chosen)
        if chosen and self.has_focus:
            self._explained = view.shape.explained(drawn[1].text)
        return drawn

    def on_click(self, event: events.Click) -> None:
        if event.y < self.title_rows:
            return
        self.select_index(self.top + (event.y - self.title_rows) // self.item_rows)
        if event.chain == 2:
            self.post_message(self.Opened(self.NAME))


def wave_rows(view: WaveView, question: str, width: int, palette: Palette, selected: bool) -> list[Strip]:
    ground = palette.selection if selected else None
    first, second = Row(width, palette, ground), Row(width, palette, ground)
    first.put(view.glyph, view.ink).skip().put(view.id, "key" if view.ink != "faint" else "dim").skip()
    tail = view.word
    first.put(question, "text" if view.ink not in ("faint", "dim") else "dim", max(8, first.left - len(tail) - 1))
    first.end(tail, view.ink)
    second.skip(2).put(view.proposer, "agent", 8).skip()
    if not view.waiting and view.arms and (view.done or not view.over):
        second.bar(view.done / view.arms, min(10, max(4, width // 10))).skip()
        second.put(f"{view.done}/{view.arms}", "dim").skip(2)
    else:
        second.put(count(view.arms, "arm"), "dim").skip(2)
    if view.waiting:
        tail = f"{about_usd(view.coming_usd)}, {duration(view.ends_in_s)}"
    elif view.coming_usd:
        tail = f"{money(view.spent_usd)} + {money(view.coming_usd)}"
    else:
        tail = money(view.spent_usd) if view.spent_usd else ""
    said = (view.best, view.best_words, view.best_mark, view.best_class)
    best = " ".join(filter(None, said)) if view.best_delta is not None else ""
    room = second.left - len(tail) - len(best) - 3
    if room >= 6:
        second.put(view.shape.within(room), "dim", room)
        second.skip()
    if best and len(best) < second.left - len(tail):
        second.put(view.best, "dim").skip()
        second.put(view.best_words, "good" if (view.best_delta or 0.0) < 0 else "dim")
        if view.best_mark:
            second.skip().put(view.best_mark, MARK_INK[view.best_mark])
        if view.best_class:
            second.skip().put(view.best_class, "dim")
    second.end(tail, "dim")
    return [first.strip(), second.strip()]


def _filler_note(state: State) -> str:
    """Return the state of the filler: its new arms run, or they are held."""
    if not state.envelope.filler:
        return "replicates only"
    return UNASKED if filler_running(state) else ""


def filler_rows(
    view: FillerView, opened: bool, width: int, palette: Palette, selected: bool, note: str = ""
) -> list[Strip]:
    ground = palette.selection if selected else None
    first, second = Row(width, palette, ground), Row(width, palette, ground)
    first.put("▾" if opened else "▸", "dim").skip().put(FILLER, "key").skip()
    first.put(f"{count(view.tried, 'arm')} tried" + (f", {view.running} running" if view.running else ""))
    toggles = "⏎ closes" if opened else "⏎ opens"
    said = f"{note}  {toggles}" if note else toggles
    first.end(said if width_of(said) < first.left else toggles, "warn" if note else "faint")
    second.skip(2)
    if view.best and view.best_delta is not None:
        second.put(f"best {view.best}", "dim").skip()
        second.put(view.best_words, "good" if view.best_delta < 0 else "dim")
        if view.best_class:
            second.skip().put(view.best_class, "dim")
    else:
        second.put("keeps idle clusters measuring", "dim")
    second.end(money(view.spent_usd) if view.spent_usd else "", "dim")
    return [first.strip(), second.strip()]
