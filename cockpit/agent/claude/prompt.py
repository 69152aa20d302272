"""The parameters of a turn's requests: the stable part first, so that the cache serves it, then the current session.

The API takes four cache marks. Two last an hour: after program.md (behind the tools and the role) and after the
incumbent's train.py. Both change rarely. Two last five minutes and move with the conversation: one at its end, one at
its end in the previous request. From a mark the API looks back over 20 blocks only, and a dozen tool calls in one
answer, with their results, are more.
"""

from functools import cache
from typing import Any

from cockpit.agent.claude.role import ROLE
from cockpit.agent.tools.registry import TOOLS
from cockpit.agent.views import briefing
from cockpit.session.settings import AgentSettings

_ONE_HOUR = {"type": "ephemeral", "ttl": "1h"}
_FIVE_MINUTES = {"type": "ephemeral"}


@cache
def tools() -> list[dict[str, Any]]:
    """Return the tools in the API's format. Every call returns the same list; callers must not change it."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in TOOLS.values()
    ]


def system(program: str) -> list[dict[str, Any]]:
    """Return the role and program.md, with a mark at the end."""
    blocks = [_text(ROLE)]
    if program:
        blocks.append(_text(f"# program.md, the person's instructions\n{briefing.program(program)}"))
    return [*blocks[:-1], blocks[-1] | {"cache_control": _ONE_HOUR}]


def first_message(source: str, changing: str) -> dict[str, Any]:
    """Return the incumbent's code with a mark, then the part that changes from turn to turn."""
    blocks = [_text(source) | {"cache_control": _ONE_HOUR}] if source else []
    return {"role": "user", "content": [*blocks, _text(changing)]}


def tool_result(use_id: str, text: str, failed: bool) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": use_id, "content": text, "is_error": failed}


def message_of(author: str, text: str) -> dict[str, Any]:
    """Return a message that arrived during the turn."""
    return _text(f"{author} says just now: {text}")


def body(
    settings: AgentSettings, max_tokens: int, system_blocks: list[dict[str, Any]], messages: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the parameters of one request. `messages` is not changed."""
    parameters: dict[str, Any] = {
        "model": settings.model,
        "max_tokens": max_tokens,
        "system": system_blocks,
        "tools": tools(),
        "messages": [*messages[:-3], *(_marked(message) for message in messages[-3:])],
    }
    if settings.effort:
        parameters["output_config"] = {"effort": settings.effort}
    if settings.show_thinking:
        # Text between tool calls arrives as thinking, which is empty unless summaries are requested.
        parameters["thinking"] = {"type": "adaptive", "display": "summarized"}
    return parameters


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message of ours with a mark at its end, one of the model's unchanged."""
    if message["role"] != "user":
        return message
    content = message["content"]
    return message | {"content": [*content[:-1], content[-1] | {"cache_control": _FIVE_MINUTES}]}


def summary_body(settings: AgentSettings, max_tokens: int, role: str, text: str) -> dict[str, Any]:
    """Return the parameters of a request for a summary, to the small model at low effort."""
    parameters: dict[str, Any] = {
        "model": settings.small_model,
        "max_tokens": max_tokens,
        "system": role,
        "messages": [{"role": "user", "content": text}],
    }
    if settings.effort:
        parameters["output_config"] = {"effort": "low"}
    return parameters


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
