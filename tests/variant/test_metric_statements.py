"""Documents name the metric in words, and a guess finds it among the names that the code prints."""

import pytest

from cockpit.core.metric import Direction
from tests.variant.test_repository_guess import guessed

TWO_SCORES = 'LR = 0.1\nprint(f"val_loss: {loss:.4f} val_acc: {acc:.4f}")\n'


@pytest.mark.parametrize(
    ("line", "metric", "direction"),
    [
        ("Goal: get the highest val_acc.", "val_acc", Direction.MAX),
        ("Goal: get the highest val_acc. Watch val_loss too.", "val_acc", Direction.MAX),
        ("The metric is validation accuracy.", "val_acc", Direction.MAX),
        ("Get val_acc as high as possible", "val_acc", Direction.MAX),
        ("Maximize the validation accuracy", "val_acc", Direction.MAX),
        ("Our objective is the lowest validation loss.", "val_loss", Direction.MIN),
        ("val_loss is the metric, lower is better", "val_loss", Direction.MIN),
    ],
)
def test_a_document_names_the_metric_without_quotes(line: str, metric: str, direction: Direction) -> None:
    found = guessed(README_md=f"# x\n{line}\n", train_py=TWO_SCORES)
    assert (found.metric.value, found.metric.candidates, found.direction.value) == (metric, (), direction)


@pytest.mark.parametrize(
    "line", ["The metric is not val_acc.", "val_acc and val_loss are printed.", "The goal is a good model."]
)
def test_a_document_that_names_no_metric_leaves_two_scores_a_question(line: str) -> None:
    assert "metric" in guessed(README_md=f"# x\n{line}\n", train_py=TWO_SCORES).questions
