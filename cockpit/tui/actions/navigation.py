"""The actions that only look: open, find, zoom, switch, copy, leave. They work for a watcher too."""

from typing import TYPE_CHECKING

from cockpit.tui.actions.registry import Action, Here
from cockpit.tui.actions.steering import proposal
from cockpit.tui.views.queue import FILLER

if TYPE_CHECKING:
    from cockpit.tui.app import CockpitApp

PANES = ("clusters", "waves", "log", "chart", "talk")
MAIN = frozenset(PANES)
SEARCHED = frozenset({"clusters", "waves", "log", "chart", "experiment"})
CHART = frozenset({"chart"})


def _open(app: "CockpitApp", here: Here, words: str) -> None:
    name = words.strip()
    if name in here.state.waves:
        app.open_wave(name)
    elif name.split(".")[0] in here.state.experiments:
        app.open_experiment(name.split(".")[0])
    elif name:
        app.note(f"there is no wave or experiment {name!r}", "bad")
    elif here.place == "waves" and here.wave == FILLER:
        app.main.waves.toggle_filler()
    elif here.place == "waves" and here.wave:
        app.open_wave(here.wave)
    elif here.place == "talk" and proposal(here):
        app.open_wave(proposal(here))
    elif here.experiment:
        app.open_experiment(here.experiment)


def _openable(here: Here) -> str:
    if here.place == "waves":
        return "" if here.wave else "no wave is selected"
    if here.place == "talk":
        return "" if proposal(here) else "no proposal waits"
    return "" if here.experiment else "no experiment is selected"


def _reviewable(here: Here) -> str:
    return "this is its review" if here.place == "review" else _proposal_waits(here)


def _review(app: "CockpitApp", here: Here, words: str) -> None:
    wave = words or proposal(here)
    if wave in here.state.waves:
        app.open_wave(wave)
    else:
        app.note(f"there is no wave {wave!r}", "bad")


def _proposal_waits(here: Here) -> str:
    return "" if proposal(here) else "no proposal waits"


def _diff(app: "CockpitApp", here: Here, words: str) -> None:
    name = words or here.experiment
    if name in here.state.experiments:
        app.open_experiment(name, "diff")
    else:
        app.note(f"there is no experiment {name!r}", "bad")


def _experiment_here(here: Here) -> str:
    return "" if here.experiment in here.state.experiments else "no experiment is selected"


def _pane(number: int):  # type: ignore[no-untyped-def]
    return lambda app, here, words: app.focus_pane(PANES[number])


def _find(app: "CockpitApp", here: Here, words: str) -> None:
    if words:
        app.find(words)
    else:
        app.ask_line("Find", app.find, app.last_found, allow_empty=True)


def _filter(app: "CockpitApp", here: Here, words: str) -> None:
    app.ask_line("Show only lines with (empty for all)", app.filter_log, app.log_pane.filter, allow_empty=True)


def _save(app: "CockpitApp", here: Here, words: str) -> None:
    if words:
        app.save_log(words)
    else:
        app.ask_line("Save the log as", app.save_log, app.log_pane.what.split(" ")[0] + ".log")


LOOKING: tuple[Action, ...] = (
    Action("open", "open", "Open the selected experiment or wave", _open, ("enter",), MAIN, takes="EXPERIMENT|WAVE",
           applies=_openable, footer=5),
    Action("review", "review", "Review the proposal as a whole", _review, ("e",), takes="WAVE",
           applies=_reviewable, footer=3, group="proposals"),
    Action("diff", "diff", "The experiment's diff against its base", _diff, ("d",),
           frozenset({"clusters", "chart", "log"}), takes="EXPERIMENT", applies=_experiment_here, footer=6,
           group="experiments"),
    Action("find", "find", "Find in this pane", _find, ("slash",), SEARCHED, takes="TEXT", footer=6),
    Action("next", "next", "The next one found", lambda app, here, words: app.find_again(True), ("n",), SEARCHED),
    Action("previous", "previous", "The one found before", lambda app, here, words: app.find_again(False), ("N",),
           SEARCHED),
    Action("zoom", "zoom", "Give this pane the whole screen, or give it back",
           lambda app, here, words: app.zoom_pane(), ("z",), MAIN, footer=22),
    *(
        Action(name, name, f"Go to the {name} pane", _pane(index), (str(index + 1),), group="panes")
        for index, name in enumerate(PANES)
    ),
    Action("next-pane", "next pane", "The next pane", lambda app, here, words: app.step_pane(1), ("tab",), MAIN,
           group="panes"),
    Action("previous-pane", "previous pane", "The pane before", lambda app, here, words: app.step_pane(-1),
           ("shift+tab",), MAIN, group="panes"),
    Action("follow", "follow", "Follow the log's end, or stop", lambda app, here, words: app.log_pane.toggle_follow(),
           ("f",), frozenset({"log"}), footer=5, group="log"),
    Action("filter", "filter", "Show only the lines that match", _filter, ("ampersand",), frozenset({"log"}),
           footer=7, group="log"),
    Action("wrap", "wrap", "Wrap long lines, or cut them", lambda app, here, words: app.log_pane.toggle_wrap(), ("w",),
           frozenset({"log"}), footer=9, group="log"),
    Action("time", "time", "When lines came, for those that came while this screen was open",
           lambda app, here, words: app.log_pane.toggle_time(), ("t",), frozenset({"log"}), footer=9, group="log"),
    Action("copy", "copy", "Copy the lines on the screen to the terminal's clipboard (OSC 52)",
           lambda app, here, words: app.copy_log(), ("y",), frozenset({"log"}), footer=10, group="log"),
    Action("save", "save", "Save the whole log to a file", _save, ("s",), frozenset({"log"}), takes="FILE",
           acting=True, footer=11, group="log"),
    Action("view", "view", "Experiments, or main effects of the selected wave",
           lambda app, here, words: app.chart_pane.toggle_view(), ("v",), CHART, footer=7, group="chart"),
    Action("axis", "axis", "By time, or one after another", lambda app, here, words: app.chart_pane.toggle_axis(),
           ("t",), CHART, footer=20, group="chart"),
    Action("closer", "closer", "Zoom to the good region", lambda app, here, words: app.chart_pane.zoom(1),
           ("plus", "equals_sign"), CHART, footer=20, group="chart"),
    Action("wider", "wider", "Zoom out", lambda app, here, words: app.chart_pane.zoom(-1),
           ("minus", "underscore"), CHART, footer=21, group="chart"),
    Action("theme", "theme", "The next theme: dark, light, the terminal's own",
           lambda app, here, words: app.next_theme(words), ("T",), takes="[dark|light|terminal]"),
    Action("redraw", "redraw", "Draw the whole screen again", lambda app, here, words: app.redraw(), ("ctrl+l",)),
    Action("palette", "commands", "Every action, by name", lambda app, here, words: app.open_palette(),
           ("colon", "ctrl+p"), footer=30),
    Action("help", "help", "What applies here, and every key", lambda app, here, words: app.open_help(),
           ("question_mark", "f1"), footer=31),
    Action("quit", "quit", "Leave; a session that runs goes on", lambda app, here, words: app.leave(),
           ("q", "ctrl+q", "ctrl+c"), footer=32),
)  # fmt: skip
