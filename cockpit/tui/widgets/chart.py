"""The chart: the scores of all experiments, the learning curves of some, or the effects of a wave's factors."""

import math
import time
from typing import Literal

import msgspec
from textual import events
from textual.strip import Strip

from cockpit.core.state import State
from cockpit.decide.schedule import expected_run_s
from cockpit.read.counterfactual import one_gpu_words
from cockpit.read.learning_curves import LearningCurve, learning_curves
from cockpit.read.score_dots import ScoreDots
from cockpit.read.waves import status_word
from cockpit.tui.figures import count, difference_words, duration, score_words
from cockpit.tui.plain import plain, width_of
from cockpit.tui.rows import Ink, Row, hint_rows
from cockpit.tui.views.chart import class_offsets
from cockpit.tui.views.effects import EffectsView, effects_view
from cockpit.tui.widgets import score_plot
from cockpit.tui.widgets.effects import draw_effects, effect_rows, effects_note
from cockpit.tui.widgets.learning_curves import SPANS, CurvesLook, curves_title, draw_learning_curves
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.score_plot import (
    ALONE,
    BEST,
    CRASHED,
    KEPT,
    LABELS,
    MARKED,
    MARKS,
    ScoreAxes,
    ScorePlot,
    draw_scores,
)

View = Literal["scores", "curves", "effects"]
ZOOMS = ("all", "good region", "close")
MANY_DOTS = 5_000
"""With more dots than this, new ends are drawn every MANY_EVERY_S at most: a drawing would delay a key."""
MANY_EVERY_S = 5.0


EMPTY = "Each measured experiment is a dot here. None has been measured yet."
NO_CURVE = "None of these runs has a curve yet. A curve begins with a run's first steps."


