"""The type of the fold's handler tables."""

from collections.abc import Callable
from typing import Any

from cockpit.core.events import Event
from cockpit.core.state import State

Handlers = dict[type[Event], Callable[[State, Any], None]]
"""Event class to the function that applies the event to the state."""
