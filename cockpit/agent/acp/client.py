"""The client side of the protocol: receive an agent's messages and requests during its turns.

Everything that an agent sends is data: it is bounded, made plain, and shown or recorded, never obeyed.
"""

import asyncio
import json
import shlex
import time
from collections.abc import Callable
from typing import Any

from acp.exceptions import RequestError
from acp.schema import (
    AgentMessageChunk,
    AgentPlanUpdate,
    AgentThoughtChunk,
    AllowedOutcome,
    DeniedOutcome,
    ReadTextFileResponse,
    RequestPermissionResponse,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    UsageUpdate,
    WriteTextFileResponse,
)

from cockpit.agent.acp.permissions import PermissionRequest, is_allowed, request_question, request_words
from cockpit.agent.claude.transcript import Transcript
from cockpit.agent.claude.turn_status import TurnStatusFile
from cockpit.agent.proposer_api import ProposerApi
from cockpit.agent.scratch import Scratch
from cockpit.agent.tools.registry import TOOLS
from cockpit.agent.views.quoting import clip, line, plain
from cockpit.core.agent_events import PermissionAnswered, PermissionAsked
from cockpit.core.events import Said
from cockpit.core.state import State

MESSAGE_CHARS = 8_000
PLAN_ENTRIES = 20
PERMISSIONS_AT_MOST = 200
"""Answers of one turn that the ledger holds. Later requests are refused."""
COST_AT_MOST_USD = 100_000.0
"""The largest cost of a session that is believed."""
FILE_CHARS = 1 << 20
LOOK_FOR_ANSWER_S = 0.25


class TurnRecord:
    """The words, calls and costs of one turn, as they arrive."""

    def __init__(self, name: str, ask: int, api: ProposerApi, status: TurnStatusFile, transcript: Transcript) -> None:
        self.name = name
        self._ask = ask
        self.api = api
        self.status = status
        self.transcript = transcript
        self.cost_usd: float | None = None
        """The cost of the agent's session so far; None if it was not reported."""
        self.calls = 0
        self.permissions = 0
        self.waits_for_person = 0
        """Requests that wait for a person's answer."""
        self._person_is_away = False
        """True after a request that was not answered in time: later requests do not wait."""
        self.last_message = ""
        self._message: list[str] = []
        self._thought: list[str] = []

    def message(self, text: str) -> None:
        self._flush_thought()
        self._message.append(text)
        self.status.show("writes", text)

    def thought(self, text: str) -> None:
        self._flush_message()
        self._thought.append(text)
        self.status.show("thinks", text)

    def flush(self) -> None:
        """Record what is complete: a message in the ledger, a thought in the transcript."""
        self._flush_thought()
        self._flush_message()

    def call(self, title: str, given: object) -> None:
        self.flush()
        self.calls += 1
        title = line(title or "a tool", 120)
        self.status.show(f"calls {title}", "\n")
        self.transcript.write("call", self.api.now(), tool=title, input=given)

    def result(self, number: str, status: str, text: str) -> None:
        self.transcript.write("result", self.api.now(), id=number, failed=status == "failed", text=clip(text, 20_000))

    def plan(self, entries: list[tuple[str, str]]) -> None:
        self.flush()
        marks = {"completed": "x", "in_progress": ">"}
        lines = [f"[{marks.get(status, ' ')}] {line(text, 160)}" for status, text in entries[:PLAN_ENTRIES]]
        self.status.show("plans", "\n" + "\n".join(lines) + "\n")
        self.transcript.write("said", self.api.now(), text="Plan:\n" + "\n".join(lines))

    def record_permission(self, wanted: PermissionRequest, allowed: bool) -> None:
        self.permissions += 1
        self._record_answer(plain(request_words(wanted)), allowed, "policy")

    async def ask_person(self, wanted: PermissionRequest, within_s: float) -> bool:
        """Ask a person and return the answer; False if it is late or the turn ends before it."""
        what = request_question(wanted)
        if not what or self._person_is_away:
            self.record_permission(wanted, False)
            return False
        self.permissions += 1
        request, until = f"p{self._ask}.{self.permissions}", time.monotonic() + within_s
        self.api.record(
            PermissionAsked(at=self.api.now(), agent=self.name, request=request, what=what, within_s=within_s)
        )
        self.waits_for_person += 1
        try:
            while (allowed := self._answer_to(request)) is None:
                if self.api.interrupted() or time.monotonic() >= until:
                    self._person_is_away = not self.api.interrupted()
                    rule = "interrupted" if self.api.interrupted() else "deadline"
                    self._record_answer(what, False, rule, request)
                else:
                    await asyncio.sleep(LOOK_FOR_ANSWER_S)
        finally:
            self.waits_for_person -= 1
        return allowed

    def _answer_to(self, request: str) -> bool | None:
        def look(state: State) -> bool | None:
            asked = state.permissions.get(request)
            return asked.allowed if asked is not None else False

        return self.api.read(look)

    def _record_answer(self, what: str, allowed: bool, rule: str, request: str = "") -> None:
        at = self.api.now()
        self.transcript.write("result", at, failed=not allowed, text=f"permission to {what}")
        self.api.record(
            PermissionAnswered(at=at, agent=self.name, what=what, allowed=allowed, rule=rule, request=request)
        )

    def _flush_message(self) -> None:
        text = plain("".join(self._message)).strip()
        self._message.clear()
        if text:
            self.last_message = text
            self.transcript.write("said", self.api.now(), text=text)
            self.api.record(Said(at=self.api.now(), author=self.name, text=clip(text, MESSAGE_CHARS)))
            self.status.forget()

    def _flush_thought(self) -> None:
        text = plain("".join(self._thought)).strip()
        self._thought.clear()
        if text:
            self.transcript.write("thought", self.api.now(), text=text)
            self.status.forget()


