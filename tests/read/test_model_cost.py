"""The researcher's cost is counted down against its estimate: on the screen, in the status, in the report."""

import msgspec
import pytest

from cockpit.core.agent_events import ApiUsed, ModelEstimated
from cockpit.core.events import SessionEnded
from cockpit.core.fold import fold
from cockpit.core.model_usage import RECENT_REQUESTS, ModelEstimate
from cockpit.core.state import State
from cockpit.read.model_cost import RATE_AFTER_S, ModelCost, model_cost, model_cost_words
from cockpit.report.markdown import markdown
from cockpit.report.status import status
from cockpit.tui.views.summary import money_parts
from tests.tui import stories

HOURS = 8.0


def spent(state: State, requests: int, usd: float, hours: float) -> State:
    """Report requests of `usd` each, evenly over the hours from now on."""
    for _ in range(requests):
        at = state.now + hours * 3600 / requests
        state = fold(state, ApiUsed(at=at, proposer="claude", model="m", usd=usd, request="1.1"))
        state.spend.api_usd += usd  # its reservation is not in this history
    return state


@pytest.fixture
def state() -> State:
    """Return a session of 8 hours with an estimate of $16 and 160 requests, at its beginning."""
    state = stories.begun().state
    state.session = msgspec.structs.replace(state.session, budget_hours=HOURS, created_at=state.now)
    estimate = ModelEstimate(HOURS, "medium", 50, 160, 10, 10, 10, 10, usd=16.0, thinking_usd=4.0)
    return fold(state, ModelEstimated(at=state.now, estimate=estimate))


def cost_of(state: State, now: float) -> ModelCost:
    cost = model_cost(state, now)
    assert cost is not None
    return cost


def test_the_rest_of_the_night_is_reported_at_the_present_rate(state: State) -> None:
    state = spent(state, requests=30, usd=0.1, hours=2.0)
    cost = cost_of(state, state.now)
    assert cost.requests == 30 and cost.hours_left == pytest.approx(6.0)
    assert cost.to_come_usd == pytest.approx(3.0 / 2.0 * 6.0)
    assert model_cost_words(cost) == (
        "$3.00 of about $16.00 estimated, 30 of 160 requests; about $9.00 more in the 6.0 h left at this rate"
    )


def test_the_present_rate_forgets_the_beginning_of_the_night(state: State) -> None:
    state = spent(state, requests=RECENT_REQUESTS, usd=1.0, hours=1.0)
    state = spent(state, requests=RECENT_REQUESTS, usd=0.1, hours=2.0)
    rate = cost_of(state, state.now).usd_per_hour
    assert rate == pytest.approx(0.1 * RECENT_REQUESTS / 2.0, rel=0.01)
    assert len(state.recent_costs) == RECENT_REQUESTS


def test_no_rate_is_reported_after_a_single_turn(state: State) -> None:
    state = spent(state, requests=2, usd=0.1, hours=(RATE_AFTER_S - 1) / 3600)
    cost = cost_of(state, state.now)
    assert cost.to_come_usd is None
    assert model_cost_words(cost) == "$0.20 of about $16.00 estimated, 2 of 160 requests"


def test_an_ended_session_has_nothing_to_come(state: State) -> None:
    state = spent(state, requests=30, usd=0.1, hours=2.0)
    state = fold(state, SessionEnded(at=state.now, reason="done"))
    assert cost_of(state, state.now + 3600).to_come_usd is None


def test_without_a_limit_the_hour_is_compared(state: State) -> None:
    state.session = msgspec.structs.replace(state.session, budget_hours=0.0)
    state = spent(state, requests=30, usd=0.1, hours=2.0)
    assert model_cost_words(cost_of(state, state.now)) == (
        "$3.00, 30 requests; $1.50 an hour at this rate, about $2.00 was estimated"
    )


def test_screen_status_and_report_tell_the_same(state: State) -> None:
    state = spent(state, requests=30, usd=0.1, hours=2.0)
    shown = [words for words, _ in money_parts(state, state.now)]
    assert "API $3.00 of ~$16" in shown and shown[-1] == "API ~$9.00 to come"
    told = status(state, state.now, {})["spend"]["model"]
    assert (told["requests"], told["estimated_usd"], told["to_come_usd"]) == (30, 16.0, pytest.approx(9.0))
    assert model_cost_words(cost_of(state, state.now)) in markdown(state, state.now)


def test_a_session_of_another_proposer_has_no_estimate() -> None:
    state = stories.begun().state
    assert model_cost(state, state.now) is None
    assert status(state, state.now, {})["spend"]["model"] is None
