"""The event of a knob's setting during a session."""

from cockpit.core.events import Event
from cockpit.core.knobs import KnobRange


class KnobSet(Event):
    """A knob got another range, or was pinned, excluded or freed; `range` replaces the one that it had."""

    knob: str
    range: KnobRange
    author: str
