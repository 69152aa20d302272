"""The session's clocks: wall time, scaled time, or a clock that jumps to the next event.

Only the worker waits on a clock, so one thread owns it; any thread may read it.
"""

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    def now(self) -> float:
        """Return seconds since the epoch; never less than an earlier value."""

    def wait(self, event: threading.Event, until: float) -> None:
        """Return when `event` is set or soon after the clock reads `until`, which may be infinite."""


class WallClock:
    """The wall time at its creation, advanced by the machine's steady clock.

    Setting the wall clock during a session changes nothing, and the time of a suspended machine counts. A clock that
    continues a session takes the earlier clock's `boot` and `origin`: until the machine is started again it reads on
    from there, however the wall clock was set since. It never reads less than `not_before`, the session's last time.
    """

    def __init__(self, not_before: float = 0.0, boot: str = "", origin: float = 0.0) -> None:
        continues = boot != "" and boot == boot_id()
        steady = steady_s()
        self.origin = max(origin if continues else time.time() - steady, not_before - steady)
        """The time on this clock when the steady clock read 0."""

    def now(self) -> float:
        return self.origin + steady_s()

    def wait(self, event: threading.Event, until: float) -> None:
        _wait(event, until - self.now())


class ScaledClock:
    """Virtual seconds that run `speed` times as fast; it read `start` when the clock `wall` read `real_origin`.

    Created again with the same numbers it continues as if it had never stopped. A wait ends when the next event is due,
    since a moment of wall time may be minutes of virtual time.
    """

    def __init__(
        self, start: float, speed: float, real_origin: float, next_due: Callable[[], float], wall: WallClock
    ) -> None:
        if speed <= 0:
            raise ValueError(f"a clock's speed is above 0, not {speed}")
        self.speed = speed
        self._wall = wall
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


def session_time(boot: str, origin: float, wall: float) -> float:
    """Return what a session's clock reads, for any process on its machine; elsewhere `wall`, the wall time."""
    return origin + steady_s() if boot and boot == boot_id() else wall


def boot_id() -> str:
    """Return the identifier of this boot of the system; empty if it has none."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def steady_s() -> float:
    """Return the seconds of a monotonic clock, which includes the time the machine slept if the system has such a
    clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
