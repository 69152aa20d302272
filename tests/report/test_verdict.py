"""Promises of the report's verdict: the gain with its interval, the cost, and no claim without evidence."""

import re

import msgspec

from cockpit.core.state import State
from cockpit.read.effects import gain_of
from cockpit.read.scores import kept_experiments
from cockpit.report.html import html
from cockpit.report.verdict import verdict
from tests.tui import stories


def test_the_verdict_has_the_gain_of_the_incumbent_its_interval_and_the_cost() -> None:
    state = stories.night().state
    gain = gain_of(state)
    assert gain is not None
    said = verdict(state, state.now)
    assert f"{state.incumbent} improves val_bpb over the unchanged train.py by {-gain.pooled.mean:.4f}" in said
    assert f"90% interval {-gain.pooled.high:.4f} to {-gain.pooled.low:.4f}" in said
    assert f"{len(kept_experiments(state))} changes were kept of" in said and "$" in said
    assert len(re.findall(r"[.](?: |$)", said.replace("train.py", "train"))) == 2
    assert said in html(state, state.now)


def test_a_gain_within_the_noise_is_not_called_an_improvement() -> None:
    state = stories.night().state
    same(state)
    said = verdict(state, state.now)
    assert "improves" not in said and "within the noise" in said


def same(state: State) -> None:
    """Give the incumbent the baseline's scores."""
    scores = state.experiments[state.baseline].scores
    for name in state.experiments[state.incumbent].attempts:
        run = state.attempts[name]
        if run.metrics is not None and scores.get(run.hardware):
            run.metrics.score = scores[run.hardware][0]
    for hardware in state.experiments[state.incumbent].scores:
        if scores.get(hardware):
            state.experiments[state.incumbent].scores[hardware] = list(scores[hardware])


def test_a_session_without_a_keep_says_that_nothing_is_better() -> None:
    state = stories.night().state
    state.incumbent = state.baseline
    assert verdict(state, state.now).startswith("The unchanged train.py is still the best.")
    state = stories.empty().state
    assert verdict(state, 1.0).startswith("The unchanged train.py has no result yet.")
    state.session = msgspec.structs.replace(state.session, script="warrior.red")
    assert verdict(state, 1.0).startswith("The unchanged warrior.red has no result yet.")
