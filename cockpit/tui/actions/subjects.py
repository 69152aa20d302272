"""The things that an action is about where the person names none: the selected proposal, wave, run or cluster."""

from cockpit.tui.actions.registry import Here

PANES = ("clusters", "waves", "log", "chart", "talk")


def proposal(here: Here) -> str:
    """Return the selected proposal, else the oldest one."""
    if here.wave in here.state.proposals:
        return here.wave
    if here.place in ("review", "experiment"):
        return ""
    return next(iter(here.state.proposals), "")


def no_proposal(here: Here) -> str:
    return "" if proposal(here) else "no proposal waits"


def experiment(here: Here) -> str:
    """Return the selected experiment, else an empty string."""
    return here.experiment if here.experiment in here.state.experiments else ""


def no_experiment(here: Here) -> str:
    return "" if experiment(here) else "no experiment is selected"


def attempt(here: Here) -> str:
    """Return the attempt in flight that is selected, else the newest one of the selected experiment."""
    state = here.state
    if here.attempt in state.in_flight:
        return here.attempt
    known = state.experiments.get(here.experiment)
    return next((name for name in reversed(known.attempts) if name in state.in_flight), "") if known else ""


def holdable(here: Here) -> str:
    """Return the selected open wave, or the selected cluster."""
    if here.place in ("waves", "review"):
        return here.wave if here.wave in here.state.open_waves else ""
    return here.cluster
