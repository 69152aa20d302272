"""The app: one feed, one state, the screens around it; what actions do, they do through here."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from cockpit.agent.claude import turn_status
from cockpit.core.intents import Intent, encode_intent
from cockpit.core.state import State
from cockpit.session.ledger import LedgerError
from cockpit.session.worker_process import user_name
from cockpit.tui.actions.navigation import LOOKING
from cockpit.tui.actions.pages import PAGING
from cockpit.tui.actions.registry import FOOTER_LASTS, Action, Here, Registry, key_name
from cockpit.tui.actions.replay import REPLAYING
from cockpit.tui.actions.steering import STEERING
from cockpit.tui.feed import Clock, Feed, LedgerFeed, ReplayFeed
from cockpit.tui.figures import duration
from cockpit.tui.plain import plain
from cockpit.tui.screens.base import CockpitScreen
from cockpit.tui.screens.dialogs import Dialog, Line
from cockpit.tui.screens.dialogs import Palette as PaletteScreen
from cockpit.tui.screens.main import MainScreen
from cockpit.tui.terminal.app import TerminalApp
from cockpit.tui.theme import NO_COLOUR, THEMES, Palette
from cockpit.tui.widgets.bars import Hint
from cockpit.tui.widgets.chart import Chart
from cockpit.tui.widgets.log import Log
from cockpit.tui.widgets.pane import Pane

POLL_S = 0.25
POLL_OVER_SSH_S = 1.0
NOTE_S = 6.0


class CockpitApp(TerminalApp):
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
        owner: str = "",
        on_ready: Callable[[], None] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(feed.folder.screen_log)
        self.feed = feed
        self.watching = watch
        self.replaying = isinstance(feed, ReplayFeed)
        self.owner = owner
        self.user = user or user_name()
        self.trouble = ""
        self.last_found = ""
        self.with_bell = bell
        replaying = REPLAYING if self.replaying else ()
        self.registry = Registry((*STEERING, *LOOKING, *PAGING), watch or self.replaying, replaying)
        self.palette: Palette = NO_COLOUR if self.no_color else THEMES.get(theme, THEMES["dark"])
        self.main = MainScreen(feed.folder.name, self.user, watch or self.replaying)
        self._on_ready = on_ready
        self._clock = clock
        self._note_until = 0.0
        self._sent: dict[int, str] = {}
        self._alarmed: set[str] = set()
        self._titled = ""
        self.loading_state = True
        """Whether the ledger is still being read for the first time."""
        self._moment = (0, 0.0)
        """Second of the session's clock, and time of the proposer's last word, when the state was last shown."""
        self.warm = False
        """Whether what is imported behind the first paint has been."""

    # Starting and following

    @property
    def state(self) -> State | None:
        return self.feed.state

    def on_mount(self) -> None:
        for palette in (*THEMES.values(), NO_COLOUR):
            self.register_theme(palette.textual())
        self.theme = self.palette.name
        self.main.chart.ready = False
        self.push_screen(self.main)
        self.call_after_refresh(self._load)

    def _load(self) -> None:
        """The frame stands; now read the ledger, beside it."""
        if self._on_ready is not None:
            self._on_ready()
        self.run_worker(self._read, thread=True, exit_on_error=False, name="read the ledger")

    def _read(self) -> None:
        try:
            self.feed.load()
            if self.feed.state is not None:
                self.main.catch_up(self.feed.state)
        except LedgerError as error:
            self.trouble = str(error)
        self.call_from_thread(self._loaded)
        # What the chart draws and reckons with takes longer to import than the first paint may.
        import numpy  # noqa: F401
        import scipy.special  # noqa: F401
        import textual_plotext.plot  # noqa: F401

        self.call_from_thread(self._warmed)

    def _warmed(self) -> None:
        self.warm = self.main.chart.ready = True
        self.main.chart.paint()

    def _loaded(self) -> None:
        self.loading_state = False
        if self.leaving:
            return
        over_ssh = bool(os.environ.get("SSH_CONNECTION"))
        self.set_interval(POLL_OVER_SSH_S if over_ssh else POLL_S, self.tick)
        self.show_state()
        self.main.query_one("#clusters", Pane).paint()

    @property
    def leaving(self) -> bool:
        """Whether the screens go or are gone already, while timers and threads still come to their ends."""
        return not self.is_running or not self.screen_stack

    def tick(self) -> None:
        """Look for news; draw what they change."""
        if self.leaving:
            return
        try:
            changed = self.feed.poll()
            trouble = ""
        except LedgerError as error:
            changed, trouble = False, str(error)
        if trouble != self.trouble and self.feed.state is not None:
            self.trouble, changed = trouble, True
        if self._note_until and self._clock() > self._note_until:
            self._note_until = 0.0
            self._footer_note("", "accent")
        self._answered()
        self.main.log_pane.tick()
        moment = (int(self.feed.now()), turn_status.written_at(self.feed.folder.agent_live))
        if changed or moment != self._moment:
            # Without news only ages grow, by the second; what a proposer says comes beside the ledger.
            self._moment = moment
            self.show_state()

    def show_state(self) -> None:
        if self.leaving:
            return
        screen = self.screen
        if isinstance(screen, CockpitScreen) and screen.is_mounted:  # one that is not yet will show itself
            screen.show()
        self._attend()

    def _answered(self) -> None:
        """Say what became of the intents that were sent."""
        state = self.state
        if state is None:
            return
        for number in [number for number in self._sent if number <= state.intent]:
            words = self._sent.pop(number)
            refused = state.refusals.get(str(number))
            if refused:
                self.note(f"not done: {refused}", "bad")
            elif words:
                self.note(f"done: {words}", "good")

    def _attend(self) -> None:
        """The title says what needs a person; the bell rings once for each new need, where wanted."""
        needs = self.main.header.needs
        title = f"cockpit {self.feed.folder.name}" + (f": {', '.join(need.text for need in needs)}" if needs else "")
        if title != self._titled:
            self._titled = title
            self._write(f"\x1b]2;{plain(title)}\x07")
        keys = {need.key for need in needs}
        if self.with_bell and keys - self._alarmed:
            self.bell()
        self._alarmed = keys

    # Acting

    def here(self) -> Here | None:
        screen = self.screen
        return screen.here() if isinstance(screen, CockpitScreen) else None

    def hints(self, here: Here) -> list[Hint]:
        return [
            Hint(a.name, key_name(a.keys[0]), a.label, last=a.footer >= FOOTER_LASTS)
            for a in self.registry.footer(here)
        ]

    def do_named(self, name: str, words: str = "") -> None:
        action = self.registry.named(name)
        if action is not None:
            self.do(action, words)

    def do(self, action: Action, words: str = "") -> None:
        """Carry an action out where the person is; a dangerous one asks first."""
        here = self.here()
        if here is None:
            if action.name in ("quit", "redraw", "theme"):
                action.run(self, None, words)  # type: ignore[arg-type]  # these three look at nothing
            return
        why_not = action.applies(here) if not words else ""
        if why_not:
            self.note(f"{action.name}: {why_not}", "warn")
            return
        if action.danger is not None:
            cost = action.danger(here) if not words else f"{action.label} {words}: sure?"
            self.confirm(cost, action.label, lambda: action.run(self, here, words))
            return
        action.run(self, here, words)

    def send(self, intent: Intent, words: str) -> None:
        """Leave an intent for the worker."""
        if self.feed.inbox is None:
            self.note("watching: nothing can be changed from here", "warn")
            return
        try:
            number = self.feed.inbox.put(self.user, encode_intent(intent))
        except LedgerError as error:
            self.note(str(error), "bad")
            return
        self._sent[number] = words
        if words:
            waits = "" if self.feed.worker.state == "running" else "; the worker is away and will do it when it is back"
            self.note(f"{words} …{waits}", "accent")

    def note(self, text: str, ink: str = "accent") -> None:
        self._note_until = self._clock() + NOTE_S
        self._footer_note(text, ink)

    def _footer_note(self, text: str, ink: str) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, CockpitScreen):
                screen.note(text, ink)

    # Asking

    def confirm(self, text: str, label: str, then: Callable[[], None]) -> None:
        """Ask, with Cancel focused."""
        dialog = Dialog(text, [("", "Cancel"), ("yes", label.capitalize())], "", "warn")
        self.push_screen(dialog, lambda answer: then() if answer == "yes" else None)

    def choose(self, text: str, choices: list[tuple[str, str]], focused: str, then: Callable[[str], None]) -> None:
        self.push_screen(Dialog(text, choices, focused), lambda answer: then(answer) if answer else None)

    def ask_line(self, question: str, then: Callable[[str], None], value: str = "", allow_empty: bool = False) -> None:
        def answered(said: str | None) -> None:
            if said is not None and (said.strip() or allow_empty):
                then(said.strip())

        self.push_screen(Line(question, value), answered)

    def open_palette(self) -> None:
        here = self.here()
        if here is not None:
            self.push_screen(PaletteScreen(here, self.registry), self._command)

    def _command(self, line: str | None) -> None:
        if line:
            name, _, words = line.partition(" ")
            self.do_named(name, words.strip())

    # Seeing

    @property
    def log_pane(self) -> Log:
        """The log that is looked at: an experiment's page has one of its own."""
        from cockpit.tui.screens.experiment import ExperimentScreen

        screen = self.screen
        return screen.log_view if isinstance(screen, ExperimentScreen) else self.main.log_pane

    @property
    def chart_pane(self) -> Chart:
        return self.main.chart

    def focus_pane(self, name: str) -> None:
        while self.screen is not self.main:
            self.pop_screen()
        self.main.go_to(name)

    def step_pane(self, steps: int) -> None:
        self.main.step(steps)

    def zoom_pane(self) -> None:
        self.main.zoom()

    def focus_say(self) -> None:
        self.focus_pane("talk")
        self.main.focus_say()

    def find(self, text: str) -> None:
        self.last_found = text
        self.find_again(True, fresh=True)

    def find_again(self, forward: bool, fresh: bool = False) -> None:
        """The next of what was searched for: a line of the log, or a name or word in the other panes."""
        text = self.last_found
        if not text:
            self.log_pane.find("")
            return
        if self.screen is not self.main:
            self.turn_page("log")
        if self.screen is not self.main or self.main.pane == "log":
            if not self.log_pane.find(text, forward, again=not fresh):
                self.note(f"no line {'after' if forward else 'before'} this holds {text!r}", "warn")
            return
        if not self.main.find(text, forward):
            self.note(f"nothing here is named {text!r}", "warn")

    def filter_log(self, text: str) -> None:
        self.log_pane.set_filter(text)

    def copy_log(self) -> None:
        self.copy_text(self.log_pane.shown_text(), "the lines on the screen")

    def save_log(self, name: str) -> None:
        file = self.log_pane.file
        if file is None:
            self.note("no log is shown", "warn")
            return
        target = Path(name).expanduser()
        try:
            with file.path.open("rb") as source, target.open("xb") as copy:
                while chunk := source.read(1 << 20):
                    copy.write(chunk)
        except FileExistsError:
            self.note(f"{target} is there already: save under another name", "bad")
        except OSError as error:
            self.note(f"{target} cannot be written: {error.strerror}", "bad")
        else:
            self.note(f"saved {target.absolute()}", "good")

    def open_wave(self, wave: str) -> None:
        from cockpit.tui.screens.review import ReviewScreen

        if not self._return_to(("review", wave)):
            self.push_screen(ReviewScreen(wave))

    def open_experiment(self, experiment: str, tab: str = "") -> None:
        from cockpit.tui.screens.experiment import ExperimentScreen

        if not self._return_to(("experiment", experiment)):
            self.push_screen(ExperimentScreen(experiment, tab))
        elif tab:
            self.turn_page(tab)

    def open_help(self) -> None:
        from cockpit.tui.screens.help import HelpScreen

        here = self.here()
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        elif here is not None:
            self.push_screen(HelpScreen(here, self.registry))

    def edit_arms(self, what: str) -> None:
        """Edit the proposal under review; `what` names the action."""
        from cockpit.tui.screens.review import ReviewScreen

        screen = self.screen
        if isinstance(screen, ReviewScreen):
            {
                "level": screen.ask_level,
                "add-factor": screen.ask_factor,
                "drop-factor": screen.drop_factor,
                "drop-arm": screen.drop_arm,
                "replicates": screen.ask_replicates,
            }[what]()

    def turn_page(self, tab: str) -> None:
        from cockpit.tui.screens.experiment import ExperimentScreen

        if isinstance(self.screen, ExperimentScreen):
            self.screen.turn(tab)

    def next_part(self) -> None:
        self.screen.focus_next()

    def go_back(self) -> None:
        if isinstance(self.screen, CockpitScreen):
            self.screen.back()

    def _return_to(self, page: tuple[str, str]) -> bool:
        """Leave what was opened from a page that is open already. Returns whether there is such a page."""
        if not any(isinstance(screen, CockpitScreen) and screen.page == page for screen in self.screen_stack):
            return False
        while not isinstance(self.screen, CockpitScreen) or self.screen.page != page:
            self.pop_screen()
        return True

    def next_theme(self, name: str = "") -> None:
        if self.no_color:
            self.note("NO_COLOR is set: there is one theme", "warn")
            return
        names = list(THEMES)
        if name and name not in names:
            self.note(f"there is no theme {name!r}: {', '.join(names)}", "bad")
            return
        at = names.index(self.palette.name) if self.palette.name in names else 0
        self.palette = THEMES[name or names[(at + 1) % len(names)]]
        self.theme = self.palette.name
        for screen in self.screen_stack:
            for pane in screen.query(Pane):
                pane.forget()
                pane.paint()
        self.show_state()

    def replay_words(self) -> str:
        feed = self.feed
        if not isinstance(feed, ReplayFeed):
            return ""
        speed = f"×{feed.speed:g}" + " paused" * feed.paused
        return f"{speed} {duration(feed.now() - feed.began)} of {duration(feed.ended - feed.began)}"

    def seek(self, at: float) -> None:
        """Show a replayed session as it was at a moment."""
        feed = self.feed
        if isinstance(feed, ReplayFeed):
            feed.seek(at)
            self.show_state()

    def leave(self) -> None:
        self.exit(0)

    async def action_quit(self) -> None:
        """Textual's own way out, by a key that goes before all others."""
        self.leave()


