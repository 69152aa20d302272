"""The actions of the review and experiment pages: edit a waiting proposal, and show another part of the page."""

from collections.abc import Callable

import msgspec

from cockpit.control.drafts import (
    draft_of_wave,
    with_factor,
    with_level,
    with_replicates,
    without_arms,
    without_factor,
)
from cockpit.control.values import BadArgument
from cockpit.core.intents import Draft, EditProposal
from cockpit.tui.actions.effects import (
    AskLine,
    Back,
    Effects,
    FocusNext,
    OpenExperiment,
    OpenForm,
    OpenWave,
    Problem,
    Send,
    ShowTab,
)
from cockpit.tui.actions.registry import Action, Here, Question
from cockpit.tui.actions.subjects import no_experiment, no_proposal, not_run, proposal, winds_down

REVIEW = frozenset({"review"})
EXPERIMENT = frozenset({"experiment"})
PAGES = REVIEW | EXPERIMENT | {"help", "knobs"}


def _not_editable(here: Here) -> str:
    if here.wave not in here.state.proposals:
        return "it was decided already: only a waiting proposal can be edited"
    return winds_down(here)


def _edit(here: Here, change: Callable[[Draft], Draft], what: str) -> Effects:
    """Send the whole proposal as changed. Raises Problem."""
    try:
        draft = change(draft_of_wave(here.state, here.state.waves[here.wave]))
    except BadArgument as error:
        raise Problem(str(error)) from error
    return (Send(EditProposal(here.wave, draft, what), f"edit {here.wave}", f"{here.wave} is edited: {what}"),)


def _edit_whole(here: Here, words: str) -> Effects:
    wave = words.strip() or proposal(here)
    if wave not in here.state.proposals:
        raise Problem(f"{wave} does not wait for approval: only a proposal can be edited")
    return (OpenForm(wave),)


def _not_editable_whole(here: Here) -> str:
    return _not_editable(here) if here.place == "review" else winds_down(here) or no_proposal(here)


def _level(here: Here, words: str) -> Effects:
    arm, name = here.experiment, here.constant
    if not name or arm not in here.state.experiments:
        raise Problem("no constant is chosen")
    old = here.state.experiments[arm].change.constants.get(name)

    def edit(text: str) -> Effects:
        return _edit(here, lambda draft: with_level(draft, arm, name, text), f"{arm}: {name} = {text}")

    return (AskLine(f"{name} of {arm}:", edit, "" if old is None else repr(old), until_answered=True),)


def _add_factor(here: Here, words: str) -> Effects:
    def edit(text: str) -> Effects:
        return _edit(here, lambda draft: with_factor(draft, text), f"added {text}")

    question = "Add a factor, every arm once for each level: NAME = level, level"
    return (AskLine(question, edit, until_answered=True),)


def _drop_factor(here: Here, words: str) -> Effects:
    if not here.constant:
        raise Problem("no constant is chosen")
    return _edit(here, lambda draft: without_factor(draft, here.constant), f"dropped {here.constant}")


def drop_arm(here: Here) -> Effects:
    """Drop the chosen arm from the waiting proposal."""
    return _edit(here, lambda draft: without_arms(draft, (here.experiment,)), f"dropped {here.experiment}")


def _replicates(here: Here, words: str) -> Effects:
    def edit(text: str) -> Effects:
        return _edit(here, lambda draft: with_replicates(draft, text), f"{text} runs of each arm")

    return (AskLine("How many runs of each arm?", edit, until_answered=True),)


def _is_tab(tab: str) -> Question:
    """Return a check of a place: it gives `already shown` if the page there shows that tab."""
    return lambda here: "already shown" if here.tab == tab else ""


def _no_factors(here: Here) -> str:
    wave = here.state.waves.get(here.wave)
    return "" if wave is not None and wave.factors else "this wave has no factors"


def _open_wave(here: Here, words: str) -> Effects:
    return (OpenWave(here.state.experiments[here.experiment].wave),)


