"""The tour: three cards over the main screen, each at the side of the pane that it is about."""

from msgspec import Struct
from textual import events
from textual.app import ComposeResult
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.strip import Strip

from cockpit.core.model import ClusterState, Mode
from cockpit.core.state import State
from cockpit.read.listeners import listener_words, takes_words
from cockpit.read.wording import count
from cockpit.tui.actions.registry import Here, Registry, key_name
from cockpit.tui.actions.subjects import PANES
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row
from cockpit.tui.screens.main import MainScreen
from cockpit.tui.widgets.pane import Pane

CARDS = 3
WIDEST = 58
LEAST = WIDEST * 2 // 3
"""Cells beside a card from which they show whole words."""
FIRST_ROWS = 7
"""Rows of a pane above a card that lies over it."""
HEADER = 2
"""Rows above the panes."""
KEY = 6
"""Cells of a key."""
NEXT_KEYS = ("enter", "space", "right")

WHO_DECIDES = {
    Mode.MANUAL: "You propose and you approve.",
    Mode.COPILOT: "The agent proposes; nothing of it runs before you approve.",
    Mode.AUTOPILOT: "The agent runs what its envelope allows, and asks for the rest.",
}


class Card(Struct, frozen=True):
    """One card: the pane that it is about, a text, and keys with their meanings."""

    pane: str
    text: str
    keys: tuple[tuple[str, str], ...]


def tour_cards(here: Here, registry: Registry) -> tuple[Card, ...]:
    """Return the cards for what is on the screen now."""
    state = here.state

    def key(name: str, meaning: str) -> tuple[str, str]:
        action = registry.named(name)
        assert action is not None, name
        return key_name(action.keys[0]), meaning

    first, last = key(PANES[0], "")[0], key(PANES[-1], "")[0]
    return (
        Card("clusters", _clusters_text(state), (
            key("open", "opens the experiment that the selected cluster runs"),
            (f"{first}–{last}", f"go to the panes: {', '.join(PANES)}"),
            key("zoom", "gives a pane the whole screen"),
        )),
        Card("waves", _waves_text(state), (
            key("review", "shows a proposal whole: its question, arms and cost"),
            key("approve", f"approves it, {key('reject', '')[0]} rejects it; what costs money asks first"),
            key("mode", f"changes who decides: it is {state.mode} now"),
        )),
        Card("talk", _talk_text(state), (
            *([key("say", "writes to the proposer")] if takes_words(state.proposer) else []),
            key("help", "lists what applies here, every key and every word"),
            key("palette", "names every command; tour shows these cards again"),
            key("quit", "leaves; the session continues without the screen"),
        )),
    )  # fmt: skip


def _clusters_text(state: State) -> str:
    clusters = count(len(state.clusters), "cluster")
    busy = sum(cluster.state is ClusterState.BUSY for cluster in state.clusters.values())
    now = f"{busy} of {clusters} busy now" if busy else f"{clusters}, and nothing runs yet"
    return f"The clusters, and what each of them runs: {now}."


def _waves_text(state: State) -> str:
    waiting = state.proposals
    now = (
        f"{count(len(waiting), 'proposal')} for you: {', '.join(list(waiting)[:3])}."
        if waiting
        else "No proposal waits."
    )
    return f"The waves: experiments that answer one question together. {WHO_DECIDES[state.mode]} {now}"


def _talk_text(state: State) -> str:
    named = f", {plain(state.proposer)}," if state.proposer else ""
    return f"What the proposer{named} says and does. A message from you: {plain(listener_words(state))}."


def card_region(screen: Region, pane: Region, chart: Region | None, height: int) -> Region:
    """Return a card's place: over the chart, which no card is about, at the side of its pane.

    Where one pane has the whole screen, the card covers its middle: the first rows and the end of a log stay visible.
    """
    below = screen.height - height - 1
    if chart is None:
        top, width = max(0, min(pane.y + FIRST_ROWS, below)), WIDEST + 18
        if screen.width - width < LEAST:  # a strip beside it would show parts of words
            return Region(0, top, screen.width, height)
        return Region(screen.width - width - 1, top, width, height)
    width = min(WIDEST, chart.width)
    last = chart.bottom - height
    return Region(chart.x, max(HEADER, last if pane.y >= chart.bottom else min(chart.y, last)), width, height)


