"""The main screen: the panes around one state."""

from collections.abc import Iterator

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.geometry import Region, Size
from textual.widgets import Input

from cockpit.agent.claude import turn_status
from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.read.attempts import current_attempt
from cockpit.read.listeners import address_words
from cockpit.read.result_query import parse_query
from cockpit.tui.actions.effects import SearchStep
from cockpit.tui.actions.registry import Here
from cockpit.tui.actions.subjects import PANES
from cockpit.tui.log_index import last_lines
from cockpit.tui.plain import plain
from cockpit.tui.screens import layout
from cockpit.tui.screens.base import CockpitScreen, ScreenContext
from cockpit.tui.views.clusters import standing
from cockpit.tui.views.entries import next_match
from cockpit.tui.views.summary import header_needs
from cockpit.tui.widgets.bars import Footer, Header
from cockpit.tui.widgets.chart import Chart
from cockpit.tui.widgets.frame import Divider, PaneArea, Tabs, TooSmall
from cockpit.tui.widgets.grid import Grid
from cockpit.tui.widgets.line import LineInput, NameSuggester
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.log import NOTHING_CHOSEN, Log
from cockpit.tui.widgets.pane import Pane
from cockpit.tui.widgets.results import Results
from cockpit.tui.widgets.stack import KeptStack
from cockpit.tui.widgets.talk import Talk
from cockpit.tui.widgets.waves import Waves

VISITED = ("results", "stack")
"""The panes that take the log's place while they have the focus."""


