"""The app: it follows one session and keeps the screens up to date."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from cockpit.core.state import State
from cockpit.fleet.node.signals import survive_unused_signals
from cockpit.read.needs import NOTIFIED
from cockpit.session.user import user_name
from cockpit.tui.actions.effects import OpenTour
from cockpit.tui.actions.navigation import NAVIGATION
from cockpit.tui.actions.pages import PAGE_ACTIONS
from cockpit.tui.actions.registry import Registry
from cockpit.tui.actions.replay import REPLAY
from cockpit.tui.actions.steering import PLATEAU, STEERING
from cockpit.tui.effect_runner import EffectRunner
from cockpit.tui.feed import Feed, LedgerFeed, ReplayFeed
from cockpit.tui.following import FollowedSession
from cockpit.tui.plain import plain
from cockpit.tui.screens.layout import too_small
from cockpit.tui.screens.stack import top_page
from cockpit.tui.terminal import notice
from cockpit.tui.terminal.hangup import end_with_terminal
from cockpit.tui.theme import NO_COLOUR, THEMES
from cockpit.tui.widgets.pane import Pane

POLL_S = 0.25
POLL_OVER_SSH_S = 1.0


class CockpitApp(EffectRunner):
    CSS_PATH = "cockpit.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self,
        feed: Feed,
        *,
        watch: bool = False,
        theme: str = "dark",
        bell: bool = False,
        user: str = "",
        on_ready: Callable[[], None] | None = None,
        wants_tour: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        replaying = isinstance(feed, ReplayFeed)
        watch = watch or replaying
        registry = Registry((*STEERING, *NAVIGATION, *PAGE_ACTIONS), watch, REPLAY if replaying else ())
        super().__init__(FollowedSession(feed, user or user_name(), watch), registry, theme, clock)
        self.with_bell = bell
        self.loading = True
        """True while the session is read for the first time."""
        self.warm = False
        """True once the imports that the first paint does not need are done."""
        self._on_ready = on_ready
        self._wants_tour = wants_tour
        self._alarmed: set[str] = set()
        self._noticed: set[str] | None = None
        """The needs of a person that were reported outside the terminal; None before the first look."""
        self._asked_about: set[str] = set()
        """The incumbents on whose plateau the person was asked."""
        self._titled = ""

    # Starting and following

    @property
    def state(self) -> State | None:
        return self.session.state

    def on_mount(self) -> None:
        for palette in (*THEMES.values(), NO_COLOUR):
            self.register_theme(palette.textual())
        self.theme = self.palette.name
        self.main.chart.ready = False
        self.push_screen(self.main)
        self.call_after_refresh(self._load)

    def _load(self) -> None:
        """Read the session on a thread, after the first frame."""
        if self._on_ready is not None:
            self._on_ready()
        self.run_worker(self._read, thread=True, exit_on_error=False, name="read the session")

    def _read(self) -> None:
        self.session.load()
        if self.state is not None:
            self.main.catch_up(self.state)
        self.call_from_thread(self.loaded)
        # The chart's imports take longer than the first paint may.
        import numpy  # noqa: F401
        import scipy.special  # noqa: F401
        import textual_plotext.plot  # noqa: F401

        self.call_from_thread(self._preloaded)

    def _preloaded(self) -> None:
        self.warm = self.main.chart.ready = True
        self.main.chart.paint()

    def loaded(self) -> None:
        self.loading = False
        if self.leaving:
            return
        over_ssh = bool(os.environ.get("SSH_CONNECTION"))
        self.set_interval(POLL_OVER_SSH_S if over_ssh else POLL_S, self.tick)
        self.show_state()
        self.main.query_one("#clusters", Pane).paint()
        if self.state is not None and not self.session.watch and not too_small(*self.size) and self._wants_tour():
            self.carry_out((OpenTour(),))
        self.accept_keys()

    @property
    def leaving(self) -> bool:
        """True once the screens are being removed. Timers and threads may still run."""
        return not self.is_running or not self.screen_stack

    def tick(self) -> None:
        """Look for news and draw them."""
        if self.leaving:
            return
        changed = self.session.poll()
        self.expire_note()
        for answer in self.session.answers():
            self.show_answer(answer)
        self.main.log_pane.tick()
        if changed:
            self.show_state()

    def show_state(self) -> None:
        """Draw the page that is shown, under a question too."""
        if self.leaving:
            return
        page = top_page(self)
        if page is not None and page.is_mounted:  # a page that is not mounted yet draws itself when it is
            page.show()
        self._attend()
        self._ask_on_plateau()

    def _ask_on_plateau(self) -> None:
        """Ask once for each incumbent what becomes of a session on a plateau; never while the person writes or is asked
        something else."""
        page, action = top_page(self), self.registry.named(PLATEAU)
        here = page.here() if page is not None and page is self.screen and not page.writing else None
        if here is None or action is None or here.state.incumbent in self._asked_about or action.applies(here):
            return
        self._asked_about.add(here.state.incumbent)
        self.do(action)

    def _attend(self) -> None:
        """Show the needs of a person in the title. Send one notice for each new need, and ring the bell if wanted."""
        needs = self.main.header.needs
        title = f"cockpit {self.feed.folder.name}" + (f": {', '.join(need.short for need in needs)}" if needs else "")
        if title != self._titled:
            self._titled = title
            self.write_sequence(f"\x1b]2;{plain(title)}\x07")
        keys = {f"{need.kind} {need.about}" for need in needs}
        if self.with_bell and keys - self._alarmed:
            self.bell()
        waiting = {f"{need.kind} {need.about}": need for need in needs if need.kind in NOTIFIED}
        if self.loading or self._noticed is None or self.session.watch:
            self._noticed = set(waiting)  # the screen that was just opened shows these already
        for key in waiting.keys() - self._noticed:
            session = f"cockpit {self.feed.folder.name}"
            self.write_sequence(notice.sequence(session, waiting[key].sentence, os.environ.get("TERM", "")))
        self._noticed |= waiting.keys()
        self._alarmed = keys


def run(
    session_dir: Path,
    *,
    watch: bool = False,
    mouse: bool = True,
    theme: str = "dark",
    bell: bool = False,
    on_ready: Callable[[], None] | None = None,
    wants_tour: Callable[[], bool] = lambda: False,
) -> int:
    """Show a session until the person leaves. `on_ready` is called once the first frame stands, `wants_tour` once the
    session is shown.

    Returns an exit status. Raises LedgerError when the ledger cannot be opened.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # end with the terminal, even under nohup
    survive_unused_signals()
    feed = LedgerFeed(session_dir)
    try:
        owner = feed.folder.ledger.owner()
    except (KeyError, OSError):
        owner = "someone"
    app = CockpitApp(feed, watch=watch, theme=theme, bell=bell, on_ready=on_ready, wants_tour=wants_tour)
    app.main.header.watching = owner if watch else ""
    end_with_terminal()
    app.run(mouse=mouse)
    app.session.close()
    if app.session.trouble:
        print(app.session.trouble, file=sys.stderr)
        return 1
    return app.return_code or 0


def replay(session_dir: Path, speed: float = 60.0, *, mouse: bool = True, theme: str = "dark") -> int:
    """Play a stored session again at `speed` session seconds a second. Raises LedgerError."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    survive_unused_signals()
    end_with_terminal()
    feed = ReplayFeed(session_dir, speed)
    app = CockpitApp(feed, watch=True, theme=theme)
    app.run(mouse=mouse)
    app.session.close()
    return app.return_code or 0
