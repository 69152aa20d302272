"""The actions that look: open, find, zoom, switch, copy, leave. A watcher has them too."""

from cockpit.read.glossary import meaning_of
from cockpit.read.learning_curves import runs_with_curve
from cockpit.read.result_query import BadQuery, parse_query
from cockpit.read.result_rows import SORTS
from cockpit.tui.actions.effects import (
    AskLine,
    AskResults,
    Back,
    CompareCurves,
    CopyLog,
    Effects,
    FilterLog,
    Find,
    FindNext,
    FocusPane,
    Leave,
    MarkExperiment,
    Note,
    OpenExperiment,
    OpenHelp,
    OpenPalette,
    OpenTour,
    OpenWave,
    Problem,
    Redraw,
    SaveLog,
    SetTheme,
    SortResults,
    StepPane,
    ToggleChart,
    ToggleFiller,
    ToggleLog,
    ZoomChart,
    ZoomPane,
)
from cockpit.tui.actions.registry import Action, Here, key_name
from cockpit.tui.actions.subjects import PANES, experiment, no_experiment, no_proposal, not_run, proposal
from cockpit.tui.figures import constant_named
from cockpit.tui.theme import THEMES
from cockpit.tui.views.queue import FILLER

MAIN = frozenset(PANES)
SEARCHED = frozenset({"clusters", "waves", "log", "chart", "results", "stack", "experiment"})
LOG = frozenset({"log"})
CHART = frozenset({"chart"})
RESULTS = frozenset({"results"})
LISTS = frozenset({"results", "stack"})
MARKABLE = frozenset({"chart", "results", "stack"})
COMPARED = MARKABLE | {"clusters", "waves"}
DIFFED = frozenset({"clusters", "chart", "log", "results", "stack"})


def _open(here: Here, words: str) -> Effects:
    name = words.strip()
    experiment = name.split(".")[0]
    if name in here.state.waves:
        return (OpenWave(name),)
    if experiment in here.state.experiments:
        return (OpenExperiment(experiment),)
    if name:
        raise Problem(f"there is no wave or experiment {name!r}")
    if here.place == "waves":
        return (ToggleFiller(),) if here.wave == FILLER else (OpenWave(here.wave),)
    if here.place == "talk":
        return (OpenWave(proposal(here)),)
    return (OpenExperiment(here.experiment),)


def _not_openable(here: Here) -> str:
    if here.place == "waves":
        return "" if here.wave else "no wave is selected"
    return no_proposal(here) if here.place == "talk" else no_experiment(here)


def _review(here: Here, words: str) -> Effects:
    wave = words or proposal(here)
    if wave not in here.state.waves:
        raise Problem(f"there is no wave {wave!r}")
    return (OpenWave(wave),)


def _not_reviewable(here: Here) -> str:
    return "this is its review" if here.place == "review" else no_proposal(here)


def _diff(here: Here, words: str) -> Effects:
    name = words or here.experiment
    if name not in here.state.experiments:
        raise Problem(f"there is no experiment {name!r}")
    return (OpenExperiment(name, "diff"),)


def _find(here: Here, words: str) -> Effects:
    if words:
        return (Find(words),)
    return (AskLine("Find", lambda text: (Find(text),), here.found, allow_empty=True),)


def _filter(here: Here, words: str) -> Effects:
    question = "Show only lines that contain (empty for all)"
    return (AskLine(question, lambda text: (FilterLog(text),), here.log_filter, allow_empty=True),)


def _query(here: Here, words: str) -> Effects:
    def ask(text: str) -> Effects:
        try:
            parse_query(text, here.state.session.constants)
        except BadQuery as error:
            raise Problem(str(error)) from error
        return FocusPane("results"), AskResults(text)

    if words:
        return ask(words)
    question = "Show only experiments that match, such as: kept DEPTH=9 class:H200 wave:w007 score<0.98 -crashed"
    return (AskLine(question, ask, here.query, allow_empty=True),)


def _sort(here: Here, words: str) -> Effects:
    if words not in SORTS:
        raise Problem(f"there is no order {words!r}: choose {', '.join(SORTS)}")
    return FocusPane("results"), SortResults(words)


def _compared(here: Here) -> tuple[tuple[str, ...], str]:
    """Return the experiments whose curves are compared here, and their name in a title."""
    wave = here.state.waves.get(here.wave)
    if wave is not None:
        return tuple(wave.arms), wave.id
    if here.marked:
        return here.marked, f"{len(here.marked)} marked"
    name = experiment(here)
    return (name,) if name else (), name


