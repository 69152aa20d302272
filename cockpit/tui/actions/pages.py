"""The actions of the review and experiment pages: edit a waiting proposal, and turn the page."""

from typing import TYPE_CHECKING

from cockpit.tui.actions.registry import Action, Here

if TYPE_CHECKING:
    from cockpit.tui.app import CockpitApp

REVIEW = frozenset({"review"})
EXPERIMENT = frozenset({"experiment"})
PAGES = REVIEW | EXPERIMENT | {"help"}


def _editable(here: Here) -> str:
    return "" if here.wave in here.state.proposals else "it was decided already: only a waiting proposal can be edited"


def _edit(what: str):  # type: ignore[no-untyped-def]
    return lambda app, here, words: app.edit_arms(what)


def _turn(tab: str):  # type: ignore[no-untyped-def]
    return lambda app, here, words: app.turn_page(tab)


def _open_arm(app: "CockpitApp", here: Here, words: str) -> None:
    app.open_experiment(here.experiment)


PAGING: tuple[Action, ...] = (
    Action("level", "edit level", "Change the chosen constant of the chosen arm", _edit("level"), ("c",), REVIEW,
           acting=True, applies=_editable, footer=4, group="review"),
    Action("add-factor", "add factor", "Every arm once for each level of another constant", _edit("add-factor"),
           ("plus",), REVIEW, acting=True, applies=_editable, footer=5, group="review"),
    Action("drop-factor", "drop factor", "Leave the chosen constant as the base has it", _edit("drop-factor"),
           ("minus",), REVIEW, acting=True, applies=_editable, footer=6, group="review"),
    Action("replicates", "replicates", "How many runs of each arm", _edit("replicates"), ("n",), REVIEW, acting=True,
           applies=_editable, footer=7, group="review"),
    Action("open-arm", "open", "Open the chosen arm's page", _open_arm, ("enter",), REVIEW,
           applies=lambda here: "" if here.experiment else "no arm is chosen", footer=13, group="review"),
    Action("constants", "constants", "What differs from the base and the baseline", _turn("constants"), ("c",),
           EXPERIMENT, footer=2, group="experiments"),
    Action("page-diff", "diff", "Its diff against its base", _turn("diff"), ("d",), EXPERIMENT, footer=3,
           group="experiments"),
    Action("page-log", "log", "The chosen attempt's log", _turn("log"), ("o", "enter"), EXPERIMENT, footer=4,
           group="experiments"),
    Action("page-curve", "curve", "The chosen attempt's loss, and the incumbent's", _turn("curve"), ("v",), EXPERIMENT,
           footer=4, group="experiments"),
    Action("page-wave", "its wave", "The wave it belongs to", lambda app, here, words: app.open_wave(
        here.state.experiments[here.experiment].wave), ("w",), EXPERIMENT, footer=5, group="experiments"),
    Action("page-focus", "other part", "The other part of the page", lambda app, here, words: app.next_part(),
           ("tab", "shift+tab"), PAGES, group="panes"),
    Action("back", "back", "Back to where one came from", lambda app, here, words: app.go_back(), ("q",), PAGES,
           footer=32),
)  # fmt: skip
