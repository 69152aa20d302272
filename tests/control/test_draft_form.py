"""A proposal as a form: each text is read into the draft, and an arm that an edit leaves alone stays as it is."""

from collections.abc import Collection, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.control.draft_form import (
    ADDED,
    ARMS,
    BASE,
    HYPOTHESIS,
    QUESTION,
    RUNS,
    FormRead,
    fields_of,
    level_text,
    read_form,
)
from cockpit.control.drafts import arm_key, draft_of_factors
from cockpit.control.values import parse_levels
from cockpit.core.intents import Draft
from cockpit.core.model import Value
from cockpit.core.state import constants_of
from tests.tui import stories

STATE = stories.night().state


def read(draft: Draft, texts: dict[str, str], dropped: Collection[str] = ()) -> FormRead:
    return read_form(STATE, draft, texts, dropped)


def proposal(*factors: str) -> Draft:
    """Return a full grid whose arms are experiments already."""
    draft = draft_of_factors(factors, question="why?")
    arms = tuple(msgspec.structs.replace(arm, experiment=f"e{at:04}") for at, arm in enumerate(draft.arms))
    return msgspec.structs.replace(draft, arms=arms, hypothesis="it helps", base="e0000")


def cells(draft: Draft) -> dict[tuple[Value, ...], str]:
    """Return the experiment of each arm by its levels."""
    return {tuple(arm.change.constants.values()): arm.experiment for arm in draft.arms}


def edited(draft: Draft, **texts: str) -> Draft:
    found = read(draft, fields_of(draft) | texts)
    assert not found.problems
    return found.draft


def test_the_texts_of_a_form_read_back_as_the_proposal() -> None:
    draft = proposal("DEPTH=8,9", "BETAS=(0.8,0.9),(0.9,0.95)", "WINDOW=SSSL,L", "TIED=True,False")
    found = read(draft, fields_of(draft))
    assert found.draft == draft and not found.changes and not found.problems


@given(st.one_of(st.text(min_size=1), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_a_level_is_shown_as_it_is_typed(level: Value) -> None:
    assert parse_levels(level_text(level)) == [level]


@pytest.mark.parametrize(
    ("text", "levels"),
    [("8, 9, 10", [8, 9, 10]), ("9", [9]), ("8, 10", [8, 10]), ("10, 11, 12", [10, 11, 12]), ("9, 8", [9, 8])],
)
def test_edited_levels_of_a_grid_make_the_grid_of_these_levels(text: str, levels: Sequence[Value]) -> None:
    before = proposal("DEPTH=8,9", "MATRIX_LR=0.03,0.04")
    after = edited(before, DEPTH=text)
    assert set(cells(after)) == {(depth, rate) for depth in levels for rate in (0.03, 0.04)}
    kept = {cell: name for cell, name in cells(after).items() if cell in cells(before)}
    assert kept == {cell: cells(before)[cell] for cell in kept}
    names = [arm.experiment for arm in after.arms if arm.experiment]
    assert len(names) == len(set(names)) == 2 * min(2, len(levels))


def test_a_level_in_another_place_keeps_the_fraction_of_a_grid() -> None:
    before = msgspec.structs.replace(proposal("DEPTH=8,9", "WIDTH=1,2"), design="a fraction")
    before = msgspec.structs.replace(before, arms=(before.arms[0], before.arms[3]))
    assert edited(before, DEPTH="8, 10").design == "a fraction"
    assert set(cells(edited(before, DEPTH="8, 10"))) == {(8, 1), (10, 2)}
    assert edited(before, DEPTH="8, 9, 10").design == ""


def test_a_factor_is_added_and_another_dropped_in_one_form() -> None:
    after = edited(proposal("DEPTH=8,9"), DEPTH="", **{f"{ADDED} 1": "WIDTH=1,2,3", RUNS: "2", QUESTION: "how wide?"})
    assert after.factors == {"WIDTH": [1, 2, 3]} and len(after.arms) == 3
    assert after.replicates == 2 and after.question == "how wide?"


@pytest.mark.parametrize(
    ("field", "text", "why"),
    [
        ("DEPTH", "8,,9", "a level is empty"),
        ("DEPTH", "8, 8", "given twice"),
        ("DEPTH", "", "no arm is left without DEPTH"),
        ("DEPTH", ", ".join(map(str, range(300))), "too many"),
        (QUESTION, "", "needs a question"),
        (HYPOTHESIS, "", "cannot be empty"),
        (BASE, "e9999", "there is no experiment"),
        (RUNS, "0", "at least 1"),
        (RUNS, "99", "from 1 to 16"),
        (f"{ADDED} 1", "WIDTH", "is not a factor"),
        (f"{ADDED} 1", "DEPTH=1,2", "a factor already"),
    ],
)
def test_a_problem_is_reported_for_its_field_and_the_others_are_read(field: str, text: str, why: str) -> None:
    before = proposal("DEPTH=8,9")
    found = read(before, fields_of(before) | {f"{ADDED} 2": "MATRIX_LR=0.03,0.04"} | {field: text})
    if field == "DEPTH" and not text:
        assert found.draft.factors == {"MATRIX_LR": [0.03, 0.04]}
        found = read(before, fields_of(before) | {field: text})
    else:
        assert found.draft.factors == {"DEPTH": [8, 9], "MATRIX_LR": [0.03, 0.04]}
    assert list(found.problems) == [field] and why in found.problems[field]


def test_arms_are_dropped_by_themselves_and_named_in_the_change() -> None:
    before = proposal("DEPTH=8,9", "WIDTH=1,2")
    found = read(before, fields_of(before), {"e0001", "e0002"})
    assert set(cells(found.draft)) == {(8, 1), (9, 2)} and len(found.grid) == 4
    assert found.changes == ("dropped e0001; e0002",) and not found.problems


def test_a_dropped_arm_stays_dropped_while_its_levels_are_edited() -> None:
    before = proposal("DEPTH=8,9", "WIDTH=1,2")
    found = read(before, fields_of(before) | {"DEPTH": "8, 10"}, {"e0002"})
    assert set(cells(found.draft)) == {(8, 1), (8, 2), (10, 2)}


def test_an_arm_that_an_edit_adds_can_be_dropped_too() -> None:
    before = proposal("DEPTH=8,9")
    texts = fields_of(before) | {"DEPTH": "8, 9, 10"}
    added = next(arm for arm in read(before, texts).grid if not arm.experiment)
    found = read(before, texts, {arm_key(added)})
    assert set(cells(found.draft)) == {(8,), (9,)} and found.changes[-1] == "dropped DEPTH = 10"


def test_the_last_arm_cannot_be_dropped() -> None:
    before = proposal("DEPTH=8,9")
    found = read(before, fields_of(before), {"e0000", "e0001"})
    assert "reject the proposal" in found.problems[ARMS] and found.draft == before


def test_another_base_leaves_out_the_arms_that_change_nothing_there() -> None:
    kept = STATE.incumbent
    held = constants_of(STATE, kept)
    before = proposal(f"DEPTH={held['DEPTH']},31")
    found = read(before, fields_of(before) | {BASE: kept, HYPOTHESIS: "less"})
    assert found.draft.base == kept and set(cells(found.draft)) == {(31,)} and found.draft.hypothesis == "less"
    found = read(before, fields_of(before) | {BASE: kept, "DEPTH": str(held["DEPTH"])})
    assert f"every arm is part of {kept}" in found.problems[BASE]
