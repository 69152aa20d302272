"""The effects that an action returns. An action never touches the app; the app carries its effects out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cockpit.core.intents import Intent


class Problem(Exception):
    """A reason why an action cannot be carried out as asked; the message is one sentence."""


@dataclass(frozen=True)
class Send:
    """Send an intent to the worker. The footer shows `asked` until it is answered, and then `done`."""

    intent: Intent
    asked: str = ""
    done: str = ""


@dataclass(frozen=True)
class Note:
    """Show a sentence in the footer for some seconds."""

    text: str
    ink: str = "accent"


# Questions


@dataclass(frozen=True)
class AskLine:
    """Ask for one line. `then` turns it into effects, or raises Problem, which is shown while the line stays open."""

    question: str
    then: "Callable[[str], Effects]"
    value: str = ""
    allow_empty: bool = False
    until_answered: bool = False
    """Keep the line open until the worker has answered, and show a refusal beside it."""


@dataclass(frozen=True)
class Choose:
    """Ask for one of `choices`, (value, words) each. An empty value cancels."""

    question: str
    choices: tuple[tuple[str, str], ...]
    focused: str
    then: "Callable[[str], Effects]"


@dataclass(frozen=True)
class Confirm:
    """Ask whether to carry `effects` out. Cancel is focused."""

    question: str
    label: str
    effects: "Effects"


# Pages


@dataclass(frozen=True)
class OpenWave:
    wave: str


@dataclass(frozen=True)
class OpenExperiment:
    experiment: str
    tab: str = ""


@dataclass(frozen=True)
class OpenHelp:
    pass


@dataclass(frozen=True)
class OpenPalette:
    pass


@dataclass(frozen=True)
class ShowTab:
    """Show one tab of the experiment's page."""

    tab: str


@dataclass(frozen=True)
class FocusNext:
    """Focus the next part of the page."""


@dataclass(frozen=True)
class Back:
    pass


@dataclass(frozen=True)
class Leave:
    """Leave the screen. The worker continues."""


# Panes


@dataclass(frozen=True)
class FocusPane:
    pane: str


@dataclass(frozen=True)
class StepPane:
    """Focus the pane `steps` places further."""

    steps: int


@dataclass(frozen=True)
class FocusSay:
    """Focus the line in which the person writes to the proposer."""


@dataclass(frozen=True)
class ZoomPane:
    """Give the focused pane the whole screen, or take it back."""


@dataclass(frozen=True)
class Find:
    text: str


@dataclass(frozen=True)
class FindNext:
    forward: bool


@dataclass(frozen=True)
class ToggleLog:
    what: Literal["follow", "wrap", "time"]


@dataclass(frozen=True)
class FilterLog:
    text: str


@dataclass(frozen=True)
class CopyLog:
    pass


@dataclass(frozen=True)
class SaveLog:
    path: str


@dataclass(frozen=True)
class ToggleChart:
    what: Literal["view", "axis"]


@dataclass(frozen=True)
class ZoomChart:
    steps: int


@dataclass(frozen=True)
class ToggleFiller:
    """Show or hide the filler's own waves in the queue."""


# The screen


@dataclass(frozen=True)
class SetTheme:
    """Set the theme of that name; the next one for an empty name."""

    name: str = ""


@dataclass(frozen=True)
class Redraw:
    pass


# A replay


@dataclass(frozen=True)
class PauseReplay:
    """Pause the replay, or resume it."""


@dataclass(frozen=True)
class SeekReplay:
    """Show the session as it was at a time on its own clock."""

    at: float


@dataclass(frozen=True)
class SetReplaySpeed:
    """Play `speed` session seconds a second."""

    speed: float


Effect = (
    Send | Note | AskLine | Choose | Confirm | OpenWave | OpenExperiment | OpenHelp | OpenPalette | ShowTab | FocusNext
    | Back | Leave | FocusPane | StepPane | FocusSay | ZoomPane | Find | FindNext | ToggleLog | FilterLog | CopyLog
    | SaveLog | ToggleChart | ZoomChart | ToggleFiller | SetTheme | Redraw | PauseReplay | SeekReplay | SetReplaySpeed
)  # fmt: skip
Effects = tuple[Effect, ...]
