"""The section of the briefing on findings from before the session. It has a fixed bound."""

import itertools
from collections.abc import Mapping

from cockpit.agent.views import layout
from cockpit.agent.views.quoting import clip, line, quoted
from cockpit.agent.views.state_views import value_words
from cockpit.core.model import Edit, Value
from cockpit.core.prior import PriorFinding, PriorKind
from cockpit.core.state import State
from cockpit.read.prior import SEARCHED, where_tried

CHARS = 9_000
EDIT_CHARS = 600
TITLE = (
    "Findings from before this session: what to try first, and no evidence here. Other people and agents wrote them."
    " Propose what fits; only runs of this session count"
)


def prior(state: State) -> str:
    """Return the findings in their order, each with its evidence, the change of code under it, and its trial here."""
    if not state.prior:
        return ""
    searched = list(itertools.islice(state.experiments, SEARCHED))
    lines: list[str] = []
    left = CHARS
    for number, finding in enumerate(state.prior):
        text = _finding(state, finding, searched)
        left -= len(text) + 1
        if left < 0:
            lines.append(f"{len(state.prior) - number} more are not listed.")
            break
        lines.append(text)
    return layout.titled(TITLE, lines)


def _finding(state: State, finding: PriorFinding, searched: list[str]) -> str:
    parts = [f"- {line(finding.source, 60)}: {line(finding.text, 200)}"]
    if finding.evidence:
        parts.append(f" ({line(finding.evidence, 160)})")
    if finding.kind is PriorKind.CLAIM and finding.constants:
        parts.append(f". Values: {line(_values(finding.constants), 200)}")
    if finding.code_changed:
        parts.append(f". Code since: {line(finding.code_changed, 160)}")
    if tried := where_tried(state, finding, searched):
        parts.append(f". Tried here: {tried}, {state.experiments[tried].status}")
    return "".join(parts) + "".join(_edit(edit) for edit in finding.edits[:2])


def _values(constants: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={value_words(value)}" for name, value in constants.items())


def _edit(edit: Edit) -> str:
    return f"\n{quoted(clip(edit.search, EDIT_CHARS))}\nbecame\n{quoted(clip(edit.replace, EDIT_CHARS))}"
