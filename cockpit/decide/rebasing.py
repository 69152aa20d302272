"""Rebase: try a change under test again on the new incumbent once a keep replaces its base.

A gain near one SD needs a test of hours. Without rebasing, each keep would end the other tests: their arms lack the
kept change and do not beat the new incumbent.
"""

from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Experiment, ExperimentStatus, Mode
from cockpit.core.state import WITHOUT, State, constants_of
from cockpit.decide.decision_context import clusters_up
from cockpit.decide.evidence import TEST_KINDS, readings_of
from cockpit.decide.known_code import has_known_code
from cockpit.science.sequential import LOOKS, last_look

PROPOSER = "rebase"
INCUMBENTS_READ = 8
"""Newest incumbents whose arms are rebased."""
NOT_APPROVED = (ExperimentStatus.PROPOSED, ExperimentStatus.DROPPED)
REBASED = "rebased"
"""The factor of a rebased arm. Its level is the experiment that made the same change on an earlier incumbent."""
FIRST_AT_MOST = LOOKS[1]
"""Fresh runs that a test begins with where the fleet runs as many at once. A look at two ends one real gain of 1 SD in
ten, and takes the length of a run."""
AT_ONCE = LOOKS[3]
"""Fresh runs that a rebased test begins with, at most."""


def outdated(state: State) -> list[str]:
    """Return the experiments that are tested, or wait for a test, on an incumbent that was replaced; tests come first.

    A change that sets a constant which the kept changes set as well is left out: one of the two would be undone. A
    change whose code on the incumbent an experiment has already is left out too.
    """
    past = {one.experiment for one in state.incumbencies[-INCUMBENTS_READ:]}
    stale = [
        name
        for name in state.undecided
        if (one := state.experiments[name]).base != state.incumbent
        and one.base in past
        and name != state.incumbent
        and WITHOUT not in one.levels
        and (one.test_level or name not in state.contenders)
    ]
    if not stale:
        return []
    rebased = set(_rebased(state))
    found = [
        name
        for name in stale
        if name not in rebased
        and _is_disjoint(state, (one := state.experiments[name]))
        and not has_known_code(state, one.change)
    ]
    return sorted(found, key=lambda name: state.experiments[name].test_level == 0)


def rebased_as(state: State, experiment: str) -> str:
    """Return the experiment that makes the same change on the incumbent; empty for none."""
    found = _rebased(state).get(experiment, "")
    return found if found and state.experiments[found].status not in NOT_APPROVED else ""


def may_be_rebased(state: State, experiment: Experiment, rival: Experiment) -> bool:
    """Return True if the experiment can wait for a rival that is certainly better. If that is kept, it is rebased."""
    asked = state.mode is not Mode.MANUAL and WITHOUT not in rival.levels
    return asked and rival.change.constants.keys().isdisjoint(experiment.change.constants)


def will_be_rebased(state: State, experiment: str) -> bool:
    """Return True if the experiment is about to be rebased.

    A keep has replaced its base, and no rebase was asked for yet.
    """
    return state.mode is not Mode.MANUAL and not state.ending and experiment in outdated(state)


def carries_test(state: State, experiment: Experiment) -> bool:
    """Return True if the experiment continues a test that a keep has ended."""
    source = experiment.levels.get(REBASED)
    return source is not None and state.experiments[str(source)].test_level > 0


def first_runs(state: State, experiment: Experiment) -> int:
    """Return the fresh runs that a test begins with: as many as the test that it continues had, up to AT_ONCE.

    The first looks would ask again if the change is hopeless, which that test has answered.
    """
    first = last_look(min(max(LOOKS[0], clusters_up(state)), FIRST_AT_MOST))
    source = experiment.levels.get(REBASED)
    if source is None:
        return first
    look = last_look(len(readings_of(state, str(source), *TEST_KINDS)))
    return min(max(first, look), AT_ONCE)


def rebase(state: State) -> Draft | None:
    """Return the changes under test on top of the incumbent; None for none."""
    arms = tuple(
        Arm(state.experiments[name].change, why=f"the change of {name} on {state.incumbent}", levels={REBASED: name})
        for name in outdated(state)
    )
    if not arms:
        return None
    return Draft(
        proposer=PROPOSER,
        question=f"On {state.incumbent}: do the changes under test help there too?",
        hypothesis="They were tested on the incumbent before it, which lacks the change that was kept.",
        base=state.incumbent,
        arms=arms,
    )


def _rebased(state: State) -> dict[str, str]:
    """Return the experiments that were rebased on the incumbent, each with the arm that makes its change there."""
    found: dict[str, str] = {}
    for wave in reversed(state.waves.values()):
        if wave.proposer != PROPOSER:
            continue
        if wave.base != state.incumbent:
            break
        found |= {str(state.experiments[name].levels[REBASED]): name for name in wave.arms}
    return found


def _is_disjoint(state: State, experiment: Experiment) -> bool:
    before, now = constants_of(state, experiment.base), constants_of(state, state.incumbent)
    moved = {name for name, value in now.items() if before.get(name) != value}
    return moved.isdisjoint(experiment.change.constants)
