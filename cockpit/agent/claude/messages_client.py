"""Requests of one turn to the Messages API: paid from reservations, retried if that helps, interruptible."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

import anthropic
import httpx2
import msgspec
from anthropic.lib.streaming import AsyncMessageStream, ParsedMessageStreamEvent
from anthropic.types import Message

from cockpit.agent.claude import prompt
from cockpit.agent.claude.api_budget import ApiBudget, Reservation
from cockpit.agent.claude.errors import Interrupted, RetryableError, translated, usable
from cockpit.agent.claude.transcript import Transcript
from cockpit.agent.claude.turn_status import TurnStatusFile
from cockpit.agent.proposer_api import ProposerApi, ProposerTrouble
from cockpit.agent.views.quoting import CUT, line, plain
from cockpit.core.events import Said
from cockpit.session.settings import AgentSettings

T = TypeVar("T")

INTERRUPT_CHECK_S = 0.1
LONGEST_WAIT_S = 60.0
"""The turn ends instead of waiting longer for the API. The worker asks again afterwards."""
LONGEST_ANSWER_S = 1_800.0
STREAM_CUT = "the stream was cut before the answer was complete"


class TurnContext(msgspec.Struct, frozen=True):
    """The parts that everything in one turn shares."""

    name: str
    settings: AgentSettings
    api: ProposerApi
    status: TurnStatusFile
    transcript: Transcript
    budget: ApiBudget
    backoff_s: float
    """The wait before the first retry; it doubles."""


class _Received(msgspec.Struct):
    """The part of a streamed answer that has arrived."""

    message: Message | None = None
    written_chars: int = 0
    complete: bool = False


class MessagesClient:
    def __init__(self, sdk: anthropic.AsyncAnthropic, context: TurnContext) -> None:
        self._sdk = sdk
        self._context = context

    async def answer(self, system: list[dict[str, Any]], messages: list[dict[str, Any]]) -> Message:
        """Return one complete answer, with retries. Raises ProposerTrouble or Interrupted."""
        tries, failure = self._context.settings.tries, ""
        for number in range(tries):
            try:
                return await self._answer_once(system, messages)
            except RetryableError as error:
                failure = str(error)
                wait_s = max(error.after_s, self._context.backoff_s * 2**number * random.uniform(1.0, 1.3))
                if wait_s > LONGEST_WAIT_S:
                    raise ProposerTrouble(failure, retry_in_s=wait_s) from None
                if number + 1 < tries:
                    await self._wait(wait_s, failure)
        raise ProposerTrouble(f"{failure}; tried {tries} times", retry_in_s=LONGEST_WAIT_S)

    async def create(self, parameters: dict[str, Any], reservation: Reservation) -> Message:
        """Return the answer to one request without a stream. Raises the SDK's errors or Interrupted."""
        failure: BaseException | None = None
        answer: Message | None = None
        request: Coroutine[Any, Any, Message] = self._sdk.messages.create(**parameters)
        try:
            answer = await self._interruptible(request)
        except (anthropic.APIError, httpx2.HTTPError) as error:
            failure = error
            raise
        finally:
            if answer is None:
                reservation.settle_unanswered(failure)
            else:
                reservation.settle(answer)
        return answer

    async def _answer_once(self, system: list[dict[str, Any]], messages: list[dict[str, Any]]) -> Message:
        settings = self._context.settings
        size = sum(len(str(part).encode("utf-8", "replace")) for part in (system, messages, prompt.tools()))
        reservation = self._context.budget.reserve(settings.model, size, settings.max_tokens)
        parameters = prompt.body(settings, reservation.answer_tokens, system, messages)
        answer = await self._interruptible(self._stream(parameters, reservation))
        return usable(answer, self._context.name)

    async def _wait(self, wait_s: float, failure: str) -> None:
        context = self._context
        context.transcript.write("trouble", context.api.now(), text=f"{failure}; retries in {wait_s:.0f} s")
        context.status.show(f"waits {wait_s:.0f} s: {failure}")
        await self._interruptible(asyncio.sleep(wait_s))

    async def _interruptible(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=INTERRUPT_CHECK_S)
                if self._context.api.interrupted():
                    raise Interrupted
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # Retrieved, so that asyncio does not log the error of an interrupted turn.

    async def _stream(self, parameters: dict[str, Any], reservation: Reservation) -> Message:
        """Send a request and return its complete answer. Its cost is recorded however it ends."""
        failure: BaseException | None = None
        received = _Received()
        self._context.status.show("thinks")
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S), self._sdk.messages.stream(**parameters) as stream:
                async for event in stream:
                    self._receive(event, stream, received)
        except anthropic.APIError as error:
            failure = error
            raise translated(error, self._context.settings.model) from None
        except TimeoutError:
            raise RetryableError(f"the answer took longer than {LONGEST_ANSWER_S / 60:.0f} minutes") from None
        except (httpx2.HTTPError, ValueError):
            raise RetryableError(STREAM_CUT) from None
        finally:
            self._settle(reservation, received, failure)
        if received.message is None or not received.complete:
            raise RetryableError(STREAM_CUT)
        return received.message

    def _receive(
        self, event: "ParsedMessageStreamEvent[Any]", stream: AsyncMessageStream[Any], received: _Received
    ) -> None:
        status = self._context.status
        match event.type:
            case "message_start":
                received.message = stream.current_message_snapshot
            case "text":
                status.show("writes", event.text)
                received.written_chars += len(event.text)
            case "thinking":
                status.show("thinks", event.thinking)
                received.written_chars += len(event.thinking)
            case "content_block_start" if event.content_block.type == "tool_use":
                status.show(f"calls {line(event.content_block.name, 40)}")
            case "input_json":
                received.written_chars += len(event.partial_json)
            case "message_stop":
                received.complete = True

    def _settle(self, reservation: Reservation, received: _Received, failure: BaseException | None) -> None:
        if received.message is None:
            reservation.settle_unanswered(failure)
        elif received.complete:
            reservation.settle(received.message)
        else:
            reservation.settle_partial(received.message, received.written_chars)
            self._keep_partial(received.message)

    def _keep_partial(self, message: Message) -> None:
        """Keep the text of an answer that broke off. If a person interrupted it, the text stays in the conversation."""
        text = " ".join(block.text for block in message.content if block.type == "text").strip()
        if not text:
            return
        context, now = self._context, self._context.api.now()
        context.transcript.write("said", now, text=f"{text} {CUT}")
        if context.api.interrupted():
            context.api.record(Said(at=now, author=context.name, text=f"{plain(text)} {CUT}"))