def _curves(here: Here, words: str) -> Effects:
    names = tuple(words.split())
    for name in names:
        if name not in here.state.experiments:
            raise Problem(f"there is no experiment {name!r}")
    given = (names, " ".join(names)) if names else _compared(here)
    return FocusPane("chart"), CompareCurves(*given)


def _no_curves(here: Here) -> str:
    names, words = _compared(here)
    if not names:
        return "no experiment is selected"
    if not any(runs_with_curve(here.state, name) for name in names):
        return f"no run of {words} has a curve yet"
    return ""


def _mark(here: Here, words: str) -> Effects:
    return (MarkExperiment(experiment(here)),)


def _no_axis(here: Here) -> str:
    return (
        _nothing_measured(here) if here.chart == "scores" else f"{here.chart} have no axis of time: v shows the scores"
    )


def _no_logarithm(here: Here) -> str:
    if here.chart == "effects":
        return "effects lie around 0, which a logarithmic axis has not"
    return _nothing_measured(here) or here.not_logarithmic


def _no_zoom(here: Here) -> str:
    return "the axis of effects shows them all" if here.chart == "effects" else _nothing_measured(here)


def _no_log(here: Here) -> str:
    return "" if here.log_name else "no log is shown yet"


def _no_results(here: Here) -> str:
    return "" if here.state.experiments else "there is no experiment yet"


def _nothing_measured(here: Here) -> str:
    return "" if here.state.recent else "the chart begins with the first run that ends"


def _nothing_to_find(here: Here) -> str:
    match here.place:
        case "log":
            return _no_log(here)
        case "waves":
            return "" if here.state.waves else "there is no wave yet"
        case "experiment":
            return not_run(here)
        case "chart" | "results" | "stack":
            return _no_results(here)
    return ""


def _nothing_sought(here: Here) -> str:
    return "" if here.found else f"nothing was searched for: {key_name('slash')} finds text"


def _not_zoomable(here: Here) -> str:
    return "this pane has the whole screen: a larger terminal has several" if here.one_pane else ""


def _go_to(name: str) -> Action:
    """Return the action that goes to a pane."""
    key = str(PANES.index(name) + 1)
    here_already = f"this is the {name} pane"
    return Action(name, name, f"Go to the {name} pane", (FocusPane(name),), keys=(key,), group="panes",
                  applies=lambda here: here_already if here.place == name else "")  # fmt: skip


def _save(here: Here, words: str) -> Effects:
    if words:
        return (SaveLog(words),)
    return (AskLine("Save the log as", lambda text: (SaveLog(text),), here.log_name),)


def _help(here: Here, words: str) -> Effects:
    meaning = meaning_of(words) or constant_named(words, here.state.session.constants)
    if not meaning:
        raise Problem(f"{words!r} is not in the glossary: ? lists its words")
    return (Note(meaning),)


def _theme(here: Here, words: str) -> Effects:
    if words not in THEMES:
        raise Problem(f"there is no theme {words!r}: choose {', '.join(THEMES)}")
    return (SetTheme(words),)


