"""Estimate the cost of the built-in researcher in a new session."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cockpit.core.agent_events import ModelEstimated
from cockpit.core.events import Event
from cockpit.core.model import Mode
from cockpit.core.session import Session
from cockpit.session.settings import Settings

if TYPE_CHECKING:
    from cockpit.agent.claude.estimate import NightPlan

ASKS_CLAUDE = ("claude", "hybrid")
"""The proposers that ask Claude."""
WORTH = (
    "to be told when an hour costs more than it gains, give a gain of 0.001 its worth: `cockpit envelope --worth-usd N`"
)
HOURS_WITHOUT_LIMIT = 1.0
"""The hours that the estimate covers if the session has no limit."""


def estimated(session: Session, mode: Mode, settings: Settings, at: float) -> list[Event]:
    """Return the event with the estimate; nothing if the researcher only answers, or another proposer begins."""
    if session.proposer not in ASKS_CLAUDE or mode is Mode.MANUAL:
        return []
    from cockpit.agent.claude import estimate

    stable = estimate.stable_chars(Path(session.repo), session.editable)
    usage = estimate.estimate_usage(settings.agent, night_plan(session, mode, settings), stable)
    return [ModelEstimated(at=at, estimate=usage)]


def estimate_sentences(session: Session, mode: Mode, settings: Settings) -> Sequence[str]:
    """Return the estimate of a new session in sentences, with what would change it; none for another proposer."""
    if session.proposer not in ASKS_CLAUDE:
        return []
    from cockpit.agent.claude import estimate

    plan, stable = night_plan(session, mode, settings), estimate.stable_chars(Path(session.repo), session.editable)
    usage = estimate.estimate_usage(settings.agent, plan, stable)
    worth = [] if settings.envelope.worth_usd or not usage.requests else [WORTH]
    return [estimate.sentence(usage), *estimate.alternatives(settings.agent, plan, stable), *worth]


def night_plan(session: Session, mode: Mode, settings: Settings) -> "NightPlan":
    """Return the part of the settings that determines the number of turns."""
    from cockpit.agent.claude.estimate import NightPlan

    return NightPlan(
        mode=mode,
        clusters=len(session.fleet.clusters),
        hours=session.budget_hours or HOURS_WITHOUT_LIMIT,
        time_budget_s=session.expected_training_s,
        wave_size=settings.envelope.wave_size,
        share=settings.agent.share if session.proposer == "hybrid" else 1.0,
    )
