"""The review of a wave: its question and cost, its arms, and each arm's diff. A waiting wave can be edited."""

import msgspec
from textual.app import ComposeResult
from textual.strip import Strip

from cockpit.core.model import Wave
from cockpit.read.costs import spent_usd, wave_cost
from cockpit.read.filler import HOLD, meanwhile_words
from cockpit.read.forecasts import forecast_words
from cockpit.read.scores import score_of
from cockpit.read.waves import replaced_base
from cockpit.tui.actions.registry import Here
from cockpit.tui.figures import about_usd, clock, count, duration, money, score_words
from cockpit.tui.plain import cut, plain, wrap
from cockpit.tui.rows import Row
from cockpit.tui.screens.base import CockpitScreen, ScreenContext
from cockpit.tui.views.diffs import diff_lines
from cockpit.tui.views.review import settles
from cockpit.tui.views.waves import wave_view
from cockpit.tui.widgets.arms import Arms
from cockpit.tui.widgets.bars import Footer
from cockpit.tui.widgets.diff import Diff
from cockpit.tui.widgets.effects import WaveEffects
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.pane import Pane

LABEL = 17
LEAST_ARMS = 5
LEAST_DIFF = 3
"""The fewest rows, titles included."""


class Brief(Pane):
    """The wave's question, cost and purpose."""

    NAME = "brief"

    def __init__(self, wave: str) -> None:
        super().__init__()
        self.wave = wave

    def rows(self, width: int, height: int) -> list[Strip]:
        screen = self.screen
        assert isinstance(screen, ReviewScreen)
        wave = screen.wave_now()
        state = screen.session.state
        if wave is None or state is None:
            return []
        now = screen.session.now()
        view = wave_view(state, wave, now)
        top = Row(width, self.palette).put(f" {view.glyph} ", view.ink).put(wave.id, "key").skip(2)
        top.put(view.proposer, "agent").skip(2).put(view.word, view.ink).skip(2)
        if wave.decided_by:
            top.put(
                f"by {plain(wave.decided_by)}"
                + (f" ({plain(wave.rule)})" if wave.rule not in ("", f"person:{wave.decided_by}") else ""),
                "dim",
            )
        if state.session.fleet.simulated:
            top.end("SIMULATED ", "simulated")
        rows = [top.strip()]
        facts = [("question", wave.question), ("cost", self._cost(wave)), *settles(wave)]
        if wave.base:
            base = score_of(state, wave.base)
            value = score_words(state.session.metric, base.mean) if base else ""
            measured = f"{value} {plain(base.hardware)}" if base else "not measured yet"
            facts.append(("base", f"{wave.base}  {measured}  tier {wave.tier}"))
            if replaced_base(state, wave):
                facts.append(
                    ("stale", f"the incumbent is {state.incumbent} now, not {wave.base}: b puts the wave on it")
                )
        if wave.id in state.proposals and (meanwhile := meanwhile_words(state)):
            facts.append(("meanwhile", meanwhile if screen.session.watch else f"{meanwhile}; {HOLD}"))
        if forecast := forecast_words(screen.arms.forecasts):
            facts.append(("forecast", forecast))
        facts.extend(("changed", edit) for edit in wave.edits)
        for label, words in facts:
            for number, line in enumerate(wrap(words, max(20, width - LABEL - 1), 4)):
                row = Row(width, self.palette).put(" " + label if number == 0 else "", "dim", LABEL)
                rows.append(row.put(line, "warn" if label in ("changed", "stale", "meanwhile") else "text").strip())
        return rows

    def _cost(self, wave: Wave) -> str:
        screen = self.screen
        assert isinstance(screen, ReviewScreen)
        state = screen.session.state
        assert state is not None
        now = screen.session.now()
        coming = wave_cost(state, wave)
        spent = spent_usd(state, [state.experiments[name] for name in wave.arms], now)
        parts = [f"{money(spent)} spent"] if spent else []
        if coming.runs and state.ended_at:
            parts.append(f"{count(coming.runs, 'run')} not made: the session has ended")
        elif coming.runs:
            ends = f"ends in {duration(max(1, coming.ends_in_s))}, at {clock(now + coming.ends_in_s)}"
            parts.append(f"{count(coming.runs, 'run')} to come, {about_usd(coming.usd)}, {ends}")
        return "; ".join(parts) or "nothing"


