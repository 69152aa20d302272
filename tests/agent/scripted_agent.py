"""An agent that speaks ACP and follows a script, as a process of its own: `python scripted_agent.py SCRIPT LOG`.

SCRIPT is a JSON object: `turns`, a list of lists of steps, and what the handshake answers. LOG gets a JSON line for
everything that the agent was asked or answered; the number of prompts in it tells which turn is next, also after a
restart. The tools are called through the MCP server that the client hands over, by the official client.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import acp
import mcp_types as types
from acp.exceptions import RequestError
from acp.schema import (
    AgentCapabilities,
    Cost,
    InitializeResponse,
    NewSessionResponse,
    PermissionOption,
    PlanEntry,
    PromptResponse,
    ResumeSessionResponse,
    SessionCapabilities,
    SessionResumeCapabilities,
    ToolCallLocation,
    ToolCallUpdate,
    UsageUpdate,
)
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

OPTIONS = [
    PermissionOption(option_id="yes", name="Allow", kind="allow_once"),
    PermissionOption(option_id="no", name="Reject", kind="reject_once"),
]


class ScriptedAgent:
    def __init__(self, script: dict[str, Any], log: Path) -> None:
        self._script = script
        self._log = log
        self._client: Any = None
        self._server: StdioServerParameters | None = None
        self._cwd = Path()
        self._cancelled = asyncio.Event()

    def on_connect(self, client: Any) -> None:
        self._client = client

    async def initialize(self, protocol_version: int, **kwargs: Any) -> InitializeResponse:
        self._note("initialize", protocol_version)
        if self._script.get("hangs_at_start"):
            await asyncio.sleep(3_600)
        resume = SessionResumeCapabilities() if self._script.get("resumes", True) else None
        capabilities = AgentCapabilities(session_capabilities=SessionCapabilities(resume=resume))
        version = self._script.get("version", protocol_version)
        return InitializeResponse(protocol_version=version, agent_capabilities=capabilities)

    async def new_session(self, cwd: str, mcp_servers: Any = None, **kwargs: Any) -> NewSessionResponse:
        if self._script.get("asks_for_login"):
            raise RequestError.auth_required()
        await self._begin(cwd, mcp_servers)
        self._note("new_session", cwd)
        return NewSessionResponse(session_id=f"session-{os.getpid()}")

    async def resume_session(
        self, session_id: str, cwd: str, mcp_servers: Any = None, **kwargs: Any
    ) -> ResumeSessionResponse:
        await self._begin(cwd, mcp_servers)
        self._note("resume_session", session_id)
        return ResumeSessionResponse()

    async def cancel(self, session_id: str, **kwargs: Any) -> None:
        self._note("cancel", session_id)
        self._cancelled.set()

    async def prompt(self, session_id: str, prompt: Any, **kwargs: Any) -> PromptResponse:
        number = sum(entry[0] == "prompt" for entry in read_log(self._log))
        self._note("prompt", prompt[0].text)
        self._cancelled.clear()
        turns = self._script["turns"]
        for step in turns[number] if number < len(turns) else []:
            await self._step(session_id, *step)
            if self._cancelled.is_set():
                return PromptResponse(stop_reason="cancelled")
        return PromptResponse(stop_reason="end_turn")

    async def _step(self, session: str, kind: str, *given: Any) -> None:
        match kind:
            case "say":
                for part in given:
                    await self._client.session_update(session, acp.update_agent_message_text(part))
            case "think":
                await self._client.session_update(session, acp.update_agent_thought_text(given[0]))
            case "plan":
                entries = [PlanEntry(content=text, priority="high", status="pending") for text in given]
                await self._client.session_update(session, acp.update_plan(entries))
            case "tool":
                await self._tool(session, *given)
            case "permit":
                await self._permit(session, *given)
            case "edit":
                path = self._cwd / "train.py"
                path.write_text(path.read_text().replace(*given))
            case "write":
                await self._write(session, *given)
            case "look":
                self._note("looked", [given[0], _sees(Path(given[0]))])
            case "environment":
                self._note("environment", dict(os.environ))
            case "cost":
                usage = UsageUpdate(
                    session_update="usage_update", used=1, size=2, cost=Cost(amount=given[0], currency="USD")
                )
                await self._client.session_update(session, usage)
            case "until_cancelled":
                await asyncio.wait_for(self._cancelled.wait(), 120)
            case "silence":
                await asyncio.sleep(3_600)
            case "print":
                sys.stdout.write(given[0] * given[1])
                sys.stdout.flush()
            case "exit":
                print("a last word", file=sys.stderr, flush=True)
                os._exit(given[0])
            case _:
                raise ValueError(kind)

    async def _tool(self, session: str, name: str, arguments: dict[str, Any]) -> None:
        await self._client.session_update(
            session, acp.start_tool_call("call-1", f"mcp__cockpit__{name}", raw_input=arguments)
        )
        assert self._server is not None
        introduced = types.Implementation(name="some-client", version="1")
        async with Client(self._server, client_info=introduced) as client:
            answer = await client.call_tool(name, arguments)
        text = answer.content[0].text  # type: ignore[union-attr]
        self._note("answer", json.loads(text))
        await self._client.session_update(session, acp.update_tool_call("call-1", status="completed"))

    async def _permit(self, session: str, kind: Any, title: str, path: str = "", given: Any = None) -> None:
        wish = ToolCallUpdate(
            tool_call_id="call-2", kind=kind, title=title, raw_input=given,
            locations=[ToolCallLocation(path=path.replace("CWD", str(self._cwd)))] if path else None,
        )  # fmt: skip
        answer = await self._client.request_permission(session, wish, OPTIONS)
        self._note("permission", [title, getattr(answer.outcome, "option_id", "cancelled")])

    async def _write(self, session: str, path: str, text: str) -> None:
        try:
            await self._client.write_text_file(session, path.replace("CWD", str(self._cwd)), text)
            self._note("written", path)
        except RequestError as error:
            self._note("not written", [path, str(error.data)])

    async def _begin(self, cwd: str, servers: Any) -> None:
        (server,) = servers
        self._cwd = Path(cwd)
        environment = {each.name: each.value for each in server.env}
        self._server = StdioServerParameters(command=server.command, args=server.args, env=environment)
        async with Client(self._server) as client:
            self._note("tools", [tool.name for tool in (await client.list_tools()).tools])

    def _note(self, kind: str, what: Any) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps([kind, what]) + "\n")


def _sees(path: Path) -> bool:
    """Return True if this process can read the file, or write a new file into the folder."""
    try:
        (path / "mine.txt").write_text("mine") if path.is_dir() else path.read_bytes()
    except OSError:
        return False
    return True


def read_log(path: Path) -> list[list[Any]]:
    """Return the entries of an agent's log: [kind, what]."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    script, log = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    if junk := script.get("prints_at_start"):
        print(junk, flush=True)
    asyncio.run(acp.run_agent(ScriptedAgent(script, log), use_unstable_protocol=True))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
