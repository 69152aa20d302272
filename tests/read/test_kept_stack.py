"""Promises of the stack: what was kept, in order, with its gain, cost and ablation, and the pace of keeps."""

import msgspec
import pytest

from cockpit.core.events import Decided, Proposed
from cockpit.core.fold import fold
from cockpit.core.metric import VAL_BPB
from cockpit.core.model import Change, Estimate, Experiment, ExperimentStatus, Wave
from cockpit.core.state import WITHOUT, State
from cockpit.decide.budget import accounts
from cockpit.read.costs import hour_usd, run_usd
from cockpit.read.effects import gain_of
from cockpit.read.kept_stack import Pace, kept_words, pace_of, pace_words, stack_of
from cockpit.read.model_cost import models_usd_per_hour
from cockpit.read.needs import NeedKind, needs
from cockpit.read.plateau import PLATEAU_AFTER_S
from cockpit.read.scores import kept_estimate, kept_experiments
from cockpit.read.wording import estimate_words
from tests.tui import stories


@pytest.fixture
def state() -> State:
    return stories.night().state


def test_the_stack_lists_the_kept_changes_in_the_order_they_were_kept(state: State) -> None:
    stack = stack_of(state, state.now)
    assert [one.experiment for one in stack.kept] == kept_experiments(state) != []
    assert [one.at for one in stack.kept] == sorted(one.at for one in stack.kept)
    for one in stack.kept:
        assert one.estimate == kept_estimate(state, one.experiment)
        assert one.runs == sum(map(len, state.experiments[one.experiment].scores.values()))


def test_a_change_names_the_value_that_its_gain_is_measured_against_before_its_own(state: State) -> None:
    first = stack_of(state, state.now).kept[0]
    assert "ASPECT_RATIO 64 → " in first.change and "MATRIX_LR 0.04" in first.change
    words = kept_words(state, first.experiment)
    assert first.estimate is not None
    assert words == f"{first.experiment} kept: {first.change}, {estimate_words(VAL_BPB, first.estimate)}"


def test_an_estimate_is_worded_with_half_its_interval_and_its_runs() -> None:
    estimate = Estimate(-0.0006, -0.0008, -0.0004, 0.9, 6, "e0000", "H100")
    assert estimate_words(VAL_BPB, estimate) == "−0.0006 ± 0.0002 over 6 runs"


def test_every_run_s_dollars_belong_to_the_first_keep_after_its_end(state: State) -> None:
    stack = stack_of(state, state.now)
    last = stack.kept[-1].at
    before = [one for one in state.attempts.values() if one.ended_at and one.started_at and one.ended_at <= last]
    assert sum(one.runs_usd for one in stack.kept) == pytest.approx(
        sum(run_usd(state, one, one.ended_at) for one in before)
    )
    assert all(one.runs_usd > 0 for one in stack.kept[:1])


def test_the_total_is_the_gain_against_the_baseline_and_its_price(state: State) -> None:
    stack = stack_of(state, state.now)
    compared = gain_of(state)
    assert compared is not None and stack.total == compared.pooled
    assert stack.spent_usd == accounts(state, state.now).total_usd > 0
    assert stack.usd_per_milli == pytest.approx(stack.spent_usd / (-compared.pooled.mean * 1000))


def test_the_pace_falls_while_nothing_is_kept(state: State) -> None:
    now = stack_of(state, state.now).pace
    later = stack_of(state, state.now + 3600).pace
    assert now is not None and later is not None
    assert later.since_keep_s == pytest.approx(now.since_keep_s + 3600)
    assert 0 < later.gain_per_hour < now.gain_per_hour


@pytest.mark.parametrize(
    ("pace", "words"),
    [
        (Pace(5, 2.0, 60.0, 0.0007614, 0.0002935, 0.0025), "0.00076 (0.00029 to 0.0025)"),
        (Pace(1, 2.0, 60.0, 1234.5, 0.0, 5678.0), "1200 (0 to 5700)"),
    ],
)
def test_the_gain_expected_of_an_hour_has_two_digits(pace: Pace, words: str) -> None:
    assert pace_words(pace) == words


def test_before_the_first_keep_there_is_no_pace_and_no_price() -> None:
    state = stories.begun().state
    stack = stack_of(state, state.now)
    assert (stack.kept, stack.total, stack.pace, stack.usd_per_milli) == ((), None, None, None)


def test_a_kept_change_shows_what_leaving_it_out_has_shown(state: State) -> None:
    name = kept_experiments(state)[0]

    def ablation() -> str:
        return next(one.ablation for one in stack_of(state, state.now).kept if one.experiment == name)

    assert ablation() in ("", "not ablated")
    without = Experiment("e9999", "w999", state.incumbent, Change(), "c", "t", "p", "f", levels={WITHOUT: name})
    wave = Wave(id="w999", proposer="ablate", question="?", base=state.incumbent, arms=["e9999"])
    fold(state, Proposed(at=state.now, wave=wave, experiments=[without]))
    assert ablation() == "ablation proposed"
    estimate = Estimate(0.004, 0.003, 0.005, 0.9, 4, state.incumbent, "H100")
    decided = Decided(
        at=state.now, experiment="e9999", status=ExperimentStatus.DISCARDED, reason="helps", estimate=estimate
    )
    fold(state, decided)
    assert ablation() == "ablated: +0.0040 ± 0.0010 over 4 runs without it"


def test_a_keep_on_an_older_base_is_worded_against_the_incumbent_that_it_replaced(state: State) -> None:
    first, last = (state.experiments[name] for name in (kept_experiments(state)[0], kept_experiments(state)[-1]))
    last.overrides = {**first.overrides, "DEPTH": 10}
    last.change, last.levels, last.base = Change(dict(last.overrides)), {}, state.baseline
    estimate = Estimate(-0.001, -0.002, -0.0005, 0.9, 4, first.id, "H100")
    state.incumbencies[-1] = msgspec.structs.replace(state.incumbencies[-1], estimate=estimate)
    assert stack_of(state, state.now).kept[-1].change == "DEPTH 8 → 10"


def test_a_plateau_is_reported_where_the_next_hour_gains_less_than_it_costs(state: State) -> None:
    later = state.now + 2 * 3600
    pace = pace_of(state, later)
    assert pace is not None and hour_usd(state) > 0
    models_usd = models_usd_per_hour(state, later)
    assert models_usd
    cost_usd = hour_usd(state) + models_usd
    level_usd = cost_usd / (pace.gain_per_hour * 1000)

    def told(worth_usd: float, at: float) -> list[str]:
        valued = msgspec.structs.replace(state, envelope=msgspec.structs.replace(state.envelope, worth_usd=worth_usd))
        return [need.sentence for need in needs(valued, at) if need.kind is NeedKind.PLATEAU]

    assert told(0.0, later) == [], "nobody said what a gain is worth"
    assert told(1.1 * level_usd, later) == []
    (sentence,) = told(0.9 * level_usd, later)
    assert (
        f"costs ${cost_usd:.2f} (${models_usd:.2f} for models)" in sentence
        and "`cockpit stop --drain night`" in sentence
    )
    keep_at = later - pace.since_keep_s
    assert told(0.9 * level_usd, keep_at + PLATEAU_AFTER_S - 1) == []


def test_an_ended_session_is_on_no_plateau(state: State) -> None:
    ended = msgspec.structs.replace(
        state, envelope=msgspec.structs.replace(state.envelope, worth_usd=1e-6), ended_at=state.now
    )
    assert not [need for need in needs(ended, state.now + 9_999) if need.kind is NeedKind.PLATEAU]
