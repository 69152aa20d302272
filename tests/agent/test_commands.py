"""The tools as commands, and the rendered transcript."""

import io
import json
import re
from collections.abc import Callable

import pytest

from cockpit.agent.arguments import ProposeWave
from cockpit.agent.waiting import OUTSIDE_TOOLS
from cockpit.cli.agents import call_tool, list_tools, print_transcript
from cockpit.cli.errors import CommandError
from cockpit.core.model import Edit
from cockpit.variant.edits import apply_edits
from cockpit.variant.guard import check_variant
from cockpit.variant.knobs.constants import find_constants
from tests.agent.conftest import Researcher
from tests.agent.direct_api import DirectApi
from tests.agent.messages_server import calls, says
from tests.worker.sessions import ROOT

Start = Callable[..., Researcher]


def test_a_tool_is_a_command_that_prints_json(api: DirectApi, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_tool("query_experiments", str(api.folder.root), '{"limit": 1}', "codex") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0][0] == "e0000"


def test_an_error_is_json_with_exit_status_1(api: DirectApi, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_tool("show_experiment", str(api.folder.root), '{"experiment": "e0404"}', "codex") == 1
    assert "There is no experiment e0404" in json.loads(capsys.readouterr().out)["error"]


def test_arguments_may_come_on_standard_input(
    api: DirectApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"experiment": "e0000"}'))
    assert call_tool("show_experiment", str(api.folder.root), "-", "") == 0
    assert json.loads(capsys.readouterr().out)["experiment"] == "e0000"


def test_invalid_json_is_refused_in_one_sentence(api: DirectApi) -> None:
    with pytest.raises(CommandError, match="--json expects a JSON object: "):
        call_tool("brief", str(api.folder.root), "{limit: 1}", "")


def test_every_tool_is_listed_with_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    list_tools()
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert {"propose_wave", "wait", "compare"} <= set(listed)
    assert listed["propose_wave"]["arguments"]["required"] == ["question"]


def test_the_transcript_prints_all_turns_or_the_last_ones(
    api: DirectApi, research: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="no model was asked"):
        print_transcript(str(api.folder.root), 0)
    it = research([calls("say", {"text": "hello"}), says("Width it is."), says("Depth it is.")])
    it.turn()
    it.turn()
    print_transcript(str(api.folder.root), 0)
    whole = capsys.readouterr().out
    print_transcript(str(api.folder.root), 1)
    last = capsys.readouterr().out
    assert "says\n    Width it is." in whole and "says\n    Depth it is." in whole
    assert "says\n    Width it is." not in last and "says\n    Depth it is." in last
    assert whole.count("Screen first, then promote.") == 1, "a text that was given before is not repeated"


def test_the_page_for_agents_lists_exactly_the_tools() -> None:
    page = (ROOT / "cockpit" / "agent" / "guide" / "AGENTS.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert listed == list(OUTSIDE_TOOLS)


def test_the_example_waves_on_the_page_for_agents_are_valid() -> None:
    page = (ROOT / "cockpit" / "agent" / "guide" / "AGENTS.md").read_text()
    blocks = [json.loads(block) for block in re.findall(r"^ {7}\{.*\n(?: {8}.*\n)*", page, re.MULTILINE)]
    assert len(blocks) == 3
    source = (ROOT / "train.py").read_text()
    for block in blocks:
        wave = ProposeWave.model_validate(block)
        for arm in (*wave.arms, None)[: max(1, len(wave.arms))]:
            edits = [*wave.edits, *(arm.edits if arm else [])]
            made = apply_edits(source, [Edit(edit.search, edit.replace) for edit in edits])
            check_variant(made)
            assert set(wave.factors) <= set(find_constants(made))


@pytest.mark.parametrize("name", OUTSIDE_TOOLS)
def test_every_tool_is_a_command_that_answers_in_json(
    api: DirectApi, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = call_tool(name, str(api.folder.root), '{"no_such_argument": 1}', "codex")
    answer = json.loads(capsys.readouterr().out)
    assert status == 1 and "no_such_argument: Extra inputs are not permitted" in answer["error"]
