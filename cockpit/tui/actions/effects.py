"""The effects that an action returns. An action never touches the app; the app carries its effects out."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from cockpit.core.intents import Intent


class Problem(Exception):
    """A reason why an action cannot be carried out as asked; the message is one sentence."""


class Send(Struct, frozen=True):
    """Send an intent to the worker. The footer shows `asked` until it is answered, and then `done`."""

    intent: Intent
    asked: str = ""
    done: str = ""


class Note(Struct, frozen=True):
    """Show a sentence in the footer for some seconds."""

    text: str
    ink: str = "accent"


# Questions


class AskLine(Struct, frozen=True):
    """Ask for one line. `then` turns it into effects, or raises Problem, which is shown while the line stays open."""

    question: str
    then: "Callable[[str], Effects]"
    value: str = ""
    allow_empty: bool = False
    until_answered: bool = False
    """Keep the line open until the worker has answered, and show a refusal beside it."""


class Choose(Struct, frozen=True):
    """Ask for one of `choices`, (value, words) each. An empty value cancels."""

    question: str
    choices: tuple[tuple[str, str], ...]
    focused: str
    then: "Callable[[str], Effects]"


class Confirm(Struct, frozen=True):
    """Ask whether to carry `effects` out. Cancel is focused."""

    question: str
    label: str
    effects: "Effects"


# Pages


class OpenWave(Struct, frozen=True):
    wave: str


class OpenExperiment(Struct, frozen=True):
    experiment: str
    tab: str = ""


class OpenForm(Struct, frozen=True):
    """Edit a waiting proposal as a whole."""

    wave: str


class OpenHelp(Struct, frozen=True):
    pass


class OpenPalette(Struct, frozen=True):
    pass


class OpenKnobs(Struct, frozen=True):
    """List the knobs: what search varies, and why it leaves the others alone."""


class OpenTour(Struct, frozen=True):
    """Show the cards of the first opening."""


class OpenEditor(Struct, frozen=True):
    """Edit the message that is being written, in several lines."""


class ShowTab(Struct, frozen=True):
    """Show one tab of an experiment's or a wave's page."""

    tab: str


class FocusNext(Struct, frozen=True):
    """Focus the next part of the page."""


class Back(Struct, frozen=True):
    pass


class Leave(Struct, frozen=True):
    """Leave the screen. The worker continues."""


# Panes


class FocusPane(Struct, frozen=True):
    pane: str


class StepPane(Struct, frozen=True):
    """Focus the pane `steps` places further."""

    steps: int


class FocusSay(Struct, frozen=True):
    """Focus the line in which the person writes to the proposer."""


class ZoomPane(Struct, frozen=True):
    """Give the focused pane the whole screen, or take it back."""


SearchStep = Literal["first", "next", "previous"]
"""A step of a search: to the first match from here on, or to another one."""


class Find(Struct, frozen=True):
    text: str


class FindNext(Struct, frozen=True):
    step: Literal["next", "previous"]


class ToggleLog(Struct, frozen=True):
    what: Literal["follow", "wrap", "time"]


class FilterLog(Struct, frozen=True):
    text: str


class CopyLog(Struct, frozen=True):
    pass


class SaveLog(Struct, frozen=True):
    path: str


class ToggleChart(Struct, frozen=True):
    what: Literal["view", "axis", "log"]


class ZoomChart(Struct, frozen=True):
    steps: int


class CompareCurves(Struct, frozen=True):
    """Lay the learning curves of experiments over each other in the chart. `words` names them."""

    experiments: tuple[str, ...]
    words: str


class MarkExperiment(Struct, frozen=True):
    """Mark an experiment for a comparison, or take its mark away."""

    experiment: str


class AskResults(Struct, frozen=True):
    """Show the results that a query matches; all for an empty one."""

    query: str


class SortResults(Struct, frozen=True):
    """Order the results, by the next order for an empty name."""

    sort: str = ""


class ToggleFiller(Struct, frozen=True):
    """Show or hide the filler's own waves in the queue."""


# The screen


class SetTheme(Struct, frozen=True):
    """Set the theme of that name; the next one for an empty name."""

    name: str = ""


class Redraw(Struct, frozen=True):
    pass


# A replay


class PauseReplay(Struct, frozen=True):
    """Pause the replay, or resume it."""


class SeekReplay(Struct, frozen=True):
    """Show the session as it was at a time on its own clock."""

    at: float


class SetReplaySpeed(Struct, frozen=True):
    """Play `speed` session seconds a second."""

    speed: float


Effect = (
    Send | Note | AskLine | Choose | Confirm | OpenWave | OpenExperiment | OpenForm | OpenHelp | OpenPalette | OpenKnobs
    | OpenTour | OpenEditor
    | ShowTab
    | FocusNext
    | Back | Leave | FocusPane | StepPane | FocusSay | ZoomPane | Find | FindNext | ToggleLog | FilterLog | CopyLog
    | SaveLog | ToggleChart | ZoomChart | CompareCurves | MarkExperiment | AskResults | SortResults | ToggleFiller
    | SetTheme | Redraw | PauseReplay | SeekReplay | SetReplaySpeed
)  # fmt: skip
Effects = tuple[Effect, ...]