class AgentClient:
    """Implements the protocol's client. Between turns, and while a session is loaded, it ignores and refuses all."""

    def __init__(self, scratch: Scratch, ask_s: float = 0.0) -> None:
        self._scratch = scratch
        self._ask_s = ask_s
        self.turn: TurnRecord | None = None

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        turn = self.turn
        if turn is None:
            return
        match update:
            case AgentMessageChunk(content=TextContentBlock(text=text)):
                turn.message(text)
            case AgentThoughtChunk(content=TextContentBlock(text=text)):
                turn.thought(text)
            case ToolCallStart(title=title, raw_input=given):
                turn.call(title, _bounded(given))
            case ToolCallProgress(status="completed" | "failed" as status):
                turn.result(update.tool_call_id, status, _text_of(update.content))
            case AgentPlanUpdate(entries=entries):
                turn.plan([(entry.status, entry.content) for entry in entries])
            case UsageUpdate(cost=cost) if cost is not None and cost.currency == "USD":
                turn.cost_usd = float(cost.amount) if 0 <= cost.amount <= COST_AT_MOST_USD else None

    async def request_permission(
        self, session_id: str, tool_call: Any, options: list[Any], **kwargs: Any
    ) -> RequestPermissionResponse:
        turn = self.turn
        wanted = _request_of(tool_call)
        allowed = turn is not None and is_allowed(wanted, self._scratch.holds, TOOLS)
        if turn is not None and turn.permissions >= PERMISSIONS_AT_MOST:
            allowed = False
        elif turn is not None and not allowed and self._ask_s and _option(options, ("allow_once",)):
            allowed = await turn.ask_person(wanted, self._ask_s)
        elif turn is not None and not (allowed and wanted.kind in ("", "other")):
            turn.record_permission(wanted, allowed)
        chosen = _option(options, ("allow_once", "allow_always") if allowed else ("reject_once", "reject_always"))
        if chosen is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen))

    async def read_text_file(
        self, session_id: str, path: str, line: int | None = None, limit: int | None = None, **kwargs: Any
    ) -> ReadTextFileResponse:
        self._check(path)
        text = _file(lambda: self._scratch.shown(path))
        lines = text.splitlines(keepends=True)[max(0, (line or 1) - 1) :]
        return ReadTextFileResponse(content="".join(lines[:limit] if limit is not None else lines))

    async def write_text_file(self, session_id: str, path: str, content: str, **kwargs: Any) -> WriteTextFileResponse:
        self._check(path)
        if len(content) > FILE_CHARS:
            raise RequestError.invalid_params({"details": "the file is too large"})
        _file(lambda: (self._scratch.path / path).write_text(content, encoding="utf-8"))
        return WriteTextFileResponse()

    def _check(self, path: str) -> None:
        if self.turn is None or not self._scratch.holds(path):
            raise RequestError.invalid_params({"details": f"{path[:200]} is outside your checkout"})


def _file(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OSError as error:
        raise RequestError.invalid_params({"details": str(error)}) from None


def _option(options: list[Any], kinds: tuple[str, ...]) -> str | None:
    """Return the id of the first option of the kinds, in their order."""
    found = [option.option_id for kind in kinds for option in options if option.kind == kind]
    return str(found[0]) if found else None


def _request_of(tool_call: Any) -> PermissionRequest:
    return PermissionRequest(
        tool_call.kind or "", tool_call.title or "", _paths_of(tool_call), _arguments_of(tool_call)
    )


def _paths_of(tool_call: Any) -> tuple[str, ...]:
    """Return every path that a request names: its locations, and the paths in its arguments."""
    paths = [str(location.path) for location in tool_call.locations or []]
    if isinstance(tool_call.raw_input, dict):
        names = ("path", "file_path", "filePath", "notebook_path", "abs_path", "absolute_path", "target")
        paths += [value for name in names if isinstance(value := tool_call.raw_input.get(name), str)]
    return tuple(dict.fromkeys(paths))


def _arguments_of(tool_call: Any) -> str:
    """Return the arguments of a tool's call: its command, and the others as JSON."""
    given = tool_call.raw_input
    if not given:
        return ""
    if not isinstance(given, dict):
        return json.dumps(given, ensure_ascii=False, default=str)
    rest = {name: value for name, value in given.items() if name != "description"}
    command = rest.pop("command", "")
    if isinstance(command, list):
        command = shlex.join(map(str, command))
    others = json.dumps(rest, ensure_ascii=False, default=str) if rest else ""
    return " ".join(part for part in (str(command), others) if part)


def _bounded(given: Any) -> Any:
    text = json.dumps(given, ensure_ascii=False, default=str)
    return given if len(text) <= 20_000 else clip(text, 20_000)


def _text_of(content: Any) -> str:
    texts = [getattr(getattr(part, "content", None), "text", "") or "" for part in content or []]
    return plain("\n".join(text for text in texts if text))