class CardPane(Pane, can_focus=True):
    NAME = "card"

    def __init__(self, main: MainScreen, registry: Registry) -> None:
        super().__init__()
        self.main, self.registry = main, registry
        self.number = 0
        self.pane = self.place = Region()
        """The places of the pane that the card is about, and of the card."""

    @property
    def card(self) -> Card:
        here = self.main.here()
        assert here is not None
        return tour_cards(here, self.registry)[self.number]

    def rows(self, width: int, height: int) -> list[Strip]:
        card = self.card
        ground = self.palette.box
        mark = "◀" if self.place.x >= self.pane.right else "▼" if self.place.bottom <= self.pane.y else "▲"
        hint = "⏎ next, esc leaves" if self.number + 1 < CARDS else "⏎ or esc leaves"
        name = f" {self.number + 1} of {CARDS}: {card.pane} "
        rule = "━" * (width - width_of(name) - width_of(hint) - 6)
        top = Row(width, self.palette, ground).put(f"{mark}━", "accent").put(name, "focus").put(rule, "accent")
        rows = [top.skip().put(hint, "dim").skip().put("━━", "accent")]
        rows += [Row(width, self.palette, ground).skip(2).put(line) for line in wrap(card.text, width - 4)]
        for key, meaning in card.keys:
            for number, line in enumerate(wrap(meaning, width - KEY - 4)):
                row = Row(width, self.palette, ground).skip(2).put("" if number else key, "key", KEY)
                rows.append(row.put(line, "text"))
        rows.append(Row(width, self.palette, ground).put("━" * width, "accent"))
        return [row.strip() for row in rows]


class TourScreen(ModalScreen[None]):
    """The cards, one at a time. A key that is not the tour's leaves it and does what it does without a tour."""

    AUTO_FOCUS = "#card"

    def __init__(self, main: MainScreen, registry: Registry) -> None:
        super().__init__()
        self.main = main
        self.box = CardPane(main, registry)
        self._before = main.pane

    def compose(self) -> ComposeResult:
        yield self.box

    def on_mount(self) -> None:
        self._show(0)
        self.set_interval(1.0, self.box.paint)

    def on_resize(self) -> None:
        self._place()

    def _show(self, number: int) -> None:
        """Show a card and its pane. Leave after the last card."""
        if number >= CARDS:
            self._leave()
            return
        self.box.number = max(0, number)
        self.main.go_to(self.box.card.pane)
        self._place()

    def _place(self) -> None:
        size = self.app.size
        regions = self.main.regions(size)
        pane, chart = regions.get(self.box.card.pane), regions.get("chart")
        if pane is None:  # the terminal has become too small
            self._leave()
            return
        self.box.pane = pane
        width = card_region(size.region, pane, chart, 1).width
        self.box.styles.width = width
        region = card_region(size.region, pane, chart, len(self.box.rows(width, size.height)))
        self.box.place = region
        self.box.styles.height = region.height
        self.box.styles.offset = region.offset
        self.box.forget()
        self.box.paint()

    def _leave(self) -> None:
        self.dismiss()
        self.main.go_to(self._before)

    async def take_key(self, event: events.Key) -> bool:
        if event.key in NEXT_KEYS:
            self._show(self.box.number + 1)
        elif event.key == "left":
            self._show(self.box.number - 1)
        elif event.key == "escape":
            self._leave()
        else:
            self._leave()
            return await self.main.take_key(event)
        return True

    def on_click(self, event: events.Click) -> None:
        if event.widget is self.box:
            self._show(self.box.number + 1)
        else:
            self._leave()
