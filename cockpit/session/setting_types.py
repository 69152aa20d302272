"""The types of the tables in cockpit.toml."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec

from cockpit.core.errors import CockpitError


class SettingsError(CockpitError):
    """A setting is wrong; the message is one sentence that names it."""


Count = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]


class Flag(NamedTuple):
    """The row of a setting that is a flag of `cockpit new` as well. Its type and its default are the field's."""

    help: str
    metavar: str = ""
    name: str = ""
    """The flag's name; empty for the setting's, with hyphens."""
    parse: Callable[[str], Any] | None = None
    """Parses the flag's word where the type is not enough. Raises ValueError with a sentence."""
