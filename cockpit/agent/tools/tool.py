"""A tool of an agent: its name, description and schema; its answer; its error."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cockpit.agent import arguments
from cockpit.agent.proposer_api import ProposerApi
from cockpit.agent.views.quoting import clip
from cockpit.core.errors import CockpitError

ANSWER_CHARS = 80_000
"""The limit of every answer. Each tool stays well below it, except `brief`, which may use most of it."""


class ToolError(CockpitError):
    """The call failed. The message says what is wrong and what to do instead."""


@dataclass(frozen=True)
class Answer:
    body: dict[str, Any]
    failed: bool = False

    @property
    def text(self) -> str:
        """The body as compact JSON; at most ANSWER_CHARS."""
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        if len(text) <= ANSWER_CHARS:
            return text
        return json.dumps({"too_long": "ask for less", "its_start": clip(text, ANSWER_CHARS // 4)}, ensure_ascii=False)


@dataclass(frozen=True)
class Tool:
    name: str
    arguments: type[arguments.Arguments]
    act: Callable[[ProposerApi, str, Any], dict[str, Any]]
    reads_only: bool = True
    help: str = ""
    """The description of a verb; a tool that reads has its own with its arguments."""

    @property
    def description(self) -> str:
        return self.help or " ".join((self.arguments.__doc__ or "").split())

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments, without titles and without the description, which are sent separately."""
        schema: dict[str, Any] = _untitled(self.arguments.model_json_schema())
        schema.pop("description", None)
        return schema


def _untitled(schema: Any) -> Any:
    match schema:
        case dict():
            return {key: _untitled(value) for key, value in schema.items() if key != "title" or isinstance(value, dict)}
        case list():
            return [_untitled(value) for value in schema]
    return schema
