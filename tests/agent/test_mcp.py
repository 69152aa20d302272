"""An outside agent as the researcher: the SDK's own client, a real server process, intents through the inbox."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from cockpit.agent.mcp import McpServer
from cockpit.agent.outside import OutsideProposerApi
from cockpit.agent.tools.registry import TOOLS
from cockpit.agent.waiting import OUTSIDE_TOOLS, CallContext, call_outside
from cockpit.core.events import Asked, EnvelopeSet, Held, IntentTaken, Proposed
from cockpit.core.intents import AnyIntent, Arm, Draft, Look, Propose, SetProposer, decode_intent
from cockpit.core.model import Change, Envelope, ExperimentStatus, Mode, WaveKind
from cockpit.decide.ask import ask as ask_plan
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.session.inbox import Inbox
from cockpit.session.ledger_errors import LedgerError
from cockpit.worker.intake import prepare
from tests.agent.direct_api import DirectApi, width_of


class Clerk(threading.Thread):
    """Takes intents as the worker does, until `over` is set."""

    def __init__(self, api: DirectApi) -> None:
        super().__init__(daemon=True)
        self.api = api
        self.over = threading.Event()

    def run(self) -> None:
        inbox = Inbox(self.api.folder.inbox)
        while not self.over.wait(0.05):
            for number, author, body in inbox.after(self.api.state.intent):
                self._take(number, author, decode_intent(body))

    def _take(self, number: int, author: str, intent: AnyIntent) -> None:
        api, what = self.api, type(intent).__name__
        try:
            prepared = prepare(api.store, api.state, intent, author, api.clock)
            made = handle_intent(api.state, intent, author, api.clock, prepared)
        except Refused as error:
            made, refused = [], str(error)
        else:
            refused = ""
        wave = next((event.wave.id for event in made if isinstance(event, Proposed)), "")
        taken = IntentTaken(at=api.clock, intent=number, author=author, what=what, wave=wave, refused=refused)
        api.record(*made, taken)


@pytest.fixture
def clerk(api: DirectApi) -> Iterator[Clerk]:
    running = Clerk(api)
    running.start()
    yield running
    running.over.set()
    running.join()


def server_of(api: DirectApi) -> StdioServerParameters:
    code = f"from pathlib import Path; from cockpit.agent.mcp import serve; serve(Path({str(api.folder.root)!r}))"
    root = str(Path(__file__).parents[2])
    return StdioServerParameters(command=sys.executable, args=["-c", code], env={"PYTHONPATH": root})


def with_client(api: DirectApi, name: str, work: Any, mode: str = "auto") -> Any:
    async def run() -> Any:
        introduced = types.Implementation(name=name, version="1")
        async with Client(server_of(api), client_info=introduced, mode=mode) as client:
            return await work(client)

    return anyio.run(run)


async def ask(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    body: dict[str, Any] = json.loads(result.content[0].text)  # type: ignore[union-attr]
    return body | {"failed": bool(result.is_error)}


WAVE: dict[str, object] = {"question": "Wider?", "factors": {"WIDTH": [512, 768]}}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_gets_the_tools_of_claude_and_wait(api: DirectApi, mode: str) -> None:
    async def work(client: Client) -> list[types.Tool]:
        return list((await client.list_tools()).tools)

    tools = with_client(api, "codex", work, mode)
    assert [tool.name for tool in tools] == [*TOOLS, "wait"]
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_s_proposals_wait_for_the_person_under_its_own_name(api: DirectApi, clerk: Clerk, mode: str) -> None:
    api.state.mode = Mode.COPILOT

    async def work(client: Client) -> dict[str, Any]:
        return await ask(client, "propose_wave", **WAVE)

    answer = with_client(api, "codex", work, mode)
    assert (answer["wave"], answer["status"]) == ("w001", "proposed")
    assert api.state.waves["w001"].proposer == "codex"
    assert list(api.state.proposals) == ["w001"]


def test_a_whole_round_of_research(api: DirectApi, clerk: Clerk) -> None:
    api.score = lambda experiment, hardware, seed: 1.0 - width_of(experiment) / 1e5

    async def work(client: Client) -> list[dict[str, Any]]:
        proposed = await ask(client, "propose_wave", **WAVE)
        waited: list[str] = []
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                while not any("w001" in news for news in waited):
                    waited.extend((await ask(client, "wait", seconds=20))["news"])

            group.start_soon(wait)
            await anyio.to_thread.run_sync(api.settle)
        best = await ask(client, "query_experiments", limit=1)
        finding = await ask(client, "record_finding", claim="Wider is better.", experiments=["e0002"])
        said = await ask(client, "say", text="Width it is.")
        return [proposed, {"news": waited}, best, finding, said]

    proposed, waited, best, finding, said = with_client(api, "codex", work)
    assert proposed["experiments"] == ["e0001", "e0002"]
    assert any("w001" in news for news in waited["news"])
    assert best["rows"][0][0] == "e0002"
    assert not finding["failed"] and not said["failed"]
    assert api.state.findings[-1].author == "codex"
    assert (api.state.messages[-1].author, api.state.messages[-1].text) == ("codex", "Width it is.")


def test_invalid_calls_return_an_error_as_their_result(api: DirectApi, clerk: Clerk) -> None:
    async def work(client: Client) -> list[dict[str, Any]]:
        return [
            await ask(client, "propose_wave", question="Q", factors={"NO_SUCH": [1]}),
            await ask(client, "propose_wave", question=1),
            await ask(client, "shell", command="ls"),
        ]

    answers = with_client(api, "codex", work)
    assert all(answer["failed"] for answer in answers)
    assert "NO_SUCH" in answers[0]["error"]
    assert "question: Input should be a valid string" in answers[1]["error"]
    assert "There is no tool 'shell'" in answers[2]["error"]


def test_a_call_without_a_running_worker_fails_and_keeps_its_intent(api: DirectApi) -> None:
    outside = OutsideProposerApi(api.folder, "codex", timeout_s=0.3)
    answer = call_outside(outside, "propose_wave", WAVE)
    outside.close()
    assert answer.failed and "do not ask again" in answer.body["error"]
    kept = [decode_intent(body) for _, _, body in Inbox(api.folder.inbox).after(0)]
    assert [type(intent) for intent in kept] == [Look, Propose]


@pytest.mark.parametrize("name", ["claude", "ann", "search", "Human"])
def test_an_agent_cannot_use_a_reserved_name_or_a_person_s_name(api: DirectApi, name: str) -> None:
    outside = OutsideProposerApi(api.folder, name)
    assert outside.name == f"agent-{name}"
    outside.close()


def test_serving_a_missing_session_raises_ledger_error(tmp_path: Path) -> None:
    from cockpit.agent.mcp import serve

    with pytest.raises(LedgerError):
        serve(tmp_path / "nothing")


def test_a_message_of_the_person_ends_a_wait(api: DirectApi) -> None:
    outside = OutsideProposerApi(api.folder, "codex")
    api.state.held = True
    api.record(Held(at=api.clock, author="ann"))
    threading.Timer(0.5, api.say, ["Look at the schedule."]).start()
    news = call_outside(outside, "wait", {"seconds": 10}).body["news"]
    outside.close()
    assert news == ["ann says: Look at the schedule."]


def test_dry_clusters_end_a_wait_at_once(api: DirectApi) -> None:
    outside = OutsideProposerApi(api.folder, "codex")
    news = call_outside(outside, "wait", {"seconds": 10}).body["news"]
    outside.close()
    assert "run dry" in news[0]
    assert "wait" in OUTSIDE_TOOLS and "wait" not in TOOLS


def test_dry_clusters_end_a_wait_at_once_only_the_first_time(api: DirectApi, clerk: Clerk) -> None:
    outside = OutsideProposerApi(api.folder, "codex")
    api.state.mode = Mode.COPILOT
    assert "run dry" in call_outside(outside, "wait", {"seconds": 30}).body["news"][0]
    threading.Timer(0.5, api.say, ["Try the schedule."]).start()
    assert call_outside(outside, "wait", {"seconds": 30}).body["news"] == ["ann says: Try the schedule."]
    assert call_outside(outside, "propose_wave", WAVE).body["status"] == "proposed"
    api.reject("w001", "no")
    assert "w001 was rejected by" in call_outside(outside, "wait", {"seconds": 30}).body["news"][0]
    assert "run dry" in call_outside(outside, "wait", {"seconds": 30}).body["news"][-1]
    outside.close()


def test_a_wait_reports_changes_since_the_previous_wait(api: DirectApi, clerk: Clerk) -> None:
    outside = OutsideProposerApi(api.folder, "codex")
    call_outside(outside, "propose_wave", WAVE)
    api.settle()
    api.say("Try the schedule.")
    news = call_outside(outside, "wait", {"seconds": 30}).body["news"]
    outside.close()
    assert any("w001 was approved by" in line for line in news) and "ann says: Try the schedule." in news


def test_a_finished_filler_wave_is_not_reported(api: DirectApi) -> None:
    for kind in (WaveKind.FILLER, WaveKind.WAVE):
        arm = Arm(Change({"WIDTH": 512 if kind is WaveKind.FILLER else 768}))
        api.propose(Draft("search", f"{kind}?", arms=(arm,), kind=kind))
    outside = OutsideProposerApi(api.folder, "codex")
    api.settle()
    for name in ("e0001", "e0002"):
        api.decide(name, ExperimentStatus.DISCARDED)
    news = call_outside(outside, "wait", {"seconds": 10}).body["news"]
    outside.close()
    assert news == ["w002 has finished: wave?"]


def test_the_answer_says_why_a_proposal_waits(api: DirectApi, clerk: Clerk) -> None:
    outside = OutsideProposerApi(api.folder, "codex")
    api.record(EnvelopeSet(at=api.clock, envelope=Envelope(usd=1e6, wave_size=1), author="ann"))
    note = call_outside(outside, "propose_wave", WAVE).body["note"]
    outside.close()
    assert (
        note
        == "It waits for a person: 2 arms are more than the envelope's 1 (`cockpit envelope --wave-size 2` allows it)."
    )


def test_a_client_that_disconnects_during_a_call_causes_no_error_output(api: DirectApi) -> None:
    api.record(Held(at=api.clock, author="ann"))
    server = server_of(api)
    environment = {"PATH": os.environ["PATH"], **(server.env or {})}
    begin = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "codex", "version": "1"}}
    lines: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": begin},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "wait", "arguments": {"seconds": 2}}},
    ]
    with subprocess.Popen(
        [server.command, *server.args], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout and process.stderr
        for one in lines:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **one}) + "\n")
            process.stdin.flush()
            if one.get("id") == 1:
                process.stdout.readline()
        process.stdout.close()
        process.stdin.close()
        said = process.stderr.read()
    assert "Traceback" not in said and "Error" not in said


def test_the_worker_does_not_ask_an_outside_agent_and_says_how_to_connect_it(api: DirectApi) -> None:
    made = handle_intent(api.state, SetProposer("codex", outside=True), "ann", api.clock)
    api.record(*made)
    assert "cockpit mcp test" in api.state.messages[-1].text
    assert not [one for one in ask_plan(api.state, api.clock) if isinstance(one, Asked) and one.proposer == "codex"]
    assert len(handle_intent(api.state, SetProposer("tpe"), "ann", api.clock)) == 1


def raw(folder: Path, *lines: str, longest_wait_s: float = 50.0) -> list[dict[str, Any]]:
    """Send lines to a server process as a client does, and return its messages after it has seen the end."""
    code = (
        f"from pathlib import Path; from cockpit.agent.mcp import serve; serve(Path({str(folder)!r}), {longest_wait_s})"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None and server.stdout is not None
    messages = []
    for line in lines:
        server.stdin.write(line + "\n")
        server.stdin.flush()
        while '"id":' in line and "cancelled" not in line:
            messages.append(json.loads(server.stdout.readline()))
            if "id" in messages[-1]:
                break
    server.stdin.close()
    server.wait(30)
    return messages


def request(method: str, **params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})


def test_every_tool_says_if_it_reads_or_writes(api: DirectApi) -> None:
    async def work(client: Client) -> list[types.Tool]:
        return list((await client.list_tools()).tools)

    tools = {tool.name: tool.annotations for tool in with_client(api, "codex", work)}
    for name, hints in tools.items():
        assert hints is not None and hints.destructive_hint is False and hints.open_world_hint is False
        reads = OUTSIDE_TOOLS[name].reads_only
        assert (hints.read_only_hint, hints.idempotent_hint) == (reads, reads)
    assert [name for name, hints in tools.items() if hints and not hints.read_only_hint] == [
        "propose_wave",
        "set_knob",
        "say",
        "record_finding",
        "set_phase",
    ]


def test_schemas_use_no_keyword_that_a_client_refuses() -> None:
    for tool in OUTSIDE_TOOLS.values():
        text = json.dumps(tool.schema)
        for keyword in ("$ref", "$defs", "patternProperties", "propertyNames", '"null"', "title"):
            assert f"{keyword}" not in text.replace('"additionalProperties"', ""), (tool.name, keyword)


def test_objects_and_lists_sent_as_json_strings_are_taken(api: DirectApi, clerk: Clerk) -> None:
    wave = {"question": "Wider?", "factors": json.dumps({"WIDTH": [512, 768]})}
    arms = {"question": "Deeper?", "arms": json.dumps([json.dumps({"constants": '{"DEPTH": 10}'})])}

    async def work(client: Client) -> list[dict[str, Any]]:
        return [
            await ask(client, "propose_wave", **wave),
            await ask(client, "propose_wave", **arms),
            await ask(client, "propose_wave", question="Q", factors="no JSON"),
            await ask(client, "say", text='{"a": 1}'),
        ]

    factors, listed, wrong, said = with_client(api, "codex", work)
    assert (factors["experiments"], listed["experiments"]) == (["e0001", "e0002"], ["e0003"])
    assert wrong["failed"] and "factors: Input should be a valid dictionary" in wrong["error"]
    assert not said["failed"] and api.state.messages[-1].text == '{"a": 1}', "a text that looks like JSON stays a text"


def test_the_server_answers_before_its_tools_are_loaded(api: DirectApi) -> None:
    heavy = ("pydantic", "git", "mcp", "scipy")
    code = f"import sys; import cockpit.agent.mcp; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_wait_over_mcp_is_bounded_and_says_to_call_again(api: DirectApi) -> None:
    api.record(Held(at=api.clock, author="ann"))
    call = request("tools/call", name="wait", arguments={"seconds": 600})
    (answer,) = raw(api.folder.root, call, longest_wait_s=0.5)
    assert "Call `wait` again" in answer["result"]["content"][0]["text"]


def test_a_wait_reports_its_progress(api: DirectApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cockpit.agent.waiting.PROGRESS_EVERY_S", 0.1)
    api.record(Held(at=api.clock, author="ann"))
    outside = OutsideProposerApi(api.folder, "codex")
    told: list[tuple[float, float]] = []
    context = CallContext(1.0, progress=lambda done, total: told.append((done, total)))
    call_outside(outside, "wait", {"seconds": 600}, context)
    outside.close()
    assert told and all(0 < done <= total == 1.0 for done, total in told)


def test_progress_is_sent_to_a_client_that_gives_a_token_for_it(
    api: DirectApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cockpit.agent.waiting.PROGRESS_EVERY_S", 0.1)
    api.record(Held(at=api.clock, author="ann"))
    sent: list[dict[str, Any]] = []
    answered = threading.Event()

    def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if "id" in message:
            answered.set()

    server = McpServer(api.folder, send, longest_wait_s=1.0)
    server.handle(request("tools/call", name="wait", arguments={}, _meta={"progressToken": "t"}))
    assert answered.wait(60)
    server.close()
    told = [message["params"] for message in sent if message.get("method") == "notifications/progress"]
    assert told and all(each["progressToken"] == "t" and 0 < each["progress"] <= each["total"] == 1.0 for each in told)


def test_a_cancelled_wait_ends(api: DirectApi) -> None:
    api.record(Held(at=api.clock, author="ann"))
    outside = OutsideProposerApi(api.folder, "codex")
    context = CallContext()
    threading.Timer(0.3, context.cancelled.set).start()
    assert "Nothing has changed" in call_outside(outside, "wait", {"seconds": 250}, context).body["news"][0]
    outside.close()


def test_a_wait_for_a_wave_returns_at_its_end(api: DirectApi, clerk: Clerk) -> None:
    outside = OutsideProposerApi(api.folder, "codex")
    call_outside(outside, "propose_wave", WAVE)
    api.settle()
    answer = call_outside(outside, "wait", {"wave": "w001", "seconds": 1}).body["news"]
    assert answer == ["w001 has not finished yet for 1 s. Call `wait` again, unless you have a question."]
    for name in ("e0001", "e0002"):
        api.decide(name, ExperimentStatus.DISCARDED)
    assert "w001 has finished: Wider?" in call_outside(outside, "wait", {"wave": "w001"}).body["news"]
    assert call_outside(outside, "wait", {"wave": "w001"}).body["news"] == ["w001 has finished: Wider?"]
    assert "There is no wave w009" in call_outside(outside, "wait", {"wave": "w009"}).body["error"]
    outside.close()


def test_events_between_two_commands_are_reported_once(api: DirectApi, clerk: Clerk) -> None:
    """Call each tool in an api of its own, as commands do: the ledger keeps the place by the agent's name."""

    def command(tool: str, arguments: dict[str, object]) -> dict[str, Any]:
        outside = OutsideProposerApi(api.folder, "shell-agent")
        body = call_outside(outside, tool, arguments).body
        outside.close()
        return body

    api.state.mode = Mode.COPILOT
    command("propose_wave", WAVE)
    api.reject("w001", "too wide")
    api.say("Try the schedule.")
    news = command("wait", {"seconds": 30})["news"]
    assert any("w001 was rejected by ann: too wide" in line for line in news) and "ann says: Try the schedule." in news
    api.say("And the warmdown.")
    assert command("wait", {"seconds": 30})["news"] == ["ann says: And the warmdown."]


def test_wrong_messages_are_answered_with_an_error(api: DirectApi) -> None:
    modern = {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    answers = raw(
        api.folder.root,
        '{"id": 7, nonsense',
        request("no/such"),
        request("tools/list", _meta=modern),
        json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": [1]}),
    )
    assert [answer["error"]["code"] for answer in answers] == [-32700, -32601, -32022, -32602]
    assert answers[2]["error"]["data"]["requested"] == "2099-01-01"
