"""Ablation: each kept change dropped from the incumbent once. A change that no longer helps goes."""

from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Edit
from cockpit.core.state import State, constants_of
from cockpit.decide.kept_changes import WITHOUT, kept_changes, unablated

PROPOSER = "ablate"


def ablations(state: State) -> Draft | None:
    """Return the incumbent without each change kept on the way to it that no ablation has dropped; None for none.

    A constant goes back to what it was before the keep, unless a later keep set it again; an edit is turned round.
    """
    wanted = unablated(state)
    if not wanted:
        return None
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
    if not arms:
        return None
    return Draft(
        proposer=PROPOSER,
        question="Does every kept change still help?",
        hypothesis="What helped when it was kept may have been overtaken by what was kept after it.",
        base=state.incumbent,
        arms=tuple(arms),
        replicates=2,
    )
