"""The settings of a knob: its range or choices for search, excluded, or pinned."""

import msgspec

Scalar = bool | int | float | str


class KnobRange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The values of a knob that numeric proposers may use."""

    low: float | None = None
    high: float | None = None
    choices: tuple[Scalar, ...] = ()
    """The values in place of a range; empty for a range."""
    excluded: str = ""
    """The reason why numeric proposers leave it alone; empty if they vary it."""
    pinned: bool = False
    """True if no proposal may change it."""
    set_by: str = ""
    """The person or agent that set it during the session; `cockpit` for a decision; empty for the session's start."""


def knob_words(knob: KnobRange) -> str:
    """Word a setting: `pinned`, `excluded (its callers give another value)`, `0.01 to 0.1`, `relu, gelu`."""
    if knob.pinned:
        return "pinned: no proposal may change it"
    if knob.excluded:
        return f"not searched: {knob.excluded}"
    if knob.choices:
        return ", ".join(str(choice) for choice in knob.choices)
    if knob.low is None and knob.high is None:
        return "free: its range follows from its name and value"
    if knob.high is None:
        return f"from {knob.low:g}"
    return f"up to {knob.high:g}" if knob.low is None else f"{knob.low:g} to {knob.high:g}"
