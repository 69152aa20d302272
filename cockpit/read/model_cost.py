"""The built-in researcher's cost against its estimate: spent, and still to come at the present rate."""

import msgspec

from cockpit.core.model_usage import RECENT_REQUESTS, ModelEstimate
from cockpit.core.running_time import running_h, running_s
from cockpit.core.state import State
from cockpit.read.wording import count, money

RATE_AFTER_S = 600.0
"""Seconds of the session before a rate is reported: a single turn does not give one."""


class ModelCost(msgspec.Struct, frozen=True):
    estimate: ModelEstimate
    spent_usd: float
    requests: int
    usd_per_hour: float | None
    """The present rate; None while it is unknown."""
    hours_left: float | None
    """None if the session has no limit, or has ended."""

    @property
    def to_come_usd(self) -> float | None:
        """The dollars that the remaining hours cost at the present rate."""
        if self.usd_per_hour is None or self.hours_left is None:
            return None
        return self.usd_per_hour * self.hours_left


def model_cost(state: State, now: float) -> ModelCost | None:
    """Return the researcher's cost at `now`; None if no estimate was made."""
    estimate = state.model_estimate
    if estimate is None:
        return None
    elapsed_h = running_h(state, now)
    limited = bool(state.session.budget_hours) and not state.ended_at
    return ModelCost(
        estimate=estimate,
        spent_usd=state.spend.api_usd,
        requests=state.model_requests,
        usd_per_hour=None if state.ended_at else models_usd_per_hour(state, now),
        hours_left=max(0.0, estimate.hours - elapsed_h) if limited else None,
    )


def models_usd_per_hour(state: State, now: float) -> float | None:
    """Return the present rate of all models: their last costs over the time in which they came."""
    costs = state.recent_costs
    full = len(costs) == RECENT_REQUESTS
    began = costs[0][0] if full else state.session.created_at
    if not costs or running_s(state, now) < RATE_AFTER_S:
        return None
    return sum(usd for _, usd in costs[full:]) / (max(1.0, running_s(state, now) - running_s(state, began)) / 3600)


def model_cost_words(cost: ModelCost) -> str:
    """Return `$3.20 of about $37.17 estimated, 57 of 575 requests; about $12.10 more in the 5 h left at this rate`."""
    estimate = cost.estimate
    about = "at most about" if estimate.at_most else "about"
    if cost.hours_left is None and cost.usd_per_hour is not None:
        an_hour = estimate.usd / estimate.hours
        return (
            f"{money(cost.spent_usd)}, {count(cost.requests, 'request')}; {money(cost.usd_per_hour)} an hour at this"
            f" rate, {about} {money(an_hour)} was estimated"
        )
    said = (
        f"{money(cost.spent_usd)} of {about} {money(estimate.usd)} estimated, {cost.requests:,} of"
        f" {count(estimate.requests, 'request')}"
    )
    if cost.to_come_usd is None or cost.hours_left is None:
        return said
    return f"{said}; about {money(cost.to_come_usd)} more in the {cost.hours_left:.1f} h left at this rate"
