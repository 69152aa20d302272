"""Promises of the bars: one for each factor with a clear effect, drawn to scale, better and worse apart."""

import re

import pytest

from cockpit.core.metric import VAL_BPB, Direction, Metric
from cockpit.core.model import Estimate
from cockpit.report.bars import BETTER, UNCLEAR, WIDTH, WORSE, Bar, bar_svg, scale_of, strongest


def bar(factor: str, mean: float, half: float = 0.001, interaction: bool = False) -> Bar:
    return Bar("w001", factor, "1 → 2", Estimate(mean, mean - half, mean + half, 0.9, 4, "", "H100"), interaction)


def test_each_factor_has_its_largest_improvement_or_else_its_largest_clear_effect() -> None:
    waves = [
        [bar("DEPTH", -0.004), bar("DEPTH", -0.009), bar("DEPTH", 0.02), bar("WIDTH", 0.003)],
        [bar("WIDTH", 0.006), bar("SEED", 0.0005), bar("DEPTH × WIDTH", -0.05, interaction=True)],
    ]
    assert [(one.factor, one.estimate.mean) for one in strongest(waves)] == [("DEPTH", -0.009), ("WIDTH", 0.006)]


def test_a_bar_has_the_length_of_its_effect_and_the_colour_of_its_direction() -> None:
    scale = scale_of([bar("DEPTH", -0.009), bar("WIDTH", 0.004)])
    assert scale == pytest.approx(0.01)
    better, worse = bar_svg(bar("DEPTH", -0.009), scale, VAL_BPB), bar_svg(bar("WIDTH", 0.005), scale, VAL_BPB)
    assert BETTER in better and WORSE in worse and UNCLEAR in bar_svg(bar("WIDTH", 0.0005), scale, VAL_BPB)
    rectangle = re.search(r'<rect x="([0-9.]+)" y="2" width="([0-9.]+)"', better)
    assert rectangle is not None
    assert [float(number) for number in rectangle.groups()] == pytest.approx([0.05 * WIDTH, 0.45 * WIDTH])


def test_a_bar_of_a_metric_that_is_better_higher_points_right_where_it_is_better() -> None:
    drawn = bar_svg(bar("DEPTH", -0.009), 0.01, Metric("accuracy", Direction.MAX))
    assert BETTER in drawn and f'<rect x="{WIDTH / 2:.1f}"' in drawn
