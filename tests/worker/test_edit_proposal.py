"""An edit of a waiting proposal is taken whole or refused whole, on a real store of variants."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cockpit.control.verbs import verb
from cockpit.core.events import IncumbentSet
from cockpit.core.fold import fold
from cockpit.core.intents import Arm, Draft, EditProposal, Propose
from cockpit.core.knobs import KnobRange
from cockpit.core.model import Change, Value
from cockpit.core.seeds import IS_A_SEED
from cockpit.core.state import State, constants_of
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.read.waves import replaced_base
from cockpit.variant.store import VariantStore
from cockpit.worker.intake import prepare
from tests.worker.sessions import local_session, state_of


@pytest.fixture
def proposed(tmp_path: Path) -> Iterator[tuple[VariantStore, State]]:
    """A session in which w001 waits with three learning rates."""
    folder = local_session(tmp_path)
    store = VariantStore(tmp_path / "repo", "night")
    draft = Draft("ada", "Which rate?", base="e0000", factors={"MATRIX_LR": [0.02, 0.03, 0.05]})
    yield store, handled(store, state_of(folder), Propose(draft))
    store.close()


def handled(store: VariantStore, state: State, intent: Propose | EditProposal) -> State:
    at = state.now + 1
    prepared = prepare(store, state, intent, "ada", at)
    for event in handle_intent(state, intent, "ada", at, prepared):
        state = fold(state, event)
    return state


def with_rate(state: State, experiment: str, rate: Value) -> EditProposal:
    arms = tuple(
        Arm(Change(constants={"MATRIX_LR": rate}), levels={"MATRIX_LR": rate}, experiment=name)
        if name == experiment
        else Arm(state.experiments[name].change, levels=state.experiments[name].levels, experiment=name)
        for name in state.waves["w001"].arms
    )
    draft = Draft("ada", "Which rate?", base="e0000", arms=arms, factors={"MATRIX_LR": [0.02, 0.03, 0.05]})
    return EditProposal("w001", draft, f"{experiment}: MATRIX_LR = {rate}")


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [("abc", "MATRIX_LR is a number"), (0.05, "has the code of e0003"), (0.04, "has the code of e0000")],
)
def test_an_edit_with_one_invalid_arm_is_refused_and_changes_nothing(
    proposed: tuple[VariantStore, State], rate: Value, sentence: str
) -> None:
    store, state = proposed
    before = store.experiments()
    with pytest.raises(Refused, match=sentence):
        handled(store, state, with_rate(state, "e0001", rate))
    assert state.waves["w001"].arms == ["e0001", "e0002", "e0003"]
    assert store.experiments() == before


@pytest.mark.parametrize("name", ["seed", "RNG_SEED"])
def test_a_seed_is_refused_as_a_factor_in_one_sentence(proposed: tuple[VariantStore, State], name: str) -> None:
    store, state = proposed
    with pytest.raises(Refused) as caught:
        prepare(store, state, Propose(Draft("ada", "Luck?", factors={name: [1, 2, 3]})), "ada", 1.0)
    assert str(caught.value) == f"{name} cannot be varied: it is a seed, and a lucky seed is not a gain"
    arms = (Arm(Change(constants={name: 1})), Arm(Change(constants={"MATRIX_LR": 0.01})))
    prepared = prepare(store, state, Propose(Draft("ada", "Luck?", arms=arms)), "ada", 1.0)
    assert prepared is not None and [each.change.constants for each in prepared.experiments] == [{"MATRIX_LR": 0.01}]
    assert "a lucky seed is not a gain" in prepared.problems[0]


def test_a_knob_that_the_code_seeds_itself_with_is_refused_too(proposed: tuple[VariantStore, State]) -> None:
    store, state = proposed
    ranges = {"DEPTH": KnobRange(excluded=IS_A_SEED)}
    seeded = msgspec.structs.replace(state, session=msgspec.structs.replace(state.session, ranges=ranges))
    with pytest.raises(Refused, match="DEPTH cannot be varied: it is a seed"):
        prepare(store, seeded, Propose(Draft("ada", "Luck?", factors={"DEPTH": [1, 2]})), "ada", 1.0)


def test_an_edit_keeps_the_commits_of_the_arms_that_it_leaves_alone(proposed: tuple[VariantStore, State]) -> None:
    store, state = proposed
    commits = {name: state.experiments[name].commit for name in state.waves["w001"].arms}
    edited = handled(store, state, with_rate(state, "e0001", 0.01))
    assert edited.waves["w001"].arms == ["e0001", "e0002", "e0003"]
    assert edited.experiments["e0001"].levels == {"MATRIX_LR": 0.01}
    changed = [name for name, commit in commits.items() if edited.experiments[name].commit != commit]
    assert changed == ["e0001"]


def test_a_rebased_proposal_is_the_incumbent_with_its_arms(proposed: tuple[VariantStore, State]) -> None:
    store, state = proposed
    deeper = Draft("ada", "Deeper?", base="e0000", factors={"DEPTH": [6]})
    state = handled(store, state, Propose(deeper))
    (better,) = state.waves["w002"].arms
    state = fold(state, IncumbentSet(at=state.now + 1, experiment=better, reason="better"))
    arms = list(state.waves["w001"].arms)
    rebase = verb("rebase").intent(state, {"wave": "w001"}, state.now)
    assert isinstance(rebase, EditProposal)
    state = handled(store, state, rebase)
    wave = state.waves["w001"]
    assert wave.base == better and replaced_base(state, wave) == ""
    assert len(wave.arms) == len(arms) and wave.factors == {"MATRIX_LR": [0.02, 0.03, 0.05]}
    for name in wave.arms:
        assert constants_of(state, name)["DEPTH"] == 6
        assert set(state.experiments[name].change.constants) == {"MATRIX_LR"}
