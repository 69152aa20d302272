"""A number is compared with another one only in the same unit."""

import pytest

from cockpit.core.units import factor, unit_of


@pytest.mark.parametrize(
    ("word", "unit"),
    [
        ("sec", "s"), ("Seconds", "s"), ("msec", "ms"), ("\xb5s", "us"), ("\u03bcs", "us"), ("m", "min"), ("hrs", "h"),
        ("k", "K"), ("M", "M"), ("kB", "KB"), ("MiB", "MiB"), ("GB/s", "GB"), ("TFLOP/s", "TFLOPS"),
        ("GFLOPS", "GFLOPS"), ("1m", ""),
        ("Mtok/s", "M"), ("tok/s", ""), ("it/s", ""), ("bits", ""), ("epoch", ""), ("", ""), ("%", ""),
    ],
)  # fmt: skip
def test_a_unit_has_one_spelling(word: str, unit: str) -> None:
    assert unit_of(word) == unit


@pytest.mark.parametrize(
    ("unit", "wanted", "by"),
    [
        ("s", "ms", 1e3), ("min", "s", 60.0), ("K", "M", 1e-3), ("K", "", 1e3), ("", "K", 1e-3),
        ("MiB", "MB", 1.048576), ("", "ms", 1.0), ("MB", "", 1.0), ("", "", 1.0),
        ("ms", "MB", None), ("GFLOPS", "s", None),
    ],
)  # fmt: skip
def test_units_of_one_kind_have_a_factor(unit: str, wanted: str, by: float | None) -> None:
    assert factor(unit, wanted) == (by if by is None else pytest.approx(by))