_PAGE_NAMES = {
    "review": "a wave's page",
    "experiment": "an experiment's page",
    "help": "help",
    "knobs": "the list of knobs",
}


def _only_there(action: Action) -> Action:
    """Return the action as one that does not apply elsewhere, where the palette names it too."""
    elsewhere = f"it belongs to {' or '.join(name for place, name in _PAGE_NAMES.items() if place in action.places)}"
    return msgspec.structs.replace(
        action, applies=lambda here: action.applies(here) if here.place in action.places else elsewhere
    )


_ACTIONS: tuple[Action, ...] = (
    Action("edit", "edit", "Edit the whole proposal in one form: its question, its factors and its runs",
           run=_edit_whole, keys=("e",), places=REVIEW, acting=True, takes="[WAVE]", applies=_not_editable_whole,
           footer=3, group="review"),
    Action("level", "edit level", "Change the chosen constant of the chosen arm", run=_level, keys=("c",),
           places=REVIEW, acting=True, applies=_not_editable, footer=4, group="review"),
    Action("add-factor", "add factor", "Run every arm once for each level of another constant", run=_add_factor,
           keys=("plus",), places=REVIEW, acting=True, applies=_not_editable, footer=5, group="review"),
    Action("drop-factor", "drop factor", "Leave the chosen constant as the base has it", run=_drop_factor,
           keys=("minus",), places=REVIEW, acting=True, applies=_not_editable, footer=6, group="review"),
    Action("replicates", "replicates", "Set how many times each arm runs", run=_replicates, keys=("n",),
           places=REVIEW, acting=True, applies=_not_editable, footer=7, group="review"),
    Action("open-arm", "open", "Open the chosen arm's page",
           run=lambda here, words: (OpenExperiment(here.experiment),), keys=("enter",), places=REVIEW,
           applies=lambda here: "" if here.experiment else "no arm is chosen", footer=13, group="review"),
    Action("wave-effects", "effects", "Show the effects of the wave's factors", (ShowTab("effects"),), keys=("v",),
           places=REVIEW, applies=_no_factors, needless=_is_tab("effects"), footer=13, group="review"),
    Action("arm-diff", "diff", "Show the chosen arm's diff against its base", (ShowTab("diff"),), keys=("d",),
           places=REVIEW, applies=lambda here: "" if here.experiment else "no arm is chosen",
           needless=_is_tab("diff"), footer=13, group="review"),
    Action("constants", "constants", "Show what differs from the base and the baseline", (ShowTab("constants"),),
           keys=("c",), places=EXPERIMENT, needless=_is_tab("constants"), footer=2, group="experiments"),
    Action("page-diff", "diff", "Show its diff against its base", (ShowTab("diff"),), keys=("d",), places=EXPERIMENT,
           needless=_is_tab("diff"), footer=3, group="experiments"),
    Action("page-log", "log", "Show the chosen attempt's log", (ShowTab("log"),), keys=("o", "enter"),
           places=EXPERIMENT, applies=not_run, needless=_is_tab("log"), footer=4, group="experiments"),
    Action("page-curve", "curve", "Show the chosen attempt's loss, and the incumbent's", (ShowTab("curve"),),
           keys=("v",), places=EXPERIMENT, applies=not_run, needless=_is_tab("curve"), footer=4, group="experiments"),
    Action("page-wave", "its wave", "Open the wave that it belongs to", run=_open_wave, keys=("w",),
           places=EXPERIMENT, applies=no_experiment, footer=5, group="experiments"),
    Action("page-focus", "other part", "Go to the other part of the page", (FocusNext(),), keys=("tab", "shift+tab"),
           places=REVIEW | EXPERIMENT, group="panes"),
    Action("back", "back", "Go back to the page before", (Back(),), keys=("q",), places=PAGES, footer=32),
)  # fmt: skip

PAGE_ACTIONS = tuple(_only_there(action) for action in _ACTIONS)