class MainScreen(CockpitScreen):
    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        session, watch = self.session, self.session.watch
        self.pane = "clusters"
        self.lower = "log"
        """The pane below the clusters: one of `layout.LOWER`."""
        self._before = "clusters"
        """The pane to return to from results and stack."""
        self.zoomed = False
        self.header = Header(session.feed.folder.name)
        self.footer = Footer()
        self.tabs = Tabs()
        self.grid = Grid(self._tail_of, watch)
        self.waves = Waves()
        self.log_pane = Log()
        self.chart = Chart()
        self.results = Results()
        self.results.marked = self.chart.marked
        self.stack = KeptStack()
        self.talk = Talk(session.user, watch)
        self.say = LineInput(
            placeholder="write to the proposer", id="say", select_on_focus=False, suggester=NameSuggester(self._names)
        )
        self.watch_only = watch
        self._clusters = 0
        """The number of clusters that the layout has room for."""

    def compose(self) -> ComposeResult:
        with PaneArea(regions=self.regions):
            yield self.header
            yield self.tabs
            yield Divider()
            yield self.grid
            yield self.waves
            yield self.log_pane
            yield self.chart
            yield self.talk
            yield self.results
            yield self.stack
            if not self.watch_only:
                yield self.say
            yield self.footer
            yield TooSmall(*layout.SMALLEST)

    def regions(self, size: Size) -> dict[str, Region]:
        if layout.too_small(size.width, size.height):
            return {"too_small": size.region}
        state = self.session.state
        clusters = len(state.clusters) if state else 16
        regions = layout.arrange(
            size.width, size.height, self.pane, self.zoomed, clusters, not self.watch_only,
            self.header.rows_wanted(size.width), self.lower,
        )  # fmt: skip
        rows = self.footer.rows_wanted(size.width)
        # A long note lies over the panes: they keep their places.
        regions["footer"] = Region(0, size.height - rows, size.width, rows)
        return regions

    def fit_footer(self, footer: Footer) -> None:
        if footer.size.height != footer.rows_wanted(self.app.size.width):
            self._relay()

    @property
    def place(self) -> str:
        return self.pane

    def on_mount(self) -> None:
        self.go_to(self.pane)

    def on_resize(self) -> None:
        self._relay()

    def _relay(self) -> None:
        """Lay the panes out again."""
        alone = self.zoomed or layout.is_narrow(*self.app.size)
        for name in PANES:
            pane = self.query_one(f"#{name}", Pane)
            beside = layout.beside(name)
            if pane.bare != alone or pane.beside != beside:
                pane.bare, pane.beside = alone, beside
                pane.forget()
        # The refresh of a child: a widget's own layout refresh leaves its own arrangement cached.
        self.header.refresh(layout=True)

    # The state

    def catch_up(self, state: State) -> None:
        """Read what takes long in a long session. Runs on a thread before the session is first shown."""
        self.chart.dots.follow(state)
        self.waves.queue.follow(state)

    def show(self) -> None:
        session = self.session
        state, now, worker = session.state, session.now(), session.feed.worker
        self.header.state, self.header.now, self.header.worker = state, now, worker
        trouble = session.needs_attention
        if self.header.trouble != trouble:
            self.header.trouble = trouble
            self._relay()
        if state is None:
            self.header.paint()
            return
        self.header.needs = header_needs(state, worker, now)
        self.header.replay = session.replay_words()
        self.header.paint()
        if self._clusters != len(state.clusters):
            self._clusters = len(state.clusters)
            self._relay()
        self.grid.tell(state, now)
        self.waves.tell(state, now)
        self.chart.tell(state, now)
        self.results.tell(state, now)
        self.stack.tell(state, now)
        self.say.placeholder = plain(address_words(state))
        spoken = (turn_status.read(session.feed.folder.agent_live(name)) for name in state.asks)
        self.talk.tell(state, now, tuple(filter(None, spoken)))
        self._choose_log(state)
        self._retab()
        self.update_footer()

    def _retab(self) -> None:
        self.tabs.tell(self.pane, self.query_one(f"#{self.pane}", Pane).title_note)

    def _choose_log(self, state: State) -> None:
        """Show the log of the selected cluster, or of the experiment chosen in the chart."""
        if self.pane == "log" and self.log_pane.what and not self.grid.selected:
            return
        if self._show_setup(state):
            return
        attempt = self._attempt(state)
        self.log_pane.hint_at((NOTHING_CHOSEN,) if state.attempts else self.grid.beginning)
        if not attempt:
            if not self.log_pane.what:
                self.log_pane.show("", None)
            return
        cluster = state.attempts[attempt].cluster
        feed = self.session.feed
        self.log_pane.metric = state.session.metric.name
        self.log_pane.standing = standing(state, state.attempts[attempt])
        self.log_pane.show(f"{attempt} {cluster}", feed.folder.log(attempt), lambda: feed.log_share(attempt))

    def _show_setup(self, state: State) -> bool:
        """Show the set-up's log of the selected cluster while it is launched. Returns False for any other."""
        cluster = state.clusters.get(self.grid.selected)
        launched = cluster is not None and cluster.state is ClusterState.LAUNCHING and self.pane != "chart"
        if cluster is None or not launched or state.session.fleet.kind != "sky":
            return False
        self.log_pane.show(f"set-up of {cluster.name}", self.session.feed.folder.setup_log(cluster.name))
        return True

    def _tail_of(self, attempt: str, most: int) -> list[str]:
        feed = self.session.feed
        return last_lines(feed.folder.log(attempt), most, feed.log_share(attempt))

    def _attempt(self, state: State) -> str:
        if self.pane == "chart" and self.chart.attempt in state.attempts:
            return self.chart.attempt
        if self._listed in state.experiments:
            attempt = current_attempt(state, self._listed)
            return attempt.id if attempt is not None else ""
        cluster = state.clusters.get(self.grid.selected)
        if cluster is None:
            return ""
        ended = (name for name in reversed(state.recent) if state.attempts[name].cluster == cluster.name)
        return cluster.running or next(ended, "") or next(iter(cluster.ahead), "")

    def with_selection(self, here: Here) -> Here:
        attempt = self._attempt(here.state)
        experiment = self._listed or (here.state.attempts[attempt].experiment if attempt else "")
        return msgspec.structs.replace(
            here,
            wave=self.waves.selected if self.pane == "waves" else "",
            experiment=experiment if self.pane not in ("waves", "talk") else "",
            attempt=attempt,
            cluster=self.grid.selected if self.pane in ("clusters", "log") else "",
            one_pane=layout.is_narrow(*self.app.size),
            marked=tuple(self.chart.marked),
            chart=self.chart.view,
            not_logarithmic="" if self.chart.can_be_logarithmic else "a logarithmic axis needs values above 0",
            log_filter=self.log_pane.filter,
            query=self.results.asked,
            log_name=self.log_pane.file_name,
        )

    @property
    def _listed(self) -> str:
        """The experiment that is selected in the focused list of experiments; empty in any other pane."""
        if self.pane == "chart":
            return self.chart.experiment
        lists = {"results": self.results, "stack": self.stack}
        return lists[self.pane].selected if self.pane in lists else ""

    def ask_results(self, query: str) -> None:
        """Show the experiments that a query matches."""
        state = self.session.state
        self.results.ask(query, parse_query(query, state.session.constants) if state is not None else ())

    @property
    def log_shown(self) -> Log:
        return self.log_pane

    @property
    def unsent(self) -> str:
        return self.say.text

    def find(self, text: str, step: SearchStep) -> str:
        if self.pane == "log":
            return self.log_pane.find_words(text, step)
        return "" if self._select(text, step) else f"nothing here contains {text!r}"

    def _select(self, text: str, step: SearchStep) -> bool:
        """Select the next entry of this pane whose name or words contain `text`. Returns True if there is one."""
        state = self.session.state
        pane = self.query_one(f"#{self.pane}", Pane)
        if state is None or not isinstance(pane, Listing):
            return False
        found = next_match(state, pane.keys, pane.selected, text, backward=step == "previous")
        if found:
            pane.select_index(pane.keys.index(found))
        return bool(found)

    # Panes

    def go_to(self, pane: str) -> None:
        self._visit(pane)
        widget = self.query_one(f"#{pane}", Pane)
        self._relay()
        self.set_focus(widget)
        self.call_after_refresh(self._retab)
        if self.session.state is not None:
            for listed in (self.results, self.stack):
                listed.tell(self.session.state, self.session.now())
            self._choose_log(self.session.state)
        self.update_footer()

    def _visit(self, pane: str) -> None:
        """Go to a pane. Results and stack take the log's place while they have the focus."""
        if pane not in VISITED:
            self._before = pane
        self.pane = pane
        lower = pane if pane in layout.LOWER else "log"
        if lower != self.lower:
            self.lower = lower
            self._relay()
        for listed in (self.results, self.stack):
            listed.followed = lower == listed.NAME

    def step(self, steps: int) -> None:
        self.go_to(PANES[(PANES.index(self.pane) + steps) % len(PANES)])

    def zoom(self) -> None:
        self.zoomed = not self.zoomed
        self._relay()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        # Not the event's widget: of two that had the focus in turn, either event may come last.
        name = (self.focused.id if self.focused is not None else None) or ""
        name = "talk" if name == "say" else name
        if name in PANES and name != self.pane:
            self._visit(name)
            self._retab()
        self.update_footer()

    def back(self) -> None:
        if self.zoomed:
            self.zoom()
        elif self.log_pane.filter and self.pane == "log":
            self.log_pane.set_filter("")
        elif self.log_pane.needle and self.pane == "log":
            self.log_pane.find_words("", "first")
        elif self.results.asked and self.pane == "results":
            self.ask_results("")
        elif self.pane in VISITED:
            self.go_to(self._before)
        elif self.pane == "chart" and self.chart.back():
            self.results.paint()
            self.update_footer()
        else:
            self.context.tell("there is nothing to leave here: q leaves the screen")

    def mark(self, experiment: str) -> int:
        """Mark an experiment in the chart and in the results, or take its mark away. Returns how many are marked."""
        self.chart.toggle_mark(experiment)
        self.results.paint()
        return len(self.chart.marked)

    def leave_input(self) -> None:
        self.set_focus(self.talk)
        self.update_footer()

    def focus_say(self) -> None:
        if self.watch_only:
            return
        self.go_to("talk")
        self.set_focus(self.say)

    def _names(self) -> Iterator[str]:
        """Yield the experiments and waves that a line can name, the newest first."""
        state = self.session.state
        if state is not None:
            yield from reversed(state.experiments)
            yield from reversed(state.waves)

    def on_talk_opened(self, event: Talk.Opened) -> None:
        action = self.context.registry.named("open")
        if action is not None:
            self.context.do(action, event.name)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        action = self.context.registry.named("say")
        words = self.say.text.strip()
        if not words or (action is not None and self.context.do(action, words)):
            self.say.value = ""

    def on_pane_chosen(self, event: Pane.Chosen) -> None:
        self.go_to(event.pane)

    def on_pane_retitled(self, event: Pane.Retitled) -> None:
        self._retab()

    def on_listing_moved(self, event: Listing.Moved) -> None:
        state = self.session.state
        if state is not None:
            self._choose_log(state)
            if self._listed and (attempt := self._attempt(state)):
                self.grid.point_at(state.attempts[attempt].cluster)
        if self.chart.wave != self.waves.chosen:
            self.chart.wave = self.waves.chosen
            self.chart.paint()
        self.update_footer()

    def on_listing_opened(self, event: Listing.Opened) -> None:
        action = self.context.registry.named("open")
        if action is not None:
            self.context.do(action, "")
