"""Classes that have no room now, so that a launch that may have any class asks for one that is free."""

import threading
import time

FULL_S = 600.0
"""Seconds after which a class that had no room is asked for again."""


class FullClasses:
    """Shared by all launches of a fleet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def mark(self, hardware: str) -> None:
        """Note that a launch waits for this class in its cloud's queue."""
        with self._lock:
            self._until[hardware] = time.monotonic() + FULL_S

    def clear(self, hardware: str) -> None:
        """Note that a cluster of this class came up, or was taken down."""
        with self._lock:
            self._until.pop(hardware, None)

    def now(self) -> frozenset[str]:
        with self._lock:
            return frozenset(name for name, until in self._until.items() if until > time.monotonic())
