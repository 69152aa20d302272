"""An experiment's page: its verdict, its attempts, and its constants, diff, curve or log."""

from collections.abc import Mapping

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.strip import Strip

from cockpit.core.curves import points_of
from cockpit.core.knobs import knob_words
from cockpit.core.metric import precise
from cockpit.core.model import Attempt, AttemptStatus, Experiment, Outcome, Value
from cockpit.core.state import State, constants_of
from cockpit.read.attempts import current_attempt
from cockpit.read.checks import checks_of
from cockpit.read.rival import rival_curve, rival_loss
from cockpit.read.scores import kept_estimate
from cockpit.read.state_words import run_word
from cockpit.read.waves import status_word
from cockpit.read.wording import runs_words, with_minus
from cockpit.tui.actions.effects import SearchStep
from cockpit.tui.actions.registry import Here
from cockpit.tui.figures import clock, difference_words, duration, score_words, signed, span_words, value
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Ink, Row, hint_rows, title_row
from cockpit.tui.screens.base import CockpitScreen, ScreenContext
from cockpit.tui.views.clusters import standing
from cockpit.tui.views.diffs import diff_lines
from cockpit.tui.views.review import glyph_of
from cockpit.tui.widgets.bars import Footer
from cockpit.tui.widgets.curve import draw_curves, shown_from
from cockpit.tui.widgets.diff import Diff
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.log import Log
from cockpit.tui.widgets.pane import Pane
from cockpit.tui.widgets.text import Lines

LABEL = 12


class Verdict(Pane):
    """The experiment's name, status and scores, and the reason."""

    NAME = "verdict"

    def rows(self, width: int, height: int) -> list[Strip]:
        screen = self.screen
        assert isinstance(screen, ExperimentScreen)
        known, state = screen.known(), screen.session.state
        if known is None or state is None:
            return []
        metric = state.session.metric
        glyph, ink = glyph_of(state, known)
        top = Row(width, self.palette).put(f" {glyph} ", ink).put(known.id, "key").skip(2)
        top.put(status_word(state, known), ink).skip(2)
        if known.id == state.incumbent:
            top.put("incumbent", "good").skip(2)
        for hardware, scores in known.scores.items():
            top.put(score_words(metric, sum(scores) / len(scores)), "text").skip()
            top.put(f"{plain(hardware)}" + (f" ×{len(scores)}" if len(scores) > 1 else ""), "dim").skip(2)
        if state.session.fleet.simulated:
            top.end("SIMULATED ", "simulated")
        rows = [top.strip()]
        estimate = kept_estimate(state, known.id)
        facts = [("why", known.why), ("verdict", with_minus(known.reason))]
        if estimate is not None:
            interval = span_words(metric, estimate)
            words = (
                f"{difference_words(metric, estimate.mean)} {interval} against {estimate.against}, {estimate.level:.0%}"
            )
            facts.append(("estimate", f"{words}, {runs_words(estimate)}, {estimate.hardware}"))
        facts.append(("checks", checks_of(state, known)))
        base = f"{known.base or 'none'}  wave {known.wave}  tier {known.tier}  {known.train_hash[:12]}"
        facts.append(("base", base))
        for label, words in facts:
            for number, line in enumerate(wrap(words, max(20, width - LABEL - 1), 3) if words else []):
                rows.append(
                    Row(width, self.palette).put(" " + label if not number else "", "dim", LABEL).put(line).strip()
                )
        return rows


def outcome_ink(outcome: Outcome | None) -> str:
    """Return the role of an outcome: a run that was ended on purpose is not a fault."""
    if outcome in (Outcome.CANCELLED, Outcome.HOPELESS):
        return "dim"
    return "good" if outcome is Outcome.VALID else "bad"


def _names(attempt: Attempt) -> tuple[str, str, str, str]:
    """Return the attempt, its kind, its cluster and the class of that, in words."""
    return plain(attempt.id), str(attempt.kind), plain(attempt.cluster) or "–", plain(attempt.hardware)


