"""Numbers from outside. Bounded where they are read, so that no sum or square of them overflows."""

from typing import TypeGuard

import msgspec

LARGEST = 1e12
"""The largest magnitude of a number from outside. A larger one is an error, or made up."""


def is_plausible(found: object, largest: float = LARGEST) -> TypeGuard[float]:
    """Tell a number that is finite and not too large."""
    return isinstance(found, int | float) and -largest <= found <= largest


def holds_plausible(found: object, largest: float = LARGEST) -> bool:
    """Return True if every number in a record is plausible, at any depth."""
    if isinstance(found, msgspec.Struct):
        found = msgspec.structs.asdict(found)
    if isinstance(found, dict):
        return all(holds_plausible(value, largest) for value in found.values())
    if isinstance(found, list | tuple):
        return all(holds_plausible(value, largest) for value in found)
    return is_plausible(found, largest) or not isinstance(found, int | float)
