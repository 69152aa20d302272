"""The table of a wave's arms: a row for each arm, a column for each constant. An edit changes the chosen cell."""

from textual import events
from textual.strip import Strip

from cockpit.core.model import Wave
from cockpit.core.state import State
from cockpit.read.forecasts import ArmForecast, forecasts_of
from cockpit.read.scores import comparison_class
from cockpit.read.warnings import MemoryLimits
from cockpit.science.forecast import RUNS_LEAST
from cockpit.tui.figures import count
from cockpit.tui.plain import cut, plain, width_of
from cockpit.tui.rows import Row, title_row
from cockpit.tui.views.changes import short_names, short_of
from cockpit.tui.views.review import ArmView, arm_view, columns, is_waiting
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.results import MARK_INK

LEAD = 10
"""Cells before the constants: glyph and id."""
LEVEL_MOST = 16
"""The most cells of a constant's column."""
CRASH = 16
"""Cells of `100% [100, 100]` and the blank after it. A score and its difference take as many."""
MEMORY_LATER = f"memory after {RUNS_LEAST} results"
"""The title of the column of memory while too few experiments have a known peak."""
FORECAST_LATER = f"forecast: from {RUNS_LEAST} such results on"
"""The title of the columns of forecasts while too few experiments have ended, or too few edits among them."""
TAIL = 50
"""Cells of the lines, runs, score and difference, and of the interval behind them. A constant matters more than a
status that is cut."""


class Arms(Listing):
    NAME = "arms"

    def __init__(self, wave: str) -> None:
        super().__init__()
        self.wave = wave
        self.column = 0
        self.names: list[str] = []
        self.memory = MemoryLimits()
        self.forecasts: dict[str, ArmForecast] = {}
        """The forecasts of the arms of a waiting wave."""
        self._forecast_at: tuple[object, ...] = ()
        self._shortened = False
        """True if the heads have short names, because there is no room for long ones."""

    def keys_of(self, state: State) -> list[str]:
        wave = state.waves[self.wave]
        self.memory.follow(state)
        self._forecast(state, wave)
        self.names = columns(state, wave)
        self.column = max(0, min(self.column, len(self.names) - 1))
        return list(wave.arms)

    def _forecast(self, state: State, wave: Wave) -> None:
        """Forecast again when a run has ended or the proposal was edited: it reads hundreds of runs."""
        at = (sum(state.outcome_counts.values()), len(wave.edits), wave.status)
        if at != self._forecast_at:
            self._forecast_at = at
            self.forecasts = forecasts_of(state, wave.arms) if is_waiting(wave) else {}

    @property
    def chosen_constant(self) -> str:
        return self.names[self.column] if self.names else ""

    def rows(self, width: int, height: int) -> list[Strip]:
        state = self.state
        if state is None:
            return []
        wave: Wave = state.waves[self.wave]
        shown = self.window(height - 2)
        views = [
            arm_view(state, state.experiments[key], self.names, self.memory, self.forecasts.get(key)) for key in shown
        ]
        widths = self._fitted(views, width)
        note = count(len(wave.arms), "arm") + (f", {len(wave.again)} again" if wave.again else "")
        hardware = comparison_class(state)
        if hardware and any(view.score is not None for view in views):
            note += f", {plain(state.session.metric.name)} on {plain(hardware)}"
        head = Row(width, self.palette).put("  arm", "dim").to(LEAD)
        for index, name in enumerate(self.names):
            if widths[index]:
                title = self._title(name)
                head.put(title, "focus" if index == self.column else "dim", widths[index]).skip()
        if hidden := widths.count(0):
            note = f"← → show {count(hidden, 'more constant')}  {note}"
        if self._shortened:
            note = "  ".join([*short_names([self.chosen_constant]), note])
        head.put("lines", "dim", 8).put("runs", "dim", 5)
        if self.forecasts:
            lacks_runs = any(view.crash and not view.memory for view in views)
            head.put("crash", "dim", CRASH).put(MEMORY_LATER if lacks_runs else "memory", "dim")
        elif is_waiting(wave) and not any(view.score for view in views):
            head.put(FORECAST_LATER, "dim")
        else:
            head.put(cut(plain(state.session.metric.name), 9), "dim", 10).put("Δ base", "dim", 8)
        rows = [title_row(width, self.palette, "arms", note, self.has_focus), head.strip()]
        return rows + [self._row(view, widths, width, hardware) for view in views]

    def _title(self, name: str) -> str:
        return short_of(name) if self._shortened else plain(name)

    def _fitted(self, views: list[ArmView], width: int) -> list[int]:
        """Return each constant's width. The names are short if not all of them fit."""
        self._shortened = False
        widths = self._widths(views, width)
        if all(widths[at] >= width_of(plain(name)) for at, name in enumerate(self.names)):
            return widths
        self._shortened = True
        return self._widths(views, width)

    def _widths(self, views: list[ArmView], width: int) -> list[int]:
        """Return each constant's width. Constants that do not fit get 0; the chosen one always fits."""
        room = width - LEAD - TAIL
        wanted = [
            max([width_of(self._title(name))] + [width_of(view.levels.get(name, "")) for view in views])
            for name in self.names
        ]
        widths = [min(LEVEL_MOST, cells) for cells in wanted]
        order = sorted(range(len(widths)), key=lambda index: index != self.column)
        shown = [0] * len(widths)
        for index in order:
            if widths[index] + 1 <= room:
                shown[index] = widths[index]
                room -= widths[index] + 1
        return shown

    def _row(self, view: ArmView, widths: list[int], width: int, hardware: str) -> Strip:
        chosen = view.id == self.selected
        row = Row(width, self.palette, self.palette.selection if chosen else None)
        row.put(view.glyph, view.ink).skip().put(view.id, "key", LEAD - 3).to(LEAD)
        for index, name in enumerate(self.names):
            if not widths[index]:
                continue
            level = view.levels.get(name, "")
            here = chosen and index == self.column
            row.put(level, "focus" if here else "dim" if name in view.same else "text", widths[index]).skip()
        row.put(view.patch, "info", 8).put(f"×{view.runs}" if view.runs > 1 else "", "dim", 5)
        if view.crash:
            row.put(view.crash, "warn" if view.likely else "dim", CRASH)
            row.put(view.memory, "dim").skip(2 if view.memory else 0)
            return row.put(view.warning, "warn").strip()
        elsewhere = view.score is not None and view.score.hardware != hardware
        if view.score is not None and not elsewhere:
            row.put(view.value, "text").put(f" {view.mark}" if view.mark else "", MARK_INK.get(view.mark, "dim"))
            row.skip(max(0, 10 - width_of(view.value) - (2 if view.mark else 0)))
            row.put(view.delta_words, _ink_of(view.delta), 8)
        else:
            row.skip(18)
        if view.score is not None and elsewhere:
            delta = f" {view.delta_words}" if view.delta_words else ""
            row.put(f"{view.value}{view.mark and f' {view.mark}'}{delta} on {plain(view.score.hardware)} ", "info")
        memory = view.warning.startswith(("memory", "the same"))
        return row.put(view.warning, "warn" if memory else "dim").strip()

    def move(self, key: str) -> bool:
        if key in ("left", "right") and self.names:
            self.column = (self.column + (1 if key == "right" else -1)) % len(self.names)
            self.paint()
            return True
        return super().move(key)

    def on_click(self, event: events.Click) -> None:
        if event.y >= 2:
            self.select_index(self.top + event.y - 2)
            if event.chain == 2:
                self.post_message(self.Opened(self.NAME))


def _ink_of(delta: float | None) -> str:
    return "good" if delta is not None and delta < 0 else "dim"
