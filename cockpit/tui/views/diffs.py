"""An experiment's diff: from the commits if their repository can be read, else from the change in the ledger."""

from functools import lru_cache
from pathlib import Path

from cockpit.core.model import Experiment
from cockpit.core.state import State, constants_of
from cockpit.tui.figures import value

Line = tuple[str, str]
"""(text, role)."""


def diff_lines(state: State, experiment: Experiment) -> list[Line]:
    """Return the unified diff against the experiment's base."""
    base = state.experiments.get(experiment.base)
    if base is None:
        return [(f"the unchanged {' and '.join(state.session.editable)}", "dim")]
    text = _diff_of(state.session.repo, state.session.name, state.session.editable, base.commit, experiment.commit)
    if text:
        return [(line, _ink(line)) for line in text.splitlines()]
    return change_lines(state, experiment)


def change_lines(state: State, experiment: Experiment) -> list[Line]:
    """Return the change as the ledger holds it, worded like a diff."""
    base = constants_of(state, experiment.base) if experiment.base in state.experiments else {}
    lines: list[Line] = []
    for name, level in experiment.change.constants.items():
        if name in base:
            lines.append((f"-{name} = {value(base[name])}", "bad"))
        lines.append((f"+{name} = {value(level)}", "good"))
    for edit in experiment.change.edits:
        lines.append((f"@@ {edit.path}".rstrip(), "info"))
        lines.extend((f"-{line}", "bad") for line in edit.search.split("\n"))
        lines.extend((f"+{line}", "good") for line in edit.replace.split("\n"))
    return lines or [("nothing is changed: it is its base again", "dim")]


@lru_cache(128)
def _diff_of(repo: str, session: str, files: tuple[str, ...], base_commit: str, commit: str) -> str:
    """Empty if the repository or the commits cannot be read: a watcher may have the ledger alone."""
    if not Path(repo).is_dir():
        return ""
    # Imported when a diff is first shown, so that the first paint does not wait for it.
    from cockpit.variant.errors import VariantError
    from cockpit.variant.store import VariantStore

    try:
        store = VariantStore(Path(repo), session, files=files)
        try:
            return store.diff(base_commit, commit)
        finally:
            store.close()
    except (VariantError, OSError, ValueError):
        return ""


def _ink(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "dim"
    return {"+": "good", "-": "bad", "@": "info"}.get(line[:1], "text")