class Chart(Listing):
    NAME = "chart"
    KEY = "4"

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.dots = ScoreDots()
        self.view: View = "scores"
        self.axes = ScoreAxes()
        self.look = CurvesLook()
        self.marked: dict[str, None] = {}
        """The experiments that the person marked, in that order."""
        self.compared: tuple[str, ...] = ()
        """The experiments whose curves are shown, beside the incumbent's."""
        self.compared_words = ""
        self.wave = ""
        """The wave whose effects are shown, if it has any."""
        self.ready = True
        """True once the plotting library is loaded."""
        self._top = 0
        self._effects: EffectsView | None = None
        self._effects_for: tuple[object, ...] = ()
        self._plot = ScorePlot()
        self._plot_for: tuple[object, ...] = ()
        self._drawn_at = 0.0
        self._curves: list[LearningCurve] = []
        self._curve_rows: list[Strip] = []
        self._curves_for: tuple[object, ...] = ()

    @property
    def attempt(self) -> str:
        """The run of the curve that stands out; empty in other views."""
        shown = self.view == "curves" and self._curves
        return self._curves[min(self.look.chosen, len(self._curves) - 1)].attempt if shown else ""

    @property
    def experiment(self) -> str:
        """The experiment under the cursor."""
        return self.attempt.split(".")[0] or self.selected

    @property
    def can_be_logarithmic(self) -> bool:
        """Return True if all values of this view are above 0."""
        if self.view == "curves":
            return all(loss > 0 for curve in self._curves for _, loss in curve.points)
        metric = self.state.session.metric if self.state is not None else None
        scores = [dot.score for dot in self.dots.by_key.values() if not math.isnan(dot.score)]
        return metric is not None and all(metric.value(score) > 0 for score in scores)

    def keys_of(self, state: State) -> list[str]:
        if self.dots.follow(state) or not self.keys:
            return list(dict.fromkeys(dot.experiment for dot in self.dots.by_key.values()))
        return self.keys

    def toggle(self, what: str) -> str:
        """Show the other view, or change an axis: time or order, logarithmic or linear. Returns words on the axis."""
        now = ""
        match what:
            case "view":
                self.view = "scores" if self.view == "effects" else "effects"
            case "axis":
                self.axes = msgspec.structs.replace(self.axes, by_time=not self.axes.by_time)
            case "log":
                if self.view == "curves":
                    self.look.log = not self.look.log
                    log = self.look.log
                else:
                    self.axes = msgspec.structs.replace(self.axes, log=not self.axes.log)
                    log = self.axes.log
                now = "the axis is logarithmic" if log else "the axis is linear"
        self.paint()
        return now

    def zoom(self, steps: int) -> str:
        """Zoom in, or out for negative steps. Returns the part that is shown, in words."""
        if self.view == "curves":
            self.look.zoom = max(0, min(len(SPANS) - 1, self.look.zoom + steps))
        else:
            self.axes = msgspec.structs.replace(self.axes, zoom=max(0, min(len(ZOOMS) - 1, self.axes.zoom + steps)))
        self.paint()
        share = SPANS[self.look.zoom]
        return f"the chart shows {share:.0%} of the budget" if self.view == "curves" else ZOOMS[self.axes.zoom]

    def compare(self, experiments: tuple[str, ...], words: str) -> None:
        """Lay the curves of these experiments over each other. `words` names them in the title."""
        self.compared, self.compared_words, self.view = experiments, words, "curves"
        self.look.chosen = 0
        self._follow_curves()
        chosen = next((n for n, curve in enumerate(self._curves) if curve.experiment == experiments[0]), 0)
        self.look.chosen = chosen
        self.look.at = self._curves[chosen].last_percent if self._curves else 1.0
        self.paint()

    def toggle_mark(self, experiment: str) -> None:
        """Mark an experiment, or take its mark away."""
        if experiment in self.marked:
            del self.marked[experiment]
        else:
            self.marked[experiment] = None
        self.paint()

    def back(self) -> bool:
        """Leave the other view, then the marks. Returns True if there was one to leave."""
        left = self.view != "scores" or bool(self.marked)
        if self.view != "scores":
            self.view = "scores"
        else:
            self.marked.clear()
        self.paint()
        return left

    def move(self, key: str) -> bool:
        if self.view == "effects":
            steps = {"up": -1, "down": 1, "page_up": -8, "page_down": 8, "top": -10_000, "bottom": 10_000}
            self._top += steps.get(key, 0)
            self.paint()
            return key in steps
        if self.view == "curves":
            return self._move_in_curves(key)
        return super().move({"left": "up", "right": "down"}.get(key, key))

    def _move_in_curves(self, key: str) -> bool:
        """Move the crosshair along the budget, or to another curve."""
        look = self.look
        steps = {"left": -0.01, "right": 0.01, "page_up": -0.1, "page_down": 0.1, "top": -1.0, "bottom": 1.0}
        if key in steps:
            look.at = max(0.0, min(1.0, round(look.at + steps[key], 2)))
        elif key in ("up", "down") and self._curves:
            look.chosen = (look.chosen + (1 if key == "down" else -1)) % len(self._curves)
            self.post_message(self.Moved(self.NAME, self.experiment))
        else:
            return False
        self.paint()
        return True

    def rows(self, width: int, height: int) -> list[Strip]:
        state = self.state
        if state is None:
            return [self.titled(width)]
        if self.view == "curves":
            return self._curves_drawn(state, width, height)
        if not self.dots.by_key or not self.ready:
            hints = (EMPTY, f"The baseline is the first: a run takes about {duration(expected_run_s(state))}.")
            return [self.titled(width), *hint_rows(width, self.palette, *(hints if self.ready else ("…",)))]
        if self.view == "effects":
            return self._effect_rows(state, width, height)
        title = self.titled(width, self._note(state))
        room = height - 2
        chosen, marked = self.selected if self.has_focus else "", frozenset(self.marked)
        wanted = (width, room, self.palette.name, self.axes, chosen, marked, self.dots.version)
        if self._plot_for != wanted and not self._skipped_stops(wanted):
            self._plot = draw_scores(self.dots, state, width, room, self.palette, self.axes, chosen, marked)
            self._plot_for, self._drawn_at = wanted, time.monotonic()
        return [title, *self._plot.rows, self._legend(state, width)]

    def _skipped_stops(self, wanted: tuple[object, ...]) -> bool:
        """Return True if there are many dots, new ones came, and the last drawing is recent."""
        same = self._plot_for[:-1] == wanted[:-1]
        return same and len(self.dots.by_key) > MANY_DOTS and time.monotonic() - self._drawn_at < MANY_EVERY_S

    def _follow_curves(self) -> None:
        if self.state is not None:
            self._curves = learning_curves(self.state, self.compared)

    def _curves_drawn(self, state: State, width: int, height: int) -> list[Strip]:
        self._follow_curves()
        curves, look = self._curves, self.look
        if not curves:
            return [self.titled(width, self.compared_words), *hint_rows(width, self.palette, NO_CURVE)]
        look.chosen = min(look.chosen, len(curves) - 1)
        note = f"{curves_title(look, short=self.bare)}  {self.compared_words}"
        if len({curve.experiment for curve in curves}) < len({*self.compared}):
            note += f"  {count(len(curves), 'curve')} of {len(self.compared)}"
        lengths = tuple((curve.attempt, len(curve.points)) for curve in curves)
        wanted = (width, height, self.palette.name, msgspec.structs.replace(look), lengths)
        if self._curves_for != wanted:
            self._curve_rows = draw_learning_curves(state, curves, look, width, height - 1, self.palette)
            self._curves_for = wanted
        return [self.titled(width, note), *self._curve_rows]

    def _effect_rows(self, state: State, width: int, height: int) -> list[Strip]:
        wanted = (self.wave, self.dots.version)
        if self._effects_for != wanted:
            self._effects, self._effects_for = effects_view(state, self.wave), wanted
        view = self._effects
        if view is None:
            hint = "The effects of a wave's factors show here. No wave with factors has been measured yet."
            return [self.titled(width, "effects"), *hint_rows(width, self.palette, hint)]
        body = effect_rows(view, width, self.palette)
        self._top = max(0, min(self._top, len(body) - height + 3))
        title = self.titled(width, f"effects of {view.wave}  {effects_note(view)}")
        return [title, *draw_effects(view, body, self._top, width, height - 1, self.palette)]

    def _note(self, state: State) -> str:
        known = state.experiments.get(self.selected) if self.has_focus else None
        if known is None:
            several = len(class_offsets(state, self.dots.classes(state))) > 1
            adjusted = "  adjusted for class" if several else ""
            log = "  log" if self.axes.log else ""
            return f"{self._axes_words(state)}  {ZOOMS[self.axes.zoom]}{log}{adjusted}"
        values = "  ".join(
            f"{score_words(state.session.metric, sum(v) / len(v))} {plain(name)}" for name, v in known.scores.items()
        )
        return f"{known.id}  {values or 'no score'}  {status_word(state, known)}"

    def _axes_words(self, state: State) -> str:
        return f"{state.session.metric.name} by {self._across}"

    @property
    def _across(self) -> str:
        """The title of the axis across."""
        return "time" if self.axes.by_time else "order"

    def _legend(self, state: State, width: int) -> Strip:
        """Return the row below the axis: each mark that is drawn, and the axes where the title has the selected dot.

        A class has the offset that is subtracted from it. An entry that does not fit is cut to two words or left out.
        """
        drawn = self._plot.marks
        classes = self.dots.classes(state)
        offsets = class_offsets(state, classes)
        entries: list[tuple[str, Ink, str]] = []
        for index, name in enumerate(classes):
            ink: Ink = self.palette["dim"] if index == 0 else self.palette.hardware(index)
            offset = f" {difference_words(state.session.metric, -offsets[name])}" if offsets.get(name) else ""
            left_out = "" if name in offsets else " not shown: no offset measured yet"
            if left_out or MARKS[index % len(MARKS)] in drawn:
                entries.append((MARKS[index % len(MARKS)], ink, f"{plain(name) or 'runs'}{offset}{left_out}"))
        worse = score_plot.worse_mark(state)
        others = (
            (KEPT, "good", "kept"), (BEST, "accent", "best"), (ALONE, "warn", one_gpu_words(state)),
            (CRASHED, "bad", "crashed"), (MARKED, "warn", "marked"), (worse, "faint", "beyond"),
        )  # fmt: skip
        entries += [(mark, ink, words) for mark, ink, words in others if mark in drawn]
        row = Row(width, self.palette).skip(LABELS)
        for mark, ink, words in entries:
            words = words if width_of(words) + 2 <= row.left else " ".join(words.split()[:2])
            if width_of(words) + 2 <= row.left:
                row.put(f"{mark} ", ink).put(words, "dim").skip(2)
        if self.has_focus and self.selected:
            words = self._axes_words(state)
            row.end(words if width_of(words) < row.left else f"by {self._across}", "dim")
        return row.strip()

    def on_click(self, event: events.Click) -> None:
        """Select the nearest dot along the axis, and open it by two clicks, or put the crosshair there."""
        if event.y < self.title_rows:
            return
        share = (event.x - LABELS) / max(1, self.size.width - LABELS - 1)
        dots = [dot for dot in self.dots.by_key.values() if not math.isnan(dot.score)]
        if self.view == "curves":
            self.look.at = self.look.place(event.x, self.size.width)
            self.paint()
        elif dots and self.view == "scores":
            by_time = self.axes.by_time
            places = [score_plot.place_of(dot, by_time) for dot in self.dots.by_key.values()]
            low, high = min(places) if by_time else 0.0, max(places)
            at = low + share * (high - low)
            nearest = min(dots, key=lambda dot: abs(score_plot.place_of(dot, by_time) - at))
            self.select_index(self.keys.index(nearest.experiment))
            if event.chain == 2:
                self.post_message(self.Opened(self.NAME))
