"""The default subject of an action: the selected proposal, wave, run or cluster."""

from collections.abc import Callable

import msgspec

from cockpit.core.state import open_permissions
from cockpit.read.waves import replaced_base
from cockpit.tui.actions.registry import Here
from cockpit.tui.views.queue import FILLER

PANES = ("clusters", "waves", "log", "chart", "talk", "results", "stack")


class Subject(msgspec.Struct, frozen=True):
    """`of` returns the selected thing, or an empty string; `missing` is the reason shown then."""

    of: Callable[[Here], str]
    missing: str


def proposal(here: Here) -> str:
    """Return the selected proposal, else the oldest one."""
    if here.wave in here.state.proposals:
        return here.wave
    if here.place in ("review", "experiment"):
        return ""
    return next(iter(here.state.proposals), "")


def no_proposal(here: Here) -> str:
    return "" if proposal(here) else PROPOSAL.missing


def over(here: Here) -> str:
    """Return the reason why the session accepts nothing any more; empty while it does."""
    if here.state.ended_at:
        return f"the session has ended: `cockpit start {here.state.session.name}` reopens it"
    return ""


def winds_down(here: Here) -> str:
    """Return why nothing new starts in the session; empty if it can."""
    return over(here) or ("the session is ending: nothing new starts" if here.state.ending else "")


def experiment(here: Here) -> str:
    return here.experiment if here.experiment in here.state.experiments else ""


def no_experiment(here: Here) -> str:
    return "" if experiment(here) else EXPERIMENT.missing


def not_run(here: Here) -> str:
    """Return why the experiment of a page has no log and no curve; empty if it can have them."""
    known = here.state.experiments.get(here.experiment)
    if known is None:
        return EXPERIMENT.missing
    return "" if known.attempts else f"{known.id} has not run yet"


def attempt(here: Here) -> str:
    """Return the attempt in flight that is selected, else the newest one of the selected experiment."""
    state = here.state
    if here.attempt in state.in_flight:
        return here.attempt
    known = state.experiments.get(here.experiment)
    return next((name for name in reversed(known.attempts) if name in state.in_flight), "") if known else ""


def holdable(here: Here) -> str:
    """Return the selected open wave, or the selected cluster."""
    if here.place == "waves" and here.wave == FILLER:
        return FILLER
    if here.place in ("waves", "review"):
        return here.wave if here.wave in here.state.open_waves else ""
    return here.cluster


def stale(here: Here) -> str:
    """Return the selected proposal if its base is no longer the incumbent."""
    wave = here.state.waves.get(here.wave)
    return here.wave if wave is not None and replaced_base(here.state, wave) else ""


NONE = Subject(lambda here: "", "")
PROPOSAL = Subject(proposal, "no proposal waits")
STALE = Subject(stale, "no proposal with a replaced base is selected")
PERMISSION = Subject(lambda here: next(iter(open_permissions(here.state)), ""), "no agent waits for a permission")
WAVE = Subject(lambda here: here.wave if here.wave in here.state.waves else "", "no wave is selected")
EXPERIMENT = Subject(experiment, "no experiment is selected")
ATTEMPT = Subject(attempt, "nothing runs here")
CLUSTER = Subject(lambda here: here.cluster, "no cluster is selected")
HOLDABLE = Subject(holdable, "nothing to hold is selected")
