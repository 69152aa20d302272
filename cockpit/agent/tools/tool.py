"""A tool of an agent: its name, description and schema; its answer; its error."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from cockpit.agent import arguments
from cockpit.agent.proposer_api import ProposerApi
from cockpit.agent.views.quoting import clip
from cockpit.core.errors import CockpitError

ANSWER_CHARS = 80_000
"""The limit of every answer. Each tool stays well below it, except `brief`, which may use most of it."""


class ToolError(CockpitError):
    """The call failed. The message says what is wrong and what to do instead."""


class Answer(msgspec.Struct, frozen=True):
    body: dict[str, Any]
    failed: bool = False

    @property
    def text(self) -> str:
        """The body as compact JSON; at most ANSWER_CHARS."""
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        if len(text) <= ANSWER_CHARS:
            return text
        return json.dumps({"too_long": "ask for less", "its_start": clip(text, ANSWER_CHARS // 4)}, ensure_ascii=False)


class Tool(msgspec.Struct, frozen=True):
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
        """The JSON schema of the arguments, without the description, which is sent separately."""
        schema: dict[str, Any] = self.arguments.model_json_schema()
        schema.pop("description", None)
        flat: dict[str, Any] = _flat(schema, schema.pop("$defs", {}))
        return flat


def _flat(schema: Any, parts: dict[str, Any]) -> Any:
    """Return the schema in the keywords that every client understands: without titles, references and null.

    An optional argument is left out instead of null. The keys of an object have no schema of their own.
    """
    if isinstance(schema, list):
        return [_flat(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _flat(parts[schema["$ref"].rpartition("/")[2]] | {k: v for k, v in schema.items() if k != "$ref"}, parts)
    kept = {key: value for key, value in schema.items() if key != "title" or isinstance(value, dict)}
    if choices := kept.get("anyOf"):
        some = [choice for choice in choices if choice != {"type": "null"}]
        kept["anyOf"] = some
        if len(some) < len(choices) and kept.get("default", "") is None:
            del kept["default"]
        if len(some) == 1:
            del kept["anyOf"]
            kept = some[0] | kept
    patterns = kept.pop("patternProperties", None)
    kept.pop("propertyNames", None)
    if patterns:
        kept["additionalProperties"] = next(iter(patterns.values()))
    return {key: _flat(value, parts) for key, value in kept.items()}
