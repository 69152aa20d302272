"""List the variants of the red team, its short set, and the cheats that it leaves out."""

from cockpit.redteam import (
    asked_cheats,
    code_cheats,
    effort_cheats,
    future_cheats,
    hidden_cheats,
    honest,
    honest_tricks,
    kernel_cheats,
    late_cheats,
    leak_cheats,
    machine_cheats,
    neighbour_cheats,
    patch_cheats,
    place_cheats,
    reach_cheats,
    score_cheats,
    sly_cheats,
    time_cheats,
    told_cheats,
    word_cheats,
)
from cockpit.redteam.variants import Variant

EVERY: tuple[Variant, ...] = (
    *score_cheats.CHEATS, *hidden_cheats.CHEATS, *late_cheats.CHEATS, *code_cheats.CHEATS, *reach_cheats.CHEATS,
    *neighbour_cheats.CHEATS, *kernel_cheats.CHEATS, *time_cheats.CHEATS, *future_cheats.CHEATS, *word_cheats.CHEATS,
    *patch_cheats.CHEATS, *leak_cheats.CHEATS, *effort_cheats.CHEATS, *place_cheats.CHEATS,
    *asked_cheats.CHEATS, *told_cheats.CHEATS, *machine_cheats.CHEATS, *sly_cheats.CHEATS,
    *honest.HONEST, *honest_tricks.TRICKS,
)  # fmt: skip
SHORT = tuple(variant for variant in EVERY if variant.short)
NOT_TRIED = (
    "a seed that was chosen for its luck, which the keep rule answers with fresh seeds; training on the library itself,"
    " which the corpus stdlib cannot hide; runs on SkyPilot and on a GPU"
)
"""Kinds of cheats that the red team leaves out, in a clause."""