def run(
    session_dir: Path,
    *,
    watch: bool = False,
    mouse: bool = True,
    theme: str = "dark",
    bell: bool = False,
    on_ready: Callable[[], None] | None = None,
) -> int:
    """Show a session until the person leaves; `on_ready` is called once the first frame stands.

    Returns an exit status. Raises LedgerError when the ledger cannot be opened.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the terminal is gone: nohup or not, there is nothing left to do
    feed = LedgerFeed(session_dir, watch)
    try:
        owner = feed.folder.ledger.owner()
    except (KeyError, OSError):
        owner = "someone"
    app = CockpitApp(feed, watch=watch, theme=theme, bell=bell, owner=owner, on_ready=on_ready)
    app.main.header.watching = owner if watch else ""
    app.run(mouse=mouse)
    feed.close()
    if app.trouble:
        print(app.trouble, file=sys.stderr)
        return 1
    return app.return_code or 0


def replay(session_dir: Path, speed: float = 60.0, *, mouse: bool = True, theme: str = "dark") -> int:
    """Play a stored session again at `speed` session seconds a second. Raises LedgerError."""
    feed = ReplayFeed(session_dir, speed)
    app = CockpitApp(feed, watch=True, theme=theme)
    app.run(mouse=mouse)
    feed.close()
    return app.return_code or 0
