"""Files of older sessions still read: a stored event keeps its kind and its fields, and another state another format.

`data/stored_events.json` has the fields of each kind of event that a released ledger can hold. A new kind, or a new
field with a default, is added there; nothing is ever taken out or renamed.
"""

import json
import typing
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cockpit.core.event_codec import AnyEvent
from cockpit.core.state import State
from cockpit.session.snapshot import STATE_FORMAT

STORED: dict[str, list[str]] = json.loads((Path(__file__).parent / "data" / "stored_events.json").read_text())
KNOWN: dict[str, type[msgspec.Struct]] = {
    str(msgspec.inspect.type_info(kind).tag): kind  # type: ignore[attr-defined]
    for kind in typing.get_args(AnyEvent)
}
SHAPE_OF_STATE = (12, 303782660)
"""The format of a snapshot, and the checksum of the state that it holds: both change together."""


@pytest.mark.parametrize("kind", STORED)
def test_a_stored_event_keeps_its_kind_and_its_fields(kind: str) -> None:
    assert set(STORED[kind]) <= set(KNOWN[kind].__struct_encode_fields__)


def test_every_kind_of_event_is_listed_among_the_stored_ones() -> None:
    assert set(KNOWN) == set(STORED)


def shape(kind: Any, seen: set[type]) -> list[str]:
    """Return the names and types of all records below a type, in a fixed order."""
    found: list[str] = []
    for inner in typing.get_args(kind):
        found += shape(inner, seen)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
        seen.add(kind)
        hints = typing.get_type_hints(kind)
        for name, stored in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
            found.append(f"{stored}:{hints[name]}")
            found += shape(hints[name], seen)
    return found


def test_a_state_of_another_shape_has_another_format_of_its_snapshot() -> None:
    names = [line.partition(":")[0] for line in shape(State, set())]
    assert (STATE_FORMAT, zlib.crc32(" ".join(names).encode())) == SHAPE_OF_STATE
