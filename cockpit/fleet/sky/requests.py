"""How many long requests SkyPilot's API server works on at a time. A local one takes 4; the rest wait in its queue."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_A_TIME = 4


class LongRequests:
    """Launches leave one place free for work on the clusters that are up, or those would wait for the last launch."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._launching = 0
        self._working = 0
        self._waiting = 0

    @property
    def launches_wait(self) -> bool:
        """Whether there is a launch that has no place yet."""
        return self._waiting > 0

    @contextmanager
    def launch(self, given_up: Callable[[], bool]) -> Iterator[bool]:
        """A place for a launch, with whether there is one: False once `given_up` says so while it waits."""
        with self._changed:
            self._waiting += 1
            while not given_up() and not self._launching < AT_A_TIME - 1:
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
        """A place for anything else that is long: exec, a refreshed status, a tear-down."""
        with self._changed:
            while self._working + self._launching >= AT_A_TIME:
                self._changed.wait()
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()