class ReviewScreen(CockpitScreen):
    PLACE = "review"

    def __init__(self, context: ScreenContext, wave: str) -> None:
        super().__init__(context)
        self.wave = wave
        self.brief = Brief(wave)
        self.arms = Arms(wave)
        self.effects = WaveEffects(wave)
        self.tab = ""
        """The tab that the person chose: `effects` or `diff`."""
        self.diff = Diff()
        self._shown_diff = ""

    def compose(self) -> ComposeResult:
        yield self.brief
        yield self.arms
        yield self.diff
        yield self.effects
        yield Footer()

    @property
    def page(self) -> tuple[str, str]:
        return self.PLACE, self.wave

    def wave_now(self) -> Wave | None:
        state = self.session.state
        return state.waves.get(self.wave) if state else None

    def on_mount(self) -> None:
        self.set_focus(self.arms)
        self.show()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        wave = self.wave_now()
        if wave is None or not self.brief.is_attached:
            return  # the app is shutting down and removes the widgets one by one
        width, height = self.app.size
        # The brief is shown whole, as long as some rows of the arms and of a diff are left.
        brief = min(len(self.brief.rows(width, height)), height - 1 - LEAST_ARMS - LEAST_DIFF)
        arms = min(len(wave.arms) + 2, max(LEAST_ARMS, (height - brief - 1) * 3 // 5))
        effects = self._tab_shown(wave) == "effects"
        self.effects.display, self.diff.display = effects, not effects
        self.brief.styles.height = brief
        self.arms.styles.height = arms

    def turn(self, tab: str) -> None:
        self.tab = tab
        self.show()

    def _tab_shown(self, wave: Wave) -> str:
        """Return the chosen tab. Before a choice it is the effects of a wave that has results.

        The table of arms has the constants already: their diff would show each difference twice.
        """
        state = self.session.state
        assert state is not None
        measured = wave.factors and any(state.experiments[arm].scores for arm in wave.arms)
        coded = any(state.experiments[arm].change.edits for arm in wave.arms)
        return self.tab or ("effects" if measured and not coded else "diff")

    def show(self) -> None:
        state = self.session.state
        wave = self.wave_now()
        if state is None or wave is None or not self.brief.is_attached:
            return
        self.arms.tell(state, self.session.now())
        self._fit()
        self.brief.paint()
        self.effects.tell(state)
        arm = state.experiments.get(self.arms.selected)
        if arm is not None:
            key = f"{arm.id} {arm.commit} {arm.fingerprint}"
            if key != self._shown_diff:
                self._shown_diff = key
                title = f"diff of {arm.id} against {arm.base or 'nothing'}"
                self.diff.tell(
                    diff_lines(state, arm),
                    state.session.script,
                    title,
                    cut(plain(arm.why), max(0, self.app.size.width - 60)),
                )
        else:
            again = f"measured again as they are: {', '.join(wave.again)}"
            self.diff.tell([(again, "dim")], state.session.script, "again")
        self.update_footer()

    def on_listing_moved(self, event: Listing.Moved) -> None:
        self.show()

    def on_listing_opened(self, event: Listing.Opened) -> None:
        action = self.context.registry.named("open-arm")
        if action is not None:
            self.context.do(action, "")

    def with_selection(self, here: Here) -> Here:
        return msgspec.structs.replace(
            here,
            wave=self.wave,
            experiment=self.arms.selected,
            constant=self.arms.chosen_constant,
            tab=self._tab_shown(wave) if (wave := self.wave_now()) is not None else "",
        )
