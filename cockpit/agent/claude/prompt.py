"""The Messages request of a turn: what does not change first, so that the cache serves it, then the session as it is.

The API takes four cache marks. Two live an hour: after program.md (with the tools and the role, which come before it)
and after the incumbent's train.py, each of which changes rarely. Two live five minutes and move with the conversation:
one to its end, one to where its end was in the request before, since from a mark the API looks back over 20 blocks
only, and a dozen tools called at once, with their results, are more.
"""

from functools import cache
from typing import Any

from cockpit.agent.claude import briefing
from cockpit.agent.proposer_api import ProposalRequest
from cockpit.agent.tools.registry import TOOLS
from cockpit.session.settings import AgentSettings

_HOUR = {"type": "ephemeral", "ttl": "1h"}
_MINUTES = {"type": "ephemeral"}

REASONS = {
    "dry": "Clusters will run dry soon.",
    "finished": "A wave has finished: say what it showed, record what holds, and go on from there.",
    "said": "The person spoke: answer first.",
    "filler": "Clusters stand idle.",
}


@cache
def tools() -> list[dict[str, Any]]:
    """The tools as the API takes them: the same list each time, not to be changed."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in TOOLS.values()
    ]


def system(program: str) -> list[dict[str, Any]]:
    """The role, then program.md, and a mark."""
    blocks = [_text(briefing.ROLE)]
    if program:
        blocks.append(_text(f"# program.md, the person's instructions\n{briefing.program(program)}"))
    return [*blocks[:-1], blocks[-1] | {"cache_control": _HOUR}]


def first_message(source: str, now: str, crashes: str, request: ProposalRequest) -> dict[str, Any]:
    """The incumbent's code behind a mark, then all that changes from turn to turn."""
    reason = REASONS.get(request.reason, request.reason)
    asked = f"# You are asked\n{reason} The clusters could start about {request.arms} arms."
    changing = "\n\n".join(part for part in (now, crashes, asked) if part)
    blocks = [_text(source) | {"cache_control": _HOUR}] if source else []
    return {"role": "user", "content": [*blocks, _text(changing)]}


def tool_result(use_id: str, text: str, failed: bool) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": use_id, "content": text, "is_error": failed}


def heard(author: str, text: str) -> dict[str, Any]:
    """What the person said while the turn went on."""
    return _text(f"{author} says just now: {text}")


def body(
    settings: AgentSettings, max_tokens: int, system_blocks: list[dict[str, Any]], messages: list[dict[str, Any]]
) -> dict[str, Any]:
    """The parameters of one request; `messages` is not changed."""
    asked: dict[str, Any] = {
        "model": settings.model,
        "max_tokens": max_tokens,
        "system": system_blocks,
        "tools": tools(),
        "messages": [*messages[:-3], *(_marked(message) for message in messages[-3:])],
    }
    if settings.effort:
        asked["output_config"] = {"effort": settings.effort}
    if settings.show_thinking:
        # Words between tool calls come as thinking, which is empty unless summaries are asked for.
        asked["thinking"] = {"type": "adaptive", "display": "summarized"}
    return asked


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    """A message of ours with a mark at its end; one of the model's as it is."""
    if message["role"] != "user":
        return message
    content = message["content"]
    return message | {"content": [*content[:-1], content[-1] | {"cache_control": _MINUTES}]}


def story(settings: AgentSettings, max_tokens: int, role: str, text: str) -> dict[str, Any]:
    """The parameters of a request to the small model, which is not to think long about a summary."""
    asked: dict[str, Any] = {
        "model": settings.small_model,
        "max_tokens": max_tokens,
        "system": role,
        "messages": [{"role": "user", "content": text}],
    }
    if settings.effort:
        asked["output_config"] = {"effort": "low"}
    return asked


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
