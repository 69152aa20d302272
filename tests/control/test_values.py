"""Promises of reading typed values: one rule wherever they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.control.values import BadArgument, parse_amount, parse_count, parse_factor, parse_levels, parse_value
from cockpit.core.model import Value


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("1,2", [1, 2]),
        ("1e-3,SSSL", [0.001, "SSSL"]),
        ("SSSL, L", ["SSSL", "L"]),
        ("(0.8,0.9),(0.9,0.95)", [[0.8, 0.9], [0.9, 0.95]]),
        ("'a,b',c", ["a,b", "c"]),
        ("True,false", [True, "false"]),
        ("2**19", ["2**19"]),
        ("-1", [-1]),
    ],
)
def test_each_level_is_read_alone(text: str, levels: list[Value]) -> None:
    assert parse_levels(text) == levels


@pytest.mark.parametrize("text", ["", "1,,2", "1,", "{}", "(1,{})", "()", "None", "b'x'"])
def test_a_level_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(BadArgument):
        parse_levels(text)


@pytest.mark.parametrize("text", ["LR", "LR=", "L R=1", "=1", "1x=2"])
def test_a_factor_without_a_name_or_levels_is_refused(text: str) -> None:
    with pytest.raises(BadArgument, match="is not a factor: write NAME=LEVEL,LEVEL"):
        parse_factor(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_one_sentence(text: str) -> None:
    for parse in (parse_value, parse_levels, parse_factor, parse_amount, parse_count):
        try:
            parse(text)
        except BadArgument as error:
            assert str(error)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1e999", "many", ""])
def test_an_amount_is_a_finite_number_of_at_least_0(text: str) -> None:
    with pytest.raises(BadArgument, match="expected a number of at least 0"):
        parse_amount(text)


def test_a_control_character_beside_a_count_is_blank() -> None:
    assert parse_count(" 3\x1f") == 3


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "٣", "9" * 40])
def test_a_count_is_an_integer_of_at_least_1(text: str) -> None:
    with pytest.raises(BadArgument, match="expected an integer of at least 1"):
        parse_count(text)
