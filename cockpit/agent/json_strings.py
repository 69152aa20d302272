"""Decode arguments in which a client sent objects and lists as JSON strings."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

ROUNDS = 8
"""Levels of strings within strings that are decoded."""
_NOT_TEXT = ("model_type", "model_attributes_type", "dict_type", "list_type")


def validated(model: type[M], arguments: Any) -> M:
    """Validate the arguments. Decodes a string where an object or a list is expected. Raises ValidationError."""
    for _ in range(ROUNDS):
        try:
            return model.model_validate(arguments)
        except ValidationError as error:
            decoded = _decoded(arguments, error)
            if decoded is None:
                raise
            arguments = decoded
    return model.model_validate(arguments)


def _decoded(arguments: Any, error: ValidationError) -> Any:
    """Return the arguments with the strings decoded that the error names; None if there are none."""
    arguments = {"": json.loads(json.dumps(arguments))}  # a copy, in the types of JSON
    changed = False
    for problem in error.errors(include_url=False, include_context=False):
        if problem["type"] in _NOT_TEXT and isinstance(problem["input"], str):
            changed |= _decode_at(arguments, ("", *problem["loc"]), problem["input"])
    return arguments[""] if changed else None


def _decode_at(arguments: Any, place: tuple[int | str, ...], text: str) -> bool:
    """Replace the string at the place by the object or list that it spells. Returns False if it spells none."""
    *path, last = place
    try:
        value = json.loads(text)
        for part in path:
            arguments = arguments[part]
        if not isinstance(value, dict | list) or arguments[last] != text:
            return False
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return False
    arguments[last] = value
    return True
