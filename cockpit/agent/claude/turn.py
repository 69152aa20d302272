"""One turn of the researcher: a conversation with a model that starts from the briefing and runs the tools it calls.

The conversation ends with the first answer that calls no tool. Tools run only after an answer has arrived completely.
A stream that breaks off therefore has no effect, and a retry proposes nothing twice.
"""

from pathlib import Path
from typing import Any

from anthropic.types import Message

from cockpit.agent.claude import prompt, turn_memory
from cockpit.agent.claude.errors import Interrupted
from cockpit.agent.claude.messages_client import MessagesClient, TurnContext
from cockpit.agent.claude.opening import Opening, opening_of
from cockpit.agent.claude.summary import update_summary
from cockpit.agent.claude.turn_memory import TurnMemory
from cockpit.agent.proposer_api import ProposalRequest, ProposerTrouble
from cockpit.agent.tools.registry import call
from cockpit.agent.views.quoting import line, plain
from cockpit.core.events import Said
from cockpit.core.running_time import running_h
from cockpit.core.state import State, is_answered

MAX_FAILED_CALLS_IN_A_ROW = 10
RECENT_MESSAGES = 60


class Turn:
    def __init__(self, context: TurnContext, client: MessagesClient, memory_path: Path) -> None:
        self._context = context
        self._client = client
        self._memory_path = memory_path
        self._heard: set[tuple[float, str, str]] = set()
        """Messages of others that the model was given: (at, author, text)."""
        self._answered_messages = 0
        self._failed_calls = 0

    async def run(self, request: ProposalRequest) -> None:
        """Hold the conversation to its end. Raises ProposerTrouble or Interrupted."""
        self._begin(request)
        memory = turn_memory.load(self._memory_path)
        await update_summary(self._context, self._client, memory, self._memory_path)
        opening, system, first = self._opening(memory, request)
        messages = [first]
        max_calls = self._context.settings.most_calls
        for number in range(max_calls):
            answer = await self._client.answer(system, messages)
            if number == 0:
                self._remember_reported(memory, opening)
            tool_uses = self._record(answer)
            if not tool_uses:
                self._context.api.answered(self._answered_messages)
                return
            messages.append({"role": "assistant", "content": _content(answer)})
            messages.append({"role": "user", "content": self._run_tools(tool_uses) + self._new_messages()})
        raise ProposerTrouble(f"{self._context.name} sent {max_calls} requests in one turn without ending it")

    def _begin(self, request: ProposalRequest) -> None:
        context, now = self._context, self._context.api.now()
        hour = context.api.read(lambda state: running_h(state, now))
        context.transcript.write(
            "turn",
            now,
            ask=request.ask,
            reason=request.reason,
            arms=request.arms,
            model=context.settings.model,
            hour=round(hour, 2),
        )
        self._heard = set(context.api.read(self._messages_of_others))
        context.status.show("reads the session")

    def _opening(self, memory: TurnMemory, request: ProposalRequest) -> tuple[Opening, list[dict[str, Any]], Any]:
        """Return the brief, and the first request's system and message."""
        api = self._context.api
        brief = opening_of(api, self._context.name, memory)
        system, first = prompt.system(brief.program), prompt.first_message(brief.source, brief.changing(request))
        for title, text in (
            *((f"system {number}", block["text"]) for number, block in enumerate(system, 1)),
            ("the code", brief.source),
            ("the session now", first["content"][-1]["text"]),
        ):
            self._context.transcript.given(api.now(), title, text)
        return brief, system, first

    def _remember_reported(self, memory: TurnMemory, opening: Opening) -> None:
        crashes, finished = opening.crashes, opening.finished_waves
        if crashes or finished:
            self._context.api.read(lambda state: memory.mark_reported(state, crashes, finished))
            turn_memory.save(self._memory_path, memory)

    def _record(self, answer: Message) -> list[Any]:
        """Record the answer's text and thinking. Return its tool calls."""
        context, tool_uses = self._context, []
        for block in answer.content:
            if block.type == "tool_use":
                tool_uses.append(block)
            elif block.type == "thinking" and block.thinking.strip():
                context.transcript.write("thought", context.api.now(), text=block.thinking)
            elif block.type == "text" and block.text.strip():
                context.transcript.write("said", context.api.now(), text=block.text)
                context.api.record(Said(at=context.api.now(), author=context.name, text=plain(block.text.strip())))
        return tool_uses

    def _run_tools(self, tool_uses: list[Any]) -> list[dict[str, Any]]:
        """Run the tool calls of an answer in order. Return their results."""
        results = []
        for use in tool_uses:
            if self._context.api.interrupted():
                raise Interrupted
            results.append(self._run_tool(use))
        return results

    def _run_tool(self, use: Any) -> dict[str, Any]:
        context = self._context
        context.status.show(f"calls {line(use.name, 40)}")
        context.transcript.write("call", context.api.now(), tool=use.name, id=use.id, input=use.input)
        answer = call(context.api, context.name, use.name, use.input)
        context.transcript.write("result", context.api.now(), id=use.id, failed=answer.failed, text=answer.text)
        self._failed_calls = self._failed_calls + 1 if answer.failed else 0
        if self._failed_calls >= MAX_FAILED_CALLS_IN_A_ROW:
            raise ProposerTrouble(
                f"{context.name} made {self._failed_calls} invalid tool calls in a row, the last"
                f" {line(use.name, 40)}: {line(str(answer.body.get('error')), 200)}"
            )
        return prompt.tool_result(use.id, answer.text, answer.failed)

    def _new_messages(self) -> list[dict[str, Any]]:
        """Return the messages that others sent since the last request, so that a person can steer this turn."""
        api = self._context.api
        new = [message for message in api.read(self._messages_of_others) if message not in self._heard]
        self._heard.update(new)
        self._answered_messages += api.read(lambda state: sum(is_answered(state, author) for _, author, _ in new))
        for at, author, text in new:
            self._context.transcript.write("heard", at, author=author, text=text)
        return [prompt.message_of(line(author, 40), plain(text)[:4_000]) for _, author, text in new]

    def _messages_of_others(self, state: State) -> list[tuple[float, str, str]]:
        return [
            (message.at, message.author, message.text)
            for message in state.messages[-RECENT_MESSAGES:]
            if message.kind == "say" and message.author != self._context.name
        ]


def _content(answer: Message) -> list[dict[str, Any]]:
    """Return the answer to send back: unchanged, with its thinking, without the empty texts that the API refuses."""
    blocks = [block.model_dump(mode="json", exclude_none=True, exclude={"parsed_output"}) for block in answer.content]
    return [block for block in blocks if block["type"] != "text" or block["text"].strip()]
