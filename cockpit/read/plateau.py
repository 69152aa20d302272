"""Detect a plateau: the next hour is expected to gain less than it costs, by the worth of a gain that a person gave."""

from cockpit.core.model import Mode
from cockpit.core.state import State
from cockpit.read.costs import hour_usd
from cockpit.read.kept_stack import MILLI, pace_of, pace_words
from cockpit.read.model_cost import models_usd_per_hour
from cockpit.read.wording import age

PLATEAU_AFTER_S = 3600.0
"""Seconds without a keep before a session can be on a plateau."""


def plateau_words(state: State, now: float) -> str:
    """Return the gain expected of the next hour, its worth and its cost; empty while the session is not on a
    plateau."""
    worth_usd = state.envelope.worth_usd
    pace = pace_of(state, now) if worth_usd and state.ending is None and not state.ended_at else None
    if pace is None or pace.since_keep_s < PLATEAU_AFTER_S:
        return ""
    models_usd = models_usd_per_hour(state, now) or 0.0
    cost_usd = hour_usd(state) + models_usd
    gain_usd = pace.gain_per_hour / MILLI * worth_usd
    if gain_usd >= cost_usd:
        return ""
    of_models = f" (${models_usd:.2f} for models)" if models_usd else ""
    return (
        f"no keep for {age(pace.since_keep_s)}: the next hour is expected to gain {pace_words(pace)},"
        f" worth ${gain_usd:.2f}, and costs ${cost_usd:.2f}{of_models}"
    )


def plateau_question(state: State, now: float) -> str:
    """Return `plateau_words` if a person must decide; empty while autopilot's envelope covers the hour."""
    if state.mode is Mode.AUTOPILOT and (not state.envelope.until or now < state.envelope.until):
        return ""
    return "" if state.held else plateau_words(state, now)