class Attempts(Listing):
    """The attempts: cluster, outcome and score of each."""

    NAME = "attempts"

    def __init__(self, experiment: str) -> None:
        super().__init__()
        self.experiment = experiment

    def keys_of(self, state: State) -> list[str]:
        keys = list(reversed(state.experiments[self.experiment].attempts))
        current = current_attempt(state, self.experiment)
        if not self.selected and current is not None:
            self.selected = current.id
        return keys

    def rows(self, width: int, height: int) -> list[Strip]:
        rows = [title_row(width, self.palette, "attempts", str(len(self.keys)), self.has_focus)]
        if self.state is None:
            return rows
        if not self.keys:
            rows.append(Row(width, self.palette).put(" It has not run yet.", "dim").strip())
        shown = [self.state.attempts[key] for key in self.window(height - 1)]
        names = [_names(attempt) for attempt in shown]
        cells = [max(map(width_of, column)) + 1 for column in zip(*names, strict=True)]
        return rows + [self._row(self.state, attempt, width, cells) for attempt in shown]

    def on_click(self, event: events.Click) -> None:
        if event.y >= 1:
            self.select_index(self.top + event.y - 1)

    def _row(self, state: State, attempt: Attempt, width: int, cells: list[int]) -> Strip:
        metric = state.session.metric
        row = Row(width, self.palette, self.palette.selection if attempt.id == self.selected else None).skip()
        for name, ink, column in zip(_names(attempt), ("key", "dim", "text", "dim"), cells, strict=True):
            row.put(name, ink, column)
        done = attempt.status is AttemptStatus.ENDED
        row.put(run_word(state, attempt), outcome_ink(attempt.outcome) if done else "text", 10)
        if attempt.metrics is not None:
            row.put(precise(metric.value(attempt.metrics.score)), "text", 9)
        if attempt.started_at:
            until = attempt.ended_at if done else self.now
            row.put(f"{clock(attempt.started_at)} {duration(until - attempt.started_at)}", "dim", 14)
        others = attempt.metrics.others if attempt.metrics is not None else {}
        second = "  ".join(f"{name} {value:.6g}" for name, value in others.items())
        return row.put(plain(attempt.message or second), "dim").strip()


class Curve(Pane):
    """The training loss of the chosen attempt, beside the incumbent's."""

    def rows(self, width: int, height: int) -> list[Strip]:
        screen = self.screen
        assert isinstance(screen, ExperimentScreen)
        state = screen.session.state
        attempt = state.attempts.get(screen.attempts.selected) if state else None
        curve = points_of(attempt.curve) if attempt else []
        if state is None or attempt is None or len(curve) < 2:
            ended = attempt is not None and attempt.status is AttemptStatus.ENDED
            words = "This run left no curve." if ended else "The curve begins with the first steps."
            hint = hint_rows(width, self.palette, words)
            return [title_row(width, self.palette, "loss", "", False), *hint]
        rival = rival_curve(state, attempt.hardware)
        fraction, loss = curve[-1]
        against = rival_loss(state, attempt, fraction)
        delta = f"{signed(loss - against, 3)} to the incumbent's" if against is not None else ""
        late = shown_from(curve)
        title = f"loss, from {late:.0%} of the budget" if late else "loss"
        rows = [title_row(width, self.palette, title, f"{loss:.4f} at {fraction:.0%}  {delta}", False)]
        return rows + draw_curves(curve, rival, width, height - 1, self.palette)


