"""Find an entry of a pane by its words."""

from collections.abc import Sequence

from cockpit.core.state import State
from cockpit.tui.views.queue import FILLER


def next_match(state: State, keys: Sequence[str], selected: str, text: str, *, backward: bool) -> str:
    """Return the next cluster, wave or experiment of `keys` whose words contain `text`; empty if there is none.

    The search begins at the selected entry's neighbour, wraps around and ends at the selected entry.
    """
    if not keys:
        return ""
    wanted = text.casefold()
    at = keys.index(selected) if selected in keys else 0
    others = [*keys[at + 1 :], *keys[:at]]
    ordered = [*(reversed(others) if backward else others), keys[at]]
    return next((key for key in ordered if wanted in searched_words(state, key).casefold()), "")


def searched_words(state: State, key: str) -> str:
    """Return the text that a search looks through, of a cluster, a wave or an experiment."""
    if key in state.clusters:
        cluster = state.clusters[key]
        return f"{key} {cluster.hardware} {cluster.state} {cluster.running} {cluster.message}"
    if key in state.waves:
        wave = state.waves[key]
        return f"{key} {wave.proposer} {wave.status} {wave.question} {' '.join(wave.factors)}"
    if key == FILLER:
        return key
    known = state.experiments[key]
    return f"{key} {known.status} {' '.join(known.overrides)} {known.why}"
