"""The surface that the search proposer ranks arms with."""

import numpy as np
import pytest

from cockpit.science.surface import FloatArray, fit_surface


def bowl(places: FloatArray) -> FloatArray:
    scores: FloatArray = 1.0 + ((places - 0.3) ** 2).sum(axis=1)
    return scores


def test_the_surface_ranks_configurations_that_have_not_run() -> None:
    rng = np.random.default_rng(0)
    runs, others = rng.random((40, 4)), rng.random((30, 4))
    surface = fit_surface(runs, bowl(runs) + rng.normal(0, 0.01, 40), np.full(40, 0.01))
    assert np.corrcoef(surface.at(others), bowl(others))[0, 1] > 0.95


def test_one_outlier_with_a_wide_error_barely_changes_it() -> None:
    rng = np.random.default_rng(1)
    runs = rng.random((30, 2))
    scores, sds = bowl(runs), np.full(30, 0.01)
    there = runs[:1]
    scores[0] -= 3.0
    believed = fit_surface(runs, scores, sds).at(there)
    sds[0] = 30.0
    doubted = fit_surface(runs, scores, sds).at(there)
    assert abs(doubted - bowl(there)) < abs(believed - bowl(there)) / 10


def test_equal_scores_give_a_flat_surface() -> None:
    places = np.random.default_rng(2).random((10, 3))
    assert np.allclose(fit_surface(places, np.full(10, 0.99), np.full(10, 0.001)).at(places + 0.1), 0.99)


@pytest.mark.parametrize("scores", [[], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_nan_and_infinity_are_refused(scores: list[float]) -> None:
    places = np.zeros((len(scores), 2))
    with pytest.raises(ValueError, match="finite"):
        fit_surface(places, np.asarray(scores), np.ones(len(scores)))