class ExperimentScreen(CockpitScreen):
    PLACE = "experiment"

    def __init__(self, context: ScreenContext, experiment: str, tab: str = "") -> None:
        super().__init__(context)
        self.experiment = experiment
        self.tab = tab or "constants"
        self.verdict = Verdict()
        self.attempts = Attempts(experiment)
        self.curve = Curve("curve")
        self.large_curve = Curve("large_curve")
        """The curve over the whole width: for narrow pages, and for the `curve` tab."""
        self.text = Lines("text", "constants")
        self.diff = Diff()
        self.log_view = Log()
        self._shown_text: tuple[str, str] = ("", "")

    def compose(self) -> ComposeResult:
        yield self.verdict
        with Horizontal(id="upper"):
            yield self.attempts
            yield self.curve
        yield self.text
        yield self.diff
        yield self.large_curve
        yield self.log_view
        yield Footer()

    @property
    def page(self) -> tuple[str, str]:
        return self.PLACE, self.experiment

    def known(self) -> Experiment | None:
        state = self.session.state
        return state.experiments.get(self.experiment) if state else None

    def on_mount(self) -> None:
        self.set_focus(self.attempts)
        self.turn(self.tab)

    def on_resize(self) -> None:
        self.show()

    def turn(self, tab: str) -> None:
        """Show constants, diff, curve or log in the lower half."""
        self.tab = tab
        self.log_view.display = tab == "log"
        self.large_curve.display = tab == "curve"
        self.diff.display = tab == "diff"
        self.text.display = tab == "constants"
        self._shown_text = ("", "")
        self.show()

    def show(self) -> None:
        state, known = self.session.state, self.known()
        if state is None or known is None or not self.verdict.is_attached:
            return  # the app is shutting down and removes the widgets one by one
        width, height = self.app.size
        self.verdict.styles.height = min(len(self.verdict.rows(width, height)), height // 3)
        wide = width >= 100
        rows = max(4, min(len(known.attempts) + 1, 8))
        curved = any(len(state.attempts[name].curve) > 0 for name in known.attempts)
        upper = max(9, min(16, height // 3)) if wide and curved else rows
        self.query_one("#upper").styles.height = upper
        self.curve.display = wide
        self.verdict.paint()
        self.attempts.tell(state, self.session.now())
        self.curve.paint()
        self.large_curve.paint()
        attempt = self.attempts.selected
        if self.tab == "log":
            feed = self.session.feed
            run = state.attempts.get(attempt)
            self.log_view.metric = state.session.metric.name
            self.log_view.standing = standing(state, run) if run is not None else ""
            path = feed.folder.log(attempt) if attempt else None
            self.log_view.show(attempt, path, lambda: feed.log_share(attempt))
            self.log_view.tick()
        elif self.tab in ("constants", "diff") and self._shown_text != (self.tab, known.commit):
            self._shown_text = (self.tab, known.commit)
            if self.tab == "diff":
                self.diff.tell(diff_lines(state, known), state.session.script, f"diff against {known.base}")
            else:
                self.text.tell(constant_lines(state, known), "constants that differ from the baseline")
        self.update_footer()

    def on_listing_moved(self, event: Listing.Moved) -> None:
        self.show()

    def with_selection(self, here: Here) -> Here:
        return msgspec.structs.replace(
            here,
            experiment=self.experiment,
            attempt=self.attempts.selected,
            tab=self.tab,
            log_filter=self.log_view.filter,
            log_name=self.log_view.file_name,
        )

    @property
    def log_shown(self) -> Log:
        return self.log_view

    def find(self, text: str, step: SearchStep) -> str:
        self.turn("log")
        return self.log_view.find_words(text, step)


def constant_lines(state: State, known: Experiment) -> list[tuple[str, Ink]]:
    """Return a line for each constant that differs from the baseline: its value there, in the base and here."""
    baseline = dict(state.session.constants)
    base = constants_of(state, known.base) if known.base in state.experiments else baseline
    mine = constants_of(state, known.id)
    names = [name for name in mine if mine[name] != baseline.get(name) or mine[name] != base.get(name)]
    if not names:
        code = "none: it is the baseline's code" + (" with a patch" if known.change.edits else "")
        return [(code, "dim"), *_settings(state)]
    wide = max(len(name) for name in names)

    def word(constants: Mapping[str, Value], name: str) -> str:
        return value(constants[name]) if name in constants else "–"

    lines: list[tuple[str, Ink]] = [(f" {'':{wide}}  {'baseline':>14}  {'base':>14}  {'here':>14}", "dim")]
    for name in names:
        there = "  ".join(f"{word(constants, name):>14}" for constants in (baseline, base, mine))
        lines.append((f" {name:{wide}}  {there}", "key" if mine.get(name) != base.get(name) else "text"))
    return [*lines, *_settings(state)]


def _settings(state: State) -> list[tuple[str, Ink]]:
    """Return a line for each knob that was set during the session."""
    by_hand = [(name, one) for name, one in state.session.ranges.items() if one.set_by]
    return [(f" {name}: {knob_words(one)} (set by {one.set_by})", "dim") for name, one in by_hand]
