"""A finding of `cockpit doctor` about one thing."""

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked. `remedy` is empty if nothing is missing."""

    about: str
    said: str
    remedy: str = ""
    needed: bool = True
    """True if a session on the chosen fleet fails without it."""

    @property
    def ok(self) -> bool:
        return not self.remedy
