"""A number is compared with another one only in the same unit."""

import pytest

from cockpit.core.units import factor, other_names, unit_behind_name, unit_in_name, unit_of


@pytest.mark.parametrize(
    ("word", "unit"),
    [
        ("sec", "s"), ("Seconds", "s"), ("msec", "ms"), ("\xb5s", "us"), ("\u03bcs", "us"), ("m", "min"), ("hrs", "h"),
        ("k", "K"), ("M", "M"), ("kB", "KB"), ("MiB", "MiB"), ("GB/s", "GB"), ("TFLOP/s", "TFLOPS"),
        ("GFLOPS", "GFLOPS"), ("1m", ""),
        ("Mtok/s", "M"), ("tok/s", ""), ("it/s", ""), ("bits", ""), ("epoch", ""), ("", ""),
        ("%", "%"), ("percent", "%"),
    ],
)  # fmt: skip
def test_a_unit_has_one_spelling(word: str, unit: str) -> None:
    assert unit_of(word) == unit


@pytest.mark.parametrize(
    ("unit", "wanted", "by"),
    [
        ("s", "ms", 1e3), ("min", "s", 60.0), ("K", "M", 1e-3), ("K", "", 1e3), ("", "K", 1e-3),
        ("MiB", "MB", 1.048576), ("", "ms", 1.0), ("MB", "", 1.0), ("", "", 1.0),
        ("ms", "MB", None), ("GFLOPS", "s", None), ("%", "", None), ("", "%", None), ("%", "%", 1.0),
    ],
)  # fmt: skip
def test_units_of_one_kind_have_a_factor(unit: str, wanted: str, by: float | None) -> None:
    assert factor(unit, wanted) == (by if by is None else pytest.approx(by))


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("peak_vram_mb", "MB"), ("Peak Memory (GiB)", "GiB"), ("latency-ms", "ms"), ("latency [us]", "us"),
        ("training_seconds", "s"), ("wall_sec", "s"), ("acc_pct", "%"), ("mfu_percent", "%"), ("top1 %", "%"),
        ("tok_per_s", ""), ("tokens/s", ""), ("mb_per_sec", ""), ("loss_d", ""), ("latency_min", ""), ("params_M", ""),
        ("seconds", ""), ("ms", ""), ("val_loss", ""), ("class", ""), ("steps", ""), ("val_bpb", ""),
    ],
)  # fmt: skip
def test_a_name_may_end_in_its_unit(name: str, unit: str) -> None:
    assert unit_in_name(name) == unit


@pytest.mark.parametrize(("text", "unit"), [(" (ms)", "ms"), ("[GB]", "GB"), ("(%)", "%"), (" (best)", ""), ("", "")])
def test_a_unit_may_stand_in_brackets_behind_a_name(text: str, unit: str) -> None:
    assert unit_behind_name(text) == unit


def test_a_name_with_a_unit_has_other_names() -> None:
    assert {"peak_memory", "peak_vram", "peak_mem_gb", "peak_vram_gib"} <= set(other_names("peak_vram_mb"))
    assert {"latency", "latency_seconds"} <= set(other_names("latency_ms"))
    assert other_names("latency_ms") == [one for one in other_names("latency_ms") if one != "latency_ms"]
    assert other_names("val_loss") == []
