"""What waits for a person. Pure; worded once, for the command line and for `on_event`."""

import msgspec

from cockpit.core.model import ClusterState, ExperimentStatus, WaveKind
from cockpit.core.state import State
from cockpit.decide.budget import accounts

BUDGET_NEAR = 0.8
"""Share of the budget from which its end is worth a word."""


class Need(msgspec.Struct, frozen=True):
    """`kind` is approval, cluster, budget, baseline or held; with `about` it is the same need as long as it lasts."""

    kind: str
    about: str
    sentence: str


def needs(state: State, now: float) -> list[Need]:
    """Everything that waits for a person at `now`, on the session's clock."""
    found = [
        Need("approval", name, f"{name} waits for approval: {state.waves[name].question}")
        for name in state.proposals
        if state.waves[name].kind is WaveKind.WAVE
    ]
    found += [
        Need("cluster", cluster.name, f"{cluster.name} was given up: {cluster.message}")
        for cluster in state.clusters.values()
        if cluster.state is ClusterState.GIVEN_UP
    ]
    if state.capped:
        found.append(Need("budget", f"{state.budget_usd:.2f} reached", state.capped))
    spent = accounts(state, now).total_usd
    if not state.capped and state.budget_usd > 0 and spent >= BUDGET_NEAR * state.budget_usd:
        cap = f"{state.budget_usd:.2f}"
        found.append(Need("budget", cap, f"${spent:.2f} of the budget of ${cap} are spent"))
    baseline = state.experiments.get(state.baseline)
    if baseline is not None and baseline.status is ExperimentStatus.CRASHED and not state.incumbent:
        why = f" ({baseline.reason})" if baseline.reason else ""
        mend = "mend it, then make another session with `cockpit new`"
        found.append(Need("baseline", baseline.id, f"the unchanged train.py gives no result{why}: {mend}"))
    if state.held:
        found.append(Need("held", "", f"the session is held: {state.held_reason or 'resume it to go on'}"))
    return found
