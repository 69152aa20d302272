"""The one place that carries out the effects of actions: it sends, asks, opens, shows and leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from cockpit.core.errors import CockpitError
from cockpit.read.wording import count
from cockpit.tui.actions.effects import (
    AskLine,
    AskResults,
    Back,
    Choose,
    CompareCurves,
    Confirm,
    CopyLog,
    Effect,
    Effects,
    FilterLog,
    Find,
    FindNext,
    FocusNext,
    FocusPane,
    FocusSay,
    Leave,
    MarkExperiment,
    Note,
    OpenEditor,
    OpenExperiment,
    OpenForm,
    OpenHelp,
    OpenKnobs,
    OpenPalette,
    OpenTour,
    OpenWave,
    PauseReplay,
    Problem,
    Redraw,
    SaveLog,
    SearchStep,
    SeekReplay,
    Send,
    SetReplaySpeed,
    SetTheme,
    ShowTab,
    SortResults,
    StepPane,
    ToggleChart,
    ToggleFiller,
    ToggleLog,
    ZoomChart,
    ZoomPane,
)
from cockpit.tui.actions.registry import Action, Here, Registry, effects_of
from cockpit.tui.feed import ReplayFeed
from cockpit.tui.following import Answer, FollowedSession
from cockpit.tui.screens.base import CockpitScreen, ScreenContext
from cockpit.tui.screens.dialogs import Dialog, Line, Writing, confirmation
from cockpit.tui.screens.main import MainScreen
from cockpit.tui.screens.palette import CommandPalette
from cockpit.tui.screens.stack import close_pages, open_page, top_page
from cockpit.tui.terminal.app import TerminalApp
from cockpit.tui.theme import NO_COLOUR, THEMES, Palette
from cockpit.tui.widgets.log import Log
from cockpit.tui.widgets.pane import Pane

NOTE_S = 6.0
PROBLEM_S = 20.0
"""A problem stays longer than a note, as it takes longer to read."""
WITHOUT_STATE = ("quit", "redraw", "theme")
"""Actions that work before the session has been read."""


class EffectRunner(TerminalApp):
    """An app that carries out actions' effects and shows the worker's answers."""

    def __init__(self, session: FollowedSession, registry: Registry, theme: str, clock: Callable[[], float]) -> None:
        super().__init__(session.feed.folder.screen_log)
        self.feed = session.feed
        self.session = session
        self.registry = registry
        self.context = ScreenContext(session, registry, self.do, self._note_here, self._forget_elsewhere)
        self.palette: Palette = NO_COLOUR if self.no_color else THEMES.get(theme, THEMES["dark"])
        self.main = MainScreen(self.context)
        self._clock = clock
        self._note_until = 0.0
        self._note_about: tuple[str, ...] = ()
        """The place that the note is about; empty for one about the session."""
        self._written: dict[int, Writing] = {}
        """The lines and forms that stay open until their intent is answered, by its number."""
        self._commands: dict[int, str] = {}
        """The palette's lines whose intents wait for an answer."""
        self._refused_line = ""
        """A line of the palette that the worker refused: the next palette begins with it."""

    def show_state(self) -> None:
        """Draw the newest state."""
        raise NotImplementedError

    # Acting

    def do(self, action: Action, words: str = "") -> bool:
        """Carry an action out at the person's place. Returns False if it cannot be done."""
        page = top_page(self)
        here = page.here() if page is not None and page is self.screen else None
        if here is None:
            return action.name in WITHOUT_STATE and self.carry_out(action.effects)
        return self._try(lambda: effects_of(action, here, words))

    def _try(self, effects: Callable[[], Effects]) -> bool:
        """Carry effects out, or show why there are none. Returns True if they were carried out."""
        try:
            return self.carry_out(effects())
        except Problem as problem:
            self._note_here(str(problem))
            return False

    def carry_out(self, effects: Effects) -> bool:
        """Carry effects out in order, up to the first that fails. Returns True if all were."""
        return all(self._carry_out(effect) for effect in effects)

    def _carry_out(self, effect: Effect) -> bool:
        """Carry one effect out. Returns False if it failed; the reason is on the screen."""
        match effect:
            case Send():
                return self._send(effect) > 0
            case Note(text, ink):
                self.note(text, ink)
            case AskLine() | Choose() | Confirm():
                self._ask(effect)
            case OpenWave() | OpenExperiment() | OpenForm() | OpenHelp() | OpenPalette() | OpenKnobs() | OpenTour():
                self._open(effect)
            case OpenEditor():
                self._edit_message()
            case ShowTab(tab):
                self._show_tab(tab)
            case FocusNext():
                self.screen.focus_next()
            case Back():
                self._page().back()
            case Leave():
                self._leave()
            case FocusPane() | StepPane() | FocusSay() | ZoomPane():
                self._go(effect)
            case Find() | FindNext() | ToggleLog() | FilterLog() | CopyLog() | SaveLog():
                return self._search_or_log(effect)
            case ToggleChart() | ZoomChart() | CompareCurves() | MarkExperiment():
                self._change_chart(effect)
            case AskResults() | SortResults() | ToggleFiller():
                self._change_table(effect)
            case SetTheme(name):
                self._set_theme(name)
            case Redraw():
                self.redraw()
            case PauseReplay() | SeekReplay() | SetReplaySpeed():
                self._control_replay(effect)
            case _:
                assert_never(effect)
        return True

    def _go(self, effect: FocusPane | StepPane | FocusSay | ZoomPane) -> None:
        """Move the focus among the panes, or give one of them the whole screen."""
        match effect:
            case FocusPane(pane):
                close_pages(self, self.main)
                self.main.go_to(pane)
            case StepPane(steps):
                self.main.step(steps)
            case FocusSay():
                close_pages(self, self.main)
                self.main.focus_say()
            case ZoomPane():
                self.main.zoom()

    def _change_table(self, effect: AskResults | SortResults | ToggleFiller) -> None:
        """Change the rows that a table of the main screen shows."""
        match effect:
            case AskResults(query):
                self.main.ask_results(query)
            case SortResults(sort):
                self.main.results.sort_by(sort)
            case ToggleFiller():
                self.main.waves.toggle_filler()

    def _search_or_log(self, effect: Find | FindNext | ToggleLog | FilterLog | CopyLog | SaveLog) -> bool:
        """Search the page, or change, copy or save its log. Returns False if it failed."""
        match effect:
            case Find(text):
                self.context.last_found = text
                return self._find("first")
            case FindNext(step):
                return self._find(step)
            case ToggleLog(what):
                self.note(self.log_shown.toggle(what))
            case FilterLog(text):
                self.log_shown.set_filter(text)
            case CopyLog():
                self.copy_text(self.log_shown.shown_text(), "the lines on the screen")
            case SaveLog(path):
                return self._save_log(path)
        return True

    def _change_chart(self, effect: ToggleChart | ZoomChart | CompareCurves | MarkExperiment) -> None:
        chart = self.main.chart
        match effect:
            case ToggleChart(what):
                if words := chart.toggle(what):
                    self.note(words)
            case ZoomChart(steps):
                self.note(chart.zoom(steps))
            case CompareCurves(experiments, words):
                chart.compare(experiments, words)
            case MarkExperiment(experiment):
                marked = self.main.mark(experiment)
                state = "marked" if experiment in chart.marked else "no longer marked"
                self.note(f"{experiment} is {state}: {count(marked, 'mark')} in all")

    def _send(self, effect: Send) -> int:
        """Send an intent. Returns its number; 0 if it could not be sent."""
        try:
            number = self.session.send(effect.intent, effect.done)
        except CockpitError as error:
            self.note(str(error), "bad")
            return 0
        if effect.asked:
            running = self.feed.worker.state == "running"
            self.note(f"{effect.asked} …{'' if running else self._waits_for()}")
        return number

    def _waits_for(self) -> str:
        """Return the end of a sentence: when an intent is carried out if no worker runs."""
        state = self.session.state
        if state is not None and state.ended_at:
            return f"; it is done once `cockpit start {state.session.name}` reopens the session"
        return "; the worker is away; it will do this when it is back"

    def note(self, text: str, ink: str = "accent") -> None:
        self._note_about = ()
        self._note_until = self._clock() + (PROBLEM_S if ink in ("bad", "warn") else NOTE_S)
        self._show_note(text, ink)

    def expire_note(self) -> None:
        """Remove an old note."""
        if self._note_until and self._clock() > self._note_until:
            self._end_note()

    def _note_here(self, text: str) -> None:
        """Show why something does not apply here. The note is removed when the person goes elsewhere."""
        here = self._page().here()
        self.note(text, "warn")
        self._note_about = here.chosen if here is not None else ()

    def _forget_elsewhere(self, here: Here) -> None:
        if self._note_about and self._note_about != here.chosen:
            self._end_note()

    def _end_note(self) -> None:
        self._note_until, self._note_about = 0.0, ()
        self._show_note("", "accent")

    def _show_note(self, text: str, ink: str) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, CockpitScreen):
                screen.note(text, ink)

    def show_answer(self, answer: Answer) -> None:
        """Show the worker's answer: beside the line that waits for it, else in the footer."""
        written = self._written.pop(answer.number, None)
        command = self._commands.pop(answer.number, "")
        if answer.refusal:
            self._refused_line = command or self._refused_line
            if written is not None and written.is_current:
                written.show_problem(answer.refusal)
            else:
                self.note(f"not done: {answer.refusal}", "bad")
            return
        if written is not None and written.is_current:
            written.dismiss()
        if answer.done:
            self.note(answer.done, "good")

    # Asking

    def _ask(self, effect: AskLine | Choose | Confirm) -> None:
        match effect:
            case AskLine(question, then, value, allow_empty, until_answered):
                self.push_screen(Line(question, value, then, allow_empty=allow_empty, until_answered=until_answered))
            case Choose(question, choices, focused, choose):
                self.push_screen(
                    Dialog(question, choices, focused),
                    lambda chosen: self._when(chosen, lambda: choose(chosen or "")),
                )
            case Confirm(question, label, effects):
                self.push_screen(confirmation(question, label), lambda chosen: self._when(chosen, lambda: effects))

    def _when(self, chosen: str | None, effects: Callable[[], Effects]) -> None:
        """Carry effects out if something was chosen."""
        if chosen:
            self._try(effects)

    def on_writing_submitted(self, event: Writing.Submitted) -> None:
        """Carry the effects of a text out. A text that waits for the worker stays open until its answer."""
        written = event.writing
        if not written.until_answered:
            self.carry_out(event.effects)
            return
        numbers = [self._send(effect) for effect in event.effects if isinstance(effect, Send)]
        if self.feed.worker.state == "running" and numbers and all(numbers):
            written.waiting = True
            self._written[numbers[-1]] = written
        elif all(numbers):
            written.dismiss()

    def _edit_message(self) -> None:
        from cockpit.tui.screens.editor import Editor  # imported when first opened, as pages are

        say, here = self.registry.named("say"), self._page().here()
        if say is not None and here is not None:
            close_pages(self, self.main)
            self.main.focus_say()
            self.push_screen(Editor(self.main.say, lambda words: effects_of(say, here, words)))

    def _open_palette(self, here: Here) -> None:
        palette = CommandPalette(here, self.registry, self._refused_line)
        self._refused_line = ""

        def chosen(effects: Effects | None) -> None:
            for effect in effects or ():
                if isinstance(effect, Send) and (number := self._send(effect)):
                    self._commands[number] = palette.line
                elif not isinstance(effect, Send) and not self._carry_out(effect):
                    return

        self.push_screen(palette, chosen)

    # Looking

    def _page(self) -> CockpitScreen:
        return top_page(self) or self.main

    @property
    def log_shown(self) -> Log:
        """The log of the page that is shown: an experiment's page has its own."""
        return self._page().log_shown or self.main.log_pane

    def _open(
        self, effect: OpenWave | OpenExperiment | OpenForm | OpenHelp | OpenPalette | OpenKnobs | OpenTour
    ) -> None:
        # Imported when first opened: the first paint does without them.
        match effect:
            case OpenWave(wave):
                from cockpit.tui.screens.review import ReviewScreen

                open_page(self, (ReviewScreen.PLACE, wave), lambda: ReviewScreen(self.context, wave))
            case OpenExperiment(experiment, tab):
                self._open_experiment(experiment, tab)
            case OpenHelp():
                self._open_help()
            case OpenPalette():
                here = self._page().here()
                if here is not None:
                    self._open_palette(here)
            case OpenForm(wave):
                from cockpit.tui.screens.form import ProposalForm

                self.push_screen(ProposalForm(self.session, wave))
            case OpenKnobs():
                from cockpit.tui.screens.knobs import KnobsScreen

                open_page(self, (KnobsScreen.PLACE, ""), lambda: KnobsScreen(self.context))
            case OpenTour():
                from cockpit.tui.screens.tour import TourScreen

                close_pages(self, self.main)
                self.push_screen(TourScreen(self.main, self.registry))

    def _open_experiment(self, experiment: str, tab: str) -> None:
        from cockpit.tui.screens.experiment import ExperimentScreen

        page = (ExperimentScreen.PLACE, experiment)
        opened = open_page(self, page, lambda: ExperimentScreen(self.context, experiment, tab))
        if tab and opened.is_mounted:
            self._show_tab(tab)

    def _open_help(self) -> None:
        """Open the help of the page that is shown, or close it if it is open."""
        from cockpit.tui.screens.help import HelpScreen

        here = self._page().here()
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        elif here is not None:
            self.push_screen(HelpScreen(self.context, here))

    def _show_tab(self, tab: str) -> None:
        if isinstance(self.screen, CockpitScreen):
            self.screen.turn(tab)

    def _find(self, step: SearchStep) -> bool:
        text = self.context.last_found
        problem = self._page().find(text, step) if text else self.log_shown.find_words("", "first")
        if problem:
            self.note(problem, "warn")
        return not problem

    def _save_log(self, name: str) -> bool:
        try:
            saved = self.log_shown.save(Path(name).expanduser())
        except Problem as problem:
            self.note(str(problem), "bad")
            return False
        self.note(f"saved {saved.absolute()}", "good")
        return True

    def _set_theme(self, name: str) -> None:
        if self.no_color:
            self.note("NO_COLOR is set: there is one theme", "warn")
            return
        names = list(THEMES)
        at = names.index(self.palette.name) if self.palette.name in names else 0
        self.palette = THEMES[name or names[(at + 1) % len(names)]]
        self.theme = self.palette.name
        for screen in self.screen_stack:
            for pane in screen.query(Pane):
                pane.forget()
                pane.paint()
        self.show_state()

    def _control_replay(self, effect: PauseReplay | SeekReplay | SetReplaySpeed) -> None:
        feed = self.feed
        if not isinstance(feed, ReplayFeed):
            return
        match effect:
            case PauseReplay():
                feed.pause()
            case SeekReplay(at):
                feed.seek(at)
            case SetReplaySpeed(speed):
                feed.speed = speed
        self.show_state()

    # Leaving

    def _leave(self) -> None:
        """Leave. Asks first if typed text would be lost."""
        unsent = [text for screen in self.screen_stack if (text := getattr(screen, "unsent", ""))]
        if not unsent:
            self.exit(0)
            return
        question = f"Leave? The text {unsent[-1]!r} has not been sent and will be lost."
        self.push_screen(confirmation(question, "leave"), lambda chosen: self.exit(0) if chosen else None)

    async def action_quit(self) -> None:
        """Leave: the way out of a question, by Textual's own action."""
        self._leave()
