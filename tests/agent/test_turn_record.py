"""The live words of a turn: those that are not stored as a message or a thought yet."""

from cockpit.agent.acp.client import TurnRecord
from cockpit.agent.claude import turn_status
from cockpit.agent.claude.transcript import Transcript
from cockpit.agent.claude.turn_status import TurnStatusFile
from tests.agent.direct_api import DirectApi


def test_words_that_have_become_a_message_are_not_shown_twice(api: DirectApi) -> None:
    path = api.folder.agent_live("codex")
    turn = TurnRecord("codex", 1, api, TurnStatusFile(path, "codex", api.now), Transcript(api.folder.transcript, set()))

    def shown() -> tuple[str, str]:
        now = turn_status.read(path)
        assert now is not None
        return now.doing, now.text.strip()

    turn.thought("Depth first.")
    assert shown() == ("thinks", "Depth first.")
    turn.message("One wave.")
    assert shown() == ("writes", "One wave."), "the thought is in the transcript"
    assert not [one for one in api.state.messages if one.author == "codex"]
    turn.call("propose_wave", {})
    assert shown() == ("calls propose_wave", "")
    assert [one.text for one in api.state.messages if one.author == "codex"] == ["One wave."]
