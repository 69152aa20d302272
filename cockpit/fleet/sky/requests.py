"""Limit concurrent long requests: SkyPilot's API server works on a few at a time and queues the others."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOCAL_REQUESTS = 4
"""Long requests that an API server on this machine works on at a time (measured on SkyPilot 0.14.1)."""
REMOTE_REQUESTS = 16
"""Long requests sent at a time to a shared API server, which takes more and has other users."""


class LongRequests:
    """Counts long requests. Launches leave one place free, so that clusters that are up never wait for the last one."""

    def __init__(self, places: int = LOCAL_REQUESTS) -> None:
        self._places = places
        self._changed = threading.Condition()
        self._launching = 0
        self._working = 0
        self._waiting = 0

    @property
    def launches_wait(self) -> bool:
        """True while a launch has no place."""
        return self._waiting > 0

    @contextmanager
    def launch(self, given_up: Callable[[], bool]) -> Iterator[bool]:
        """Wait for a place for a launch. Gives False if `given_up` became true meanwhile."""
        with self._changed:
            self._waiting += 1
            while not given_up() and not self._launching < self._places - 1:
                self._changed.wait(1.0)
            self._waiting -= 1
            got = not given_up()
            self._launching += got
        try:
            yield got
        finally:
            with self._changed:
                self._launching -= got
                self._changed.notify_all()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Wait for a place for another long request: exec, a refreshed status, a tear-down."""
        with self._changed:
            while self._working + self._launching >= self._places:
                self._changed.wait()
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()
