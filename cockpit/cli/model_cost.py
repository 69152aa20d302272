"""The estimated cost of the built-in researcher in a new session."""

from pathlib import Path
from typing import TYPE_CHECKING

from cockpit.cli.locate import state_of
from cockpit.core.state import State
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import AgentSettings, read_settings

if TYPE_CHECKING:
    from cockpit.agent.claude.estimate import NightPlan

HOURS_WITHOUT_LIMIT = 1.0
"""The hours that the estimate covers if the session has no limit."""


def estimate_sentence(folder: SessionFolder) -> str:
    """Return the estimate for a session whose proposer asks Claude; empty for any other."""
    state = state_of(folder)
    if state.proposer not in ("claude", "hybrid"):
        return ""
    from cockpit.agent.claude import estimate

    repo = Path(state.session.repo)
    settings = read_settings(repo).agent
    plan = _plan(state, settings)
    return estimate.sentence(
        settings, plan, estimate.estimate_usage(settings, plan, estimate.stable_chars(repo, state.session.editable))
    )


def _plan(state: State, settings: AgentSettings) -> "NightPlan":
    from cockpit.agent.claude.estimate import NightPlan

    session = state.session
    return NightPlan(
        mode=state.mode,
        clusters=len(session.fleet.clusters),
        hours=session.budget_hours or HOURS_WITHOUT_LIMIT,
        time_budget_s=session.time_budget_s,
        wave_size=state.envelope.wave_size,
        share=settings.share if state.proposer == "hybrid" else 1.0,
    )
