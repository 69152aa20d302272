"""The session's clock: the wall's, the wall's at another speed, or one that jumps to whatever happens next.

Only the worker waits on it, so one thread owns a clock; any thread may read it.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, never less than what it said before."""

    def wait(self, event: threading.Event, until: float) -> None:
        """Return when `event` is set or the clock reads `until` (which may be infinite), and not long after."""


class WallClock:
    """The wall's time when it was made, and from there on the machine's own: a wall clock that is set while the
    session runs moves nothing, and a machine that slept knows it."""

    def __init__(self) -> None:
        self._origin = time.time() - _steady_s()

    def now(self) -> float:
        return self._origin + _steady_s()

    def wait(self, event: threading.Event, until: float) -> None:
        _wait(event, until - self.now())


class ScaledClock:
    """Virtual seconds that run `speed` times as fast: it read `start` when the wall's clock read `real_origin`.

    Made again with the same three numbers it goes on as if it had never stopped. Waiting ends when something is due,
    since what is a moment here may be minutes there.
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
    """As fast as it goes: time stands still while anything is done, and waiting jumps to what is due next."""

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
            event.wait()  # nothing in this world will ever happen by itself: only a person can help
        else:
            self._now = max(self._now, due)


def _wait(event: threading.Event, seconds: float) -> None:
    # A lock cannot wait longer than this, which is some 290 years.
    event.wait(None if seconds > threading.TIMEOUT_MAX else max(0.0, seconds))


def _steady_s() -> float:
    """Seconds on a clock nobody sets, that where it can counts the time the machine slept."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
