"""Settings of a knob, from the repository or from a person: the range that search may use, or none."""

import msgspec

Scalar = bool | int | float | str


class KnobRange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The values of a knob that numeric proposers may use."""

    low: float | None = None
    high: float | None = None
    choices: tuple[Scalar, ...] = ()
    """The values in place of a range; empty for a range."""
    excluded: str = ""
    """The reason why numeric proposers leave it alone; empty where they vary it."""
    pinned: bool = False
    """True where no proposal may change it."""
