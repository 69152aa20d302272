"""Code that an experiment has already: it is refused as a duplicate, so no planned wave proposes it."""

from itertools import islice

from cockpit.core.model import Change, Edit
from cockpit.core.state import State

EXPERIMENTS_READ = 2_000
"""Newest experiments whose code is compared, so that the work of a tick is bounded."""


def has_known_code(state: State, change: Change) -> bool:
    """Return True if an experiment has the code of a change on the incumbent, by its constants and edits."""
    baseline = state.session.constants
    constants = state.experiments[state.incumbent].overrides | change.constants
    overrides = {name: value for name, value in constants.items() if baseline.get(name) != value}
    edits = _with_edits(_edits(state, state.incumbent), change)
    newest = islice(reversed(state.by_fingerprint.values()), EXPERIMENTS_READ)
    known = (state.experiments[name] for name in newest)
    return any(one.overrides == overrides and _edits(state, one.id) == edits for one in known)


def _edits(state: State, name: str) -> list[Edit]:
    """Return the edits that lead from the baseline to an experiment, the oldest first."""
    chain: list[Change] = []
    while name:
        chain.append(state.experiments[name].change)
        name = state.experiments[name].base
    edits: list[Edit] = []
    for change in reversed(chain):
        edits = _with_edits(edits, change)
    return edits


def _with_edits(edits: list[Edit], change: Change) -> list[Edit]:
    """Return edits followed by a change's. An edit that undoes an earlier one removes it."""
    after = list(edits)
    for edit in change.edits:
        undone = Edit(edit.replace, edit.search, edit.path)
        if undone in after:
            after.remove(undone)
        else:
            after.append(edit)
    return after