NAVIGATION: tuple[Action, ...] = (
    Action("open", "open", "Open the selected experiment or wave", run=_open, keys=("enter",), places=MAIN,
           takes="EXPERIMENT|WAVE", applies=_not_openable, footer=5),
    Action("review", "review", "Review the proposal as a whole", run=_review, keys=("e",), takes="WAVE",
           applies=_not_reviewable, footer=3, group="proposals"),
    Action("diff", "diff", "Show the experiment's diff against its base", run=_diff, keys=("d",), places=DIFFED,
           takes="EXPERIMENT", applies=no_experiment, footer=6, group="experiments"),
    Action("find", "find", "Find text in this pane", run=_find, keys=("slash",), places=SEARCHED, takes="TEXT",
           applies=_nothing_to_find, footer=6),
    Action("next", "next", "Go to the next match", (FindNext("next"),), keys=("n",), places=SEARCHED,
           applies=_nothing_sought),
    Action("previous", "previous", "Go to the match before", (FindNext("previous"),), keys=("N",), places=SEARCHED,
           applies=_nothing_sought),
    Action("zoom", "zoom", "Give this pane the whole screen, or take it back", (ZoomPane(),), keys=("z",),
           places=MAIN, needless=_not_zoomable, footer=22),
    *map(_go_to, PANES),
    Action("next-pane", "next pane", "Go to the next pane", (StepPane(1),), keys=("tab",), places=MAIN, group="panes"),
    Action("previous-pane", "previous pane", "Go to the pane before", (StepPane(-1),), keys=("shift+tab",),
           places=MAIN, group="panes"),
    Action("leave-list", "back", "Return to the pane before, and put the log back in its place", (Back(),),
           keys=("escape",), places=LISTS, footer=2, group="panes"),
    Action("follow", "follow", "Follow the log's end, or stop", (ToggleLog("follow"),), keys=("f",), places=LOG,
           applies=_no_log, footer=5, group="log"),
    Action("filter", "filter", "Show only the lines that match", run=_filter, keys=("ampersand",), places=LOG,
           applies=_no_log, footer=7, group="log"),
    Action("wrap", "wrap", "Wrap long lines, or cut them", (ToggleLog("wrap"),), keys=("w",), places=LOG,
           applies=_no_log, footer=9, group="log"),
    Action("time", "time", "Show when each line arrived, for lines that arrived while this screen was open",
           (ToggleLog("time"),), keys=("t",), places=LOG, applies=_no_log, footer=9, group="log"),
    Action("copy", "copy", "Copy the lines on the screen to the terminal's clipboard (OSC 52)", (CopyLog(),),
           keys=("y",), places=LOG, applies=_no_log, footer=10, group="log"),
    Action("save", "save", "Save the whole log to a file", run=_save, keys=("s",), places=LOG, takes="FILE",
           applies=_no_log, acting=True, footer=11, group="log"),
    Action("query", "query", "Show only the experiments that match a query", run=_query, keys=("ampersand",),
           places=RESULTS, takes="QUERY", applies=_no_results, footer=1, group="results"),
    Action("sort", "sort", f"Order the results by {', '.join(SORTS)}", (SortResults(),), run=_sort,
           keys=("s",), places=RESULTS, takes=f"[{'|'.join(SORTS)}]", applies=_no_results, footer=1, group="results"),
    Action("view", "view", "Show experiments, or main effects of the selected wave", (ToggleChart("view"),),
           keys=("v",), places=CHART, applies=_nothing_measured, footer=7, group="chart"),
    Action("curves", "curves", "Lay learning curves over each other: of the marked experiments, of the selected wave's"
           " arms, or of the selected experiment and the incumbent", run=_curves, keys=("c",), places=COMPARED,
           takes="[EXPERIMENT…]", applies=_no_curves, footer=7, group="chart"),
    Action("mark", "mark", "Mark the selected experiment for a comparison, or take its mark away", run=_mark,
           keys=("space",), places=MARKABLE, applies=no_experiment, footer=7, group="chart"),
    Action("axis", "axis", "Place experiments by time, or one after another", (ToggleChart("axis"),), keys=("t",),
           places=CHART, applies=_no_axis, footer=20, group="chart"),
    Action("log-axis", "log axis", "Use a logarithmic axis of scores or losses, or a linear one",
           (ToggleChart("log"),), keys=("L",), places=CHART, applies=_no_logarithm, footer=20, group="chart"),
    Action("closer", "closer", "Zoom in: to the good scores, or to the curves around the crosshair", (ZoomChart(1),),
           keys=("plus", "equals_sign"), places=CHART, applies=_no_zoom, footer=20, group="chart"),
    Action("wider", "wider", "Zoom out", (ZoomChart(-1),), keys=("minus", "underscore"), places=CHART,
           applies=_no_zoom, footer=21, group="chart"),
    Action("theme", "theme", "Use the next theme: dark, light, the terminal's own", (SetTheme(),), run=_theme,
           keys=("T",), takes="[dark|light|terminal]"),
    Action("redraw", "redraw", "Draw the whole screen again", (Redraw(),), keys=("ctrl+l",)),
    Action("palette", "commands", "List every action by name", (OpenPalette(),), keys=("colon", "ctrl+p"), footer=30),
    Action("help", "help", "Show what applies here, every key and every word", (OpenHelp(),), run=_help, takes="[WORD]",
           keys=("question_mark", "f1"),
           footer=31),
    Action("tour", "tour", "Show again the three cards of the first opening", (OpenTour(),),
           applies=lambda here: "a watcher steers nothing: ? lists what works here" if here.watch else ""),
    Action("quit", "quit", "Leave; a running session continues", (Leave(),), keys=("q", "ctrl+q", "ctrl+c"),
           footer=32),
)  # fmt: skip
