"""Words with the names of constants, and the same words with short names for places with little room."""

from collections.abc import Iterable

import msgspec

from cockpit.core.model import Experiment
from cockpit.read.changes import change_parts
from cockpit.tui.figures import bare, short_name
from cockpit.tui.plain import plain, width_of


class Wording(msgspec.Struct, frozen=True):
    full: str
    short: str
    shortened: tuple[str, ...] = ()
    """The constants that have another name in the short words."""

    def explained(self, shown: str) -> str:
        """Return `AR is ASPECT_RATIO  MAT is MATRIX_LR` if shown text has the short words, else an empty text."""
        return "" if self.full in shown else "  ".join(short_names(self.shortened))

    def within(self, cells: int) -> str:
        """Return the full words if they fit, else the short ones."""
        return self.full if width_of(self.full) <= cells else self.short


NOTHING = Wording("", "")


def joined(*parts: str | Wording) -> Wording:
    """Join the parts that are not empty, with two blanks between them."""
    both = [Wording(part, part) if isinstance(part, str) else part for part in parts]
    return Wording(
        "  ".join(part.full for part in both if part.full),
        "  ".join(part.short for part in both if part.short),
        tuple(name for part in both for name in part.shortened),
    )


def short_of(constant: str) -> str:
    return plain(short_name(constant))


def change_wording(experiment: Experiment) -> Wording:
    """Return `ASPECT_RATIO 96  MATRIX_LR .04  code +1 −1`."""
    parts = [(name, plain(bare(said))) for name, said in change_parts(experiment)]
    full = "  ".join(f"{plain(name)} {said}" for name, said in parts)
    short = "  ".join(f"{short_of(name)} {said}" for name, said in parts)
    return Wording(full, short, tuple(name for name, _ in parts if short_name(name) != name))


def short_names(constants: Iterable[str]) -> list[str]:
    """Return `AR is ASPECT_RATIO` for each constant that has a short name."""
    return [f"{short_of(name)} is {plain(name)}" for name in constants if short_name(name) != name]
