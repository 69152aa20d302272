"""Ablation: leave each kept change out of the incumbent once, and drop a change that no longer helps.

A change with later keeps on top of it is ablated while the session runs, within a share of its runs. The others are
ablated near the session's end. The test of an ablation has an error rate of its own (ablation_test).
"""

from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Edit, ExperimentStatus
from cockpit.core.running_time import running_h
from cockpit.core.state import WITHOUT, State, constants_of
from cockpit.decide.ablation_test import ABLATION_LOOKS
from cockpit.decide.kept_changes import kept_changes, unablated
from cockpit.decide.known_code import has_known_code

PROPOSER = "ablate"
ABLATE_AT = 0.85
"""Share of the session's hours after which all remaining kept changes are ablated."""
LATER_KEEPS = 2
"""Later keeps after which a change is ablated earlier: it was measured without them."""
RUNS_SHARE = 0.05
"""Share of the session's runs that these ablations may take."""
UNDER_WAY = (ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING, ExperimentStatus.VALID)


def due_ablations(state: State, now: float) -> int:
    """Return how many kept changes are to be left out now, the oldest first."""
    if len(state.incumbencies) < 2:
        return 0
    session = state.session
    if session.budget_hours and running_h(state, now) >= ABLATE_AT * session.budget_hours:
        return len(_not_proposed(state))
    if not _pays_for_one(state) or any(_is_under_way(state, name) for name in state.ablations):
        return 0
    built_on = set(kept_changes(state)[:-LATER_KEEPS])
    if built_on.isdisjoint(unablated(state)):
        return 0
    return int(any(arm.levels[WITHOUT] in built_on for arm in _not_proposed(state)[:1]))


def next_ablations(state: State, arms: int) -> Draft | None:
    """Return the oldest ablations, this many at most, that were not proposed on this incumbent; None for none."""
    return _draft(state, _not_proposed(state)[:arms])


def ablations(state: State) -> Draft | None:
    """Return the incumbent without each change kept on the way to it that no ablation has dropped; None for none."""
    return _draft(state, _arms(state))


def _pays_for_one(state: State) -> bool:
    """Return True if one more ablation stays within its share of the runs that have ended."""
    taken = sum(len(state.experiments[name].attempts) for name in state.ablations)
    return taken + ABLATION_LOOKS[-1] <= RUNS_SHARE * sum(state.outcome_counts.values())


def _is_under_way(state: State, ablation: str) -> bool:
    one = state.experiments[ablation]
    return one.base == state.incumbent and one.status in UNDER_WAY


def _not_proposed(state: State) -> list[Arm]:
    """Return the ablations that can be proposed on this incumbent: neither begun, nor rejected, nor of known code."""
    on_it = (one for name in state.ablations if (one := state.experiments[name]).base == state.incumbent)
    proposed = {one.levels[WITHOUT] for one in on_it}
    return [
        arm for arm in _arms(state) if arm.levels[WITHOUT] not in proposed and not has_known_code(state, arm.change)
    ]


def _arms(state: State) -> list[Arm]:
    """Return the incumbent without each change that no ablation has settled, oldest first.

    A constant goes back to what it was before the keep, unless a later keep set it again; an edit is reversed.
    """
    wanted = unablated(state)
    if not wanted:
        return []
    now = constants_of(state, state.incumbent)
    before = constants_of(state, state.baseline)
    arms: list[Arm] = []
    for name in kept_changes(state):
        after = constants_of(state, name)
        constants = {
            key: before[key] for key, value in after.items() if key in before and before[key] != value == now.get(key)
        }
        change = state.experiments[name].change
        edits = tuple(
            Edit(edit.replace, edit.search, edit.path) for edit in reversed(change.edits) if edit.replace.strip()
        )
        if name in wanted and (constants or edits):
            arms.append(Arm(Change(constants, edits), why=f"the incumbent without {name}", levels={WITHOUT: name}))
        before = after
    return arms


def _draft(state: State, arms: list[Arm]) -> Draft | None:
    if not arms:
        return None
    return Draft(
        proposer=PROPOSER,
        question="Does every kept change still help?",
        hypothesis="A change that helped when it was kept may be superseded by later keeps.",
        base=state.incumbent,
        arms=tuple(arms),
        replicates=2,
    )
