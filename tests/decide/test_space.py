"""The search space: ranges around the author's values, and only values that fit together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.knobs import KnobRange
from cockpit.core.model import Value
from cockpit.science.search_space import (
    LINEAR_STEPS,
    ROW_TOKENS,
    STEP_ROUNDED,
    Choice,
    Ladder,
    Real,
    first_levels,
    fit_overrides,
    moved_to,
    position,
    search_space,
    step_share,
    value_at,
)

AUTORESEARCH: dict[str, Value] = {
    "DEPTH": 8,
    "ASPECT_RATIO": 64,
    "HEAD_DIM": 128,
    "WINDOW_PATTERN": "SSSL",
    "TOTAL_BATCH_SIZE": 2**19,
    "DEVICE_BATCH_SIZE": 128,
    "EMBEDDING_LR": 0.6,
    "UNEMBEDDING_LR": 0.004,
    "MATRIX_LR": 0.04,
    "SCALAR_LR": 0.5,
    "WEIGHT_DECAY": 0.2,
    "ADAM_BETAS": [0.8, 0.95],
    "WARMUP_RATIO": 0.0,
    "WARMDOWN_RATIO": 0.5,
    "FINAL_LR_FRAC": 0.0,
    "MUON_MOMENTUM": 0.95,
    "NS_STEPS": 5,
    "SEED": 1337,
    "GATE_CHANNELS": 32,
}


def test_exactly_the_constants_of_autoresearch_to_vary_have_a_dimension() -> None:
    assert set(AUTORESEARCH) - set(search_space(AUTORESEARCH)) == {"SEED", "GATE_CHANNELS"}


@pytest.mark.parametrize("name", search_space(AUTORESEARCH))
def test_the_baseline_lies_in_its_own_space(name: str) -> None:
    dimension = search_space(AUTORESEARCH)[name]
    base = AUTORESEARCH[name]
    found = value_at(dimension, position(dimension, base))
    assert found == (pytest.approx(base) if isinstance(base, float) else base)


def test_unknown_and_mistyped_constants_have_no_dimension() -> None:
    assert (
        search_space({"LOG_EVERY": 10, "LR": "auto", "DEPTH": 2.5, "WARMUP_RATIO": True, "WINDOW_PATTERN": "abc"}) == {}
    )


def test_another_authors_names_are_known_too() -> None:
    found = search_space({"LEARNING_RATE": 3e-4, "BATCH_SIZE": 12, "N_LAYER": 6, "DROPOUT": 0.1, "BETA2": 0.99})
    assert isinstance(found["LEARNING_RATE"], Real)
    assert found["LEARNING_RATE"].log
    assert found["BATCH_SIZE"] == Ladder((3, 6, 12, 24))
    assert found["N_LAYER"] == Ladder((3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
    assert set(found) == {"LEARNING_RATE", "BATCH_SIZE", "N_LAYER", "DROPOUT", "BETA2"}


@given(st.sampled_from(sorted(search_space(AUTORESEARCH))), st.floats(0, 1))
def test_a_position_gives_a_value_that_gives_the_position_back(name: str, place: float) -> None:
    dimension = search_space(AUTORESEARCH)[name]
    value = value_at(dimension, place)
    again = value_at(dimension, position(dimension, value))
    assert again == (pytest.approx(value) if isinstance(value, float) else value)
    if isinstance(dimension, Real):
        assert isinstance(value, float)
        assert dimension.low <= value <= dimension.high
    else:
        assert value in (dimension.rungs if isinstance(dimension, Ladder) else dimension.options)


@given(st.dictionaries(st.sampled_from(sorted(search_space(AUTORESEARCH))), st.floats(0, 1)))
def test_a_fitted_change_has_whole_passes_and_differs_from_the_base(places: dict[str, float]) -> None:
    dimensions = search_space(AUTORESEARCH)
    fitted = fit_overrides(AUTORESEARCH, {name: value_at(dimensions[name], place) for name, place in places.items()})
    merged = {**AUTORESEARCH, **fitted}
    total, rows = merged["TOTAL_BATCH_SIZE"], merged["DEVICE_BATCH_SIZE"]
    assert isinstance(total, int)
    assert isinstance(rows, int)
    assert total % (rows * ROW_TOKENS) == 0
    assert all(AUTORESEARCH[name] != value for name, value in fitted.items())


def test_a_base_with_another_batch_rule_is_not_fitted() -> None:
    assert fit_overrides({"TOTAL_BATCH_SIZE": 640, "DEVICE_BATCH_SIZE": 64}, {"TOTAL_BATCH_SIZE": 320}) == {
        "TOTAL_BATCH_SIZE": 320
    }


def test_the_first_choice_is_the_bases_own() -> None:
    dimension = search_space({"ADAM_BETAS": [0.85, 0.97]})["ADAM_BETAS"]
    assert isinstance(dimension, Choice)
    assert dimension.options[0] == [0.85, 0.97]


REALS = sorted(name for name, one in search_space(AUTORESEARCH).items() if isinstance(one, Real))


@pytest.mark.parametrize(
    ("name", "trifle", "step"),
    [
        ("MUON_MOMENTUM", 0.949, 0.005),
        ("WEIGHT_DECAY", 0.205, 0.02),
        ("WARMDOWN_RATIO", 0.503, 0.02),
        ("MATRIX_LR", 0.0412, 0.004),
        ("UNEMBEDDING_LR", 0.00397, 0.0004),
    ],
)
def test_a_move_smaller_than_a_sensible_step_keeps_the_base(name: str, trifle: float, step: float) -> None:
    dimension, base = search_space(AUTORESEARCH)[name], AUTORESEARCH[name]
    assert isinstance(base, float)
    assert moved_to(dimension, base, position(dimension, trifle)) == base
    assert moved_to(dimension, base, position(dimension, base + step)) == pytest.approx(base + step)


@given(st.sampled_from(REALS), st.floats(0, 1))
def test_a_drawn_number_is_short_and_is_the_base_or_a_step_away(name: str, place: float) -> None:
    dimension, base = search_space(AUTORESEARCH)[name], AUTORESEARCH[name]
    assert isinstance(dimension, Real)
    value = moved_to(dimension, base, place)
    away = abs(position(dimension, value) - position(dimension, base))
    assert value == base or away >= STEP_ROUNDED * step_share(dimension) * (1 - 1e-9)
    assert len(f"{value:g}".lstrip("-0.").replace(".", "").partition("e")[0]) <= 3


@given(st.floats(1e-6, 1e3), st.floats(1e-3, 1e3), st.booleans())
def test_any_range_has_sensible_steps(low: float, width: float, log: bool) -> None:
    dimension = Real(low, low + width, log)
    assert 0 < step_share(dimension) <= 1 / LINEAR_STEPS + 1e-9
    for place in (0.0, 0.3, 1.0):
        value = value_at(dimension, place)
        assert isinstance(value, float) and dimension.low <= value <= dimension.high


def test_a_base_outside_its_range_is_left_for_the_ends_of_the_range() -> None:
    assert moved_to(Real(0.1, 0.5), 0.05, 0.0) == 0.1


def test_whole_numbers_are_short_and_around_the_base() -> None:
    dimension = search_space({"POINTS": 326, "LR": 0.1, "DROPOUT": 0.1})["POINTS"]
    assert isinstance(dimension, Ladder) and {163, 326, 652} <= set(dimension.rungs)
    assert all(rung % 10 == 0 for rung in set(dimension.rungs) - {163, 326, 652})
    lower, higher = (dimension.rungs[dimension.rungs.index(326) + step] for step in (-1, 1))
    assert lower <= 0.95 * 326 and higher >= 1.05 * 326
    wide = search_space({"POINTS": 300}, {"POINTS": KnobRange(low=10, high=5_000)})["POINTS"]
    assert isinstance(wide, Ladder) and 300 in wide.rungs and (wide.rungs[0], wide.rungs[-1]) == (10, 5_000)
    assert len(wide.rungs) <= 26


def test_a_base_that_is_not_among_its_choices_is_left_where_it_is() -> None:
    dimension = search_space({"LR": 0.1, "WIDTH": 100}, {"WIDTH": KnobRange(choices=(64, 96, 128))})["WIDTH"]
    assert moved_to(dimension, 100, position(dimension, 100)) == 100
    assert moved_to(dimension, 100, 0.0) == 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UNEMBEDDING_LR", [0.0027, 0.006, 0.002, 0.008]),
        ("WEIGHT_DECAY", [0.12, 0.28, 0.06, 0.36]),
        ("WARMUP_RATIO", [0.04, 0.09]),
        ("DEPTH", [7, 9, 5, 11]),
        ("HEAD_DIM", [64, 256]),
        ("WINDOW_PATTERN", ["SSLL", "SLSL", "SSSSL", "SSSS", "SL", "L"]),
    ],
)
def test_the_first_levels_are_those_that_a_person_would_try(name: str, expected: list[Value]) -> None:
    assert first_levels(search_space(AUTORESEARCH)[name], AUTORESEARCH[name]) == expected


@pytest.mark.parametrize(
    ("dimension", "base", "expected"),
    [
        (Ladder(tuple(range(20, 44))), 30, [27, 33, 23, 37]),
        (Real(0.1, 0.12, log=True), 0.1, [0.12]),
        (Real(0.1, 0.5), 0.05, [0.16, 0.22]),
        (Choice((True, False)), True, [False]),
        (Ladder((5,)), 5, []),
    ],
    ids=["many rungs", "a narrow range", "a base outside", "two options", "one value"],
)
def test_any_dimension_has_first_levels_inside_it(
    dimension: Ladder | Real | Choice, base: Value, expected: list[Value]
) -> None:
    assert first_levels(dimension, base) == expected
