"""The arms of a factorial grid: every cell, or a fraction with its confounded effects named."""

from collections.abc import Mapping, Sequence

from cockpit.core.intents import Arm
from cockpit.core.model import Change, Edit, Value
from cockpit.science.design import FULL, choose_design

ALIASES_NAMED = 6


def factorial_arms(
    factors: Mapping[str, Sequence[Value]], arms_at_most: int, edits: tuple[Edit, ...] = ()
) -> tuple[tuple[Arm, ...], str]:
    """Return the arms and the fraction in words; the words are empty for the full grid.

    Raises ValueError if even the main effects need more arms.
    """
    found = choose_design(factors, arms_at_most)
    arms = tuple(Arm(Change(constants=cell, edits=edits), levels=cell) for cell in found.cells)
    if found.resolution == FULL:
        return arms, ""
    said = f"a fraction of the grid: {found.said}"
    if found.aliased:
        more = len(found.aliased) - ALIASES_NAMED
        named = ", ".join(found.aliased[:ALIASES_NAMED]) + (f" and {more} more" if more > 0 else "")
        said += f"; not told apart: {named}"
    return arms, said
