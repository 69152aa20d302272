"""The type of the tables that the fold is made of."""

from collections.abc import Callable
from typing import Any

from cockpit.core.events import Event
from cockpit.core.state import State

Handlers = dict[type[Event], Callable[[State, Any], None]]
"""Event to the function that changes the state by it."""
