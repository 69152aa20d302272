"""The range: all variants, the short set, and what the range does not try."""

from cockpit.redteam import honest, reach_cheats, score_cheats
from cockpit.redteam.variants import Variant

EVERY: tuple[Variant, ...] = (*score_cheats.CHEATS, *reach_cheats.CHEATS, *honest.HONEST)
SHORT = tuple(variant for variant in EVERY if variant.short)
NOT_TRIED = (
    "a seed that was chosen for its luck, which the keep rule answers with fresh seeds; starving neighbours and orders"
    " to the agent in a log, which tests try; runs on SkyPilot and on a GPU"
)
"""Kinds of cheats that the range leaves out, in a clause."""
