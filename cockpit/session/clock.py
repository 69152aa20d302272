"""The session's clock: wall time, wall time at another speed, or a clock that jumps to the next event.

Only the worker waits on a clock, so one thread owns it; any thread may read it.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Return seconds since the epoch; never less than an earlier value."""

    def wait(self, event: threading.Event, until: float) -> None:
        """Return when `event` is set or soon after the clock reads `until`, which may be infinite."""


class WallClock:
    """The wall time at its creation, advanced by the machine's steady clock.

    Setting the wall clock during a session changes nothing, and the time of a suspended machine counts. A clock that
    continues a session starts at its last time, `not_before`, where the machine's clock was set back since.
    """

    def __init__(self, not_before: float = 0.0) -> None:
        self._origin = max(time.time(), not_before) - steady_s()

    def now(self) -> float:
        return self._origin + steady_s()

    def wait(self, event: threading.Event, until: float) -> None:
        _wait(event, until - self.now())


class ScaledClock:
    """Virtual seconds that run `speed` times as fast; it read `start` when the wall clock read `real_origin`.

    Created again with the same three numbers it continues as if it had never stopped. A wait ends when the next event
    is due, since a moment of wall time may be minutes of virtual time.
    """

    def __init__(self, start: float, speed: float, real_origin: float, next_due: Callable[[], float]) -> None:
        if speed <= 0:
            raise ValueError(f"a clock's speed is above 0, not {speed}")
        self.speed = speed
        self._wall = WallClock()
        self._start, self._real_origin = start, real_origin
        self._next_due = next_due

    def now(self) -> float:
        return self._start + max(0.0, self._wall.now() - self._real_origin) * self.speed

    def wait(self, event: threading.Event, until: float) -> None:
        _wait(event, (min(until, self._next_due()) - self.now()) / self.speed)


class JumpClock:
    """A clock without waiting: time stands still while work is done, and a wait jumps to the next due event."""

    def __init__(self, start: float, next_due: Callable[[], float]) -> None:
        self._now = start
        self._next_due = next_due

    def now(self) -> float:
        return self._now

    def wait(self, event: threading.Event, until: float) -> None:
        if event.is_set():
            return
        due = min(until, self._next_due())
        if math.isinf(due):
            event.wait()  # no event is due in this simulation: only a person's intent can change that
        else:
            self._now = max(self._now, due)


def _wait(event: threading.Event, seconds: float) -> None:
    # A lock cannot wait longer than this, which is some 290 years.
    event.wait(None if seconds > threading.TIMEOUT_MAX else max(0.0, seconds))


def steady_s() -> float:
    """Return seconds of a clock that is never set; where the system has one, it includes the time the machine slept."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
