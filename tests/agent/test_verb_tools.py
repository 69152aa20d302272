"""The tools of agents that are verbs: the table of verbs declares them, and its decisions carry them out."""

import pytest

from cockpit.agent.tools.registry import TOOLS, call
from cockpit.control.verbs import VERBS, Verb, verb
from cockpit.core.intents import Note
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from tests.agent.direct_api import DirectApi

GIVEN_IN_ANOTHER_FORM = {"arms", "validate"}
"""Arguments of `propose` that an agent gives as whole arms and as a tier."""


@pytest.mark.parametrize("row", [row for row in VERBS if row.tool], ids=lambda row: str(row.name))
def test_the_table_of_verbs_declares_a_tool_s_name_arguments_and_help(row: Verb) -> None:
    tool = TOOLS[row.tool]
    assert tool.description == row.tool_help
    for argument in row.arguments:
        if argument.name not in GIVEN_IN_ANOTHER_FORM:
            described = tool.schema["properties"][argument.name]["description"]
            assert described.lower() == f"{argument.help}.".lower()
    if row is not verb("propose"):
        assert set(tool.schema["properties"]) == {argument.name for argument in row.arguments}


def test_every_tool_that_changes_the_session_is_a_verb() -> None:
    assert {tool.name for tool in TOOLS.values() if not tool.reads_only} == {row.tool for row in VERBS if row.tool}


def test_the_arguments_of_the_verbs_tools_have_stayed() -> None:
    assert {row.tool: sorted(TOOLS[row.tool].schema["properties"]) for row in VERBS if row.tool} == {
        "propose_wave": [
            "arms", "base", "edits", "factors", "from_scratch", "hypothesis", "question", "replicates", "tier",
            "would_change_mind",
        ],
        "record_finding": ["claim", "experiments"],
        "set_knob": ["name", "setting"],
        "set_phase": ["phase"],
        "say": ["text"],
    }  # fmt: skip


def test_a_text_is_limited_as_the_table_says(api: DirectApi) -> None:
    limit = verb("phase").argument("phase").limit
    assert call(api, "claude", "set_phase", {"phase": "x" * (limit + 1)}).failed
    assert not call(api, "claude", "set_phase", {"phase": "x" * limit}).failed


def test_a_person_s_repeated_finding_is_refused_as_an_agent_s_is(api: DirectApi) -> None:
    found = {"claim": "Width pays.", "experiments": ["e0000"]}
    assert not call(api, "claude", "record_finding", found).failed
    assert call(api, "claude", "record_finding", found).body["error"] == "This finding is already recorded."
    with pytest.raises(Refused, match="this finding is already recorded"):
        handle_intent(api.state, Note("Width pays.", ("e0000",)), "ann", api.clock)
