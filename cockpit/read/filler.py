"""Name the filler arms that idle clusters run while a proposal waits for a person."""

from cockpit.core.model import AttemptKind, WaveKind
from cockpit.core.state import State

NAMED = 2
HOLD = ":envelope filler=no holds new ones"


def filler_running(state: State) -> list[str]:
    """Return the experiments of the filler whose first run is under way."""
    attempts = (state.attempts[name] for name in state.in_flight)
    arms = (state.experiments[one.experiment] for one in attempts if one.kind is AttemptKind.ARM)
    return [arm.id for arm in arms if arm.wave in state.waves and state.waves[arm.wave].kind is WaveKind.FILLER]


def meanwhile_words(state: State) -> str:
    """Return which arms run without an approval while proposals wait; empty if none do."""
    running = filler_running(state) if state.proposals and state.envelope.filler else []
    if not running:
        return ""
    more = f" and {len(running) - NAMED} more" if len(running) > NAMED else ""
    return f"filler runs without your approval: {', '.join(running[:NAMED])}{more}"
