"""The tool `wait`, and all tools of an agent outside the worker."""

import time
from collections.abc import Callable
from functools import partial
from threading import Event as Flag
from typing import Annotated, Any

import msgspec
from pydantic import Field

from cockpit.agent import news
from cockpit.agent.arguments import Arguments, WaveId
from cockpit.agent.outside import OutsideProposerApi
from cockpit.agent.proposer_api import ProposerApi
from cockpit.agent.tools.reading import check_wave
from cockpit.agent.tools.registry import TOOLS, call
from cockpit.agent.tools.tool import Answer, Tool
from cockpit.core.state import State

POLL_INTERVAL_S = 0.2
PROGRESS_EVERY_S = 5.0
WAIT_S = 50.0
"""Seconds of one `wait` over MCP: many clients end a tool after 60."""
LONGEST_WAIT_S = 86_400.0

Progress = Callable[[float, float], None]
"""Takes the seconds waited and the seconds in all."""


class CallContext(msgspec.Struct, frozen=True):
    """The limits of one call, and the ways to follow and to end it."""

    longest_wait_s: float = LONGEST_WAIT_S
    progress: Progress | None = None
    cancelled: Flag = msgspec.field(default_factory=Flag)
    hosted: bool = False
    """True for an agent that the worker asks. It does not wait: messages come with the results of its tools."""


class Wait(Arguments):
    """Wait until the session needs you: a wave has finished, a proposal was decided on, a message arrived, the
    incumbent changed, or clusters will run dry. First returns everything that happened since your last `wait`. Without
    news it returns after `seconds`, or earlier if your client allows a tool less time: call it again then. Clusters
    that will run dry end the wait at once only the first time, until your next proposal.
    """

    wave: Annotated[
        WaveId | None,
        Field(description="Wait for the end of this wave. A message of the person and the session's end return too."),
    ] = None
    seconds: Annotated[int, Field(ge=1, le=86_400, description="The longest wait.")] = 600


def _wait(context: CallContext, api: ProposerApi, author: str, wanted: Wait) -> dict[str, Any]:
    assert isinstance(api, OutsideProposerApi)
    if wanted.wave is not None:
        check_wave(api, wanted.wave)
    seen = api.seen_seq
    began = told_at = time.monotonic()
    longest_s = min(float(wanted.seconds), context.longest_wait_s)
    while True:
        found, seq = api.read(partial(_news, seen=seen, name=author, wave=wanted.wave))
        if not found and wanted.wave is None and not api.reported_dry:
            found = api.read(news.dry)
            api.reported_dry = bool(found)
        if found:
            api.mark_seen(seq)
            return {"news": found}
        now = time.monotonic()
        if api.closed or context.cancelled.is_set() or now - began >= longest_s:
            break
        if context.progress and now - told_at >= PROGRESS_EVERY_S:
            told_at = now
            context.progress(now - began, longest_s)
        time.sleep(min(POLL_INTERVAL_S, max(0.01, began + longest_s - now)))
    still_dry = [] if wanted.wave else api.read(news.dry)
    what = f"{wanted.wave} has not finished yet" if wanted.wave else "Nothing has changed"
    return {"news": still_dry or [f"{what} for {longest_s:.0f} s. Call `wait` again, unless you have a question."]}


def _news(state: State, seen: int, name: str, wave: str | None) -> tuple[list[str], int]:
    """Return the news since `seen` that end the wait, and the number of the last event they cover."""
    found = news.news_since(state, seen, name)
    if wave is None:
        return found, state.seq
    ended = news.news_of_wave(state, wave)
    if not ended and not news.concerns_everyone(state, seen, name):
        return [], state.seq
    return list(dict.fromkeys([*found, *([ended] if ended else [])])), state.seq


def outside_tools(context: CallContext) -> dict[str, Tool]:
    """Return the tools of an agent that the worker does not ask: all of TOOLS, and `wait`."""
    return {**TOOLS, "wait": Tool("wait", Wait, partial(_wait, context))}


OUTSIDE_TOOLS = outside_tools(CallContext())


def call_outside(api: OutsideProposerApi, name: str, arguments: object, context: CallContext | None = None) -> Answer:
    """Run a tool of OUTSIDE_TOOLS under the api's name."""
    if context is None or not context.hosted:
        return call(api, api.name, name, arguments, outside_tools(context) if context else OUTSIDE_TOOLS)
    answer = call(api, api.name, name, arguments)
    seen = api.seen_seq
    said, seq = api.read(lambda state: (news.messages_since(state, seen, api.name), state.seq))
    if not said:
        return answer
    api.mark_seen(seq)
    return Answer({**answer.body, "messages": said}, answer.failed)
