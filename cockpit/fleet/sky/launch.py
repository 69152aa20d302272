"""Bringing one cluster up: whose it is, its launch, its wait for a place in the cloud, its set-up."""

import contextlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cockpit.fleet.sky.client import Found, SkyClient, SkyError
from cockpit.fleet.sky.log import JobLines
from cockpit.fleet.sky.requests import LongRequests

SETUP_LIMIT_S = 3600.0
QUEUE_TOLD_S = 45.0
"""Slurm looks for a place twice a minute: what waits less is not worth a word."""
QUEUE_PATIENCE_S = 120.0
"""A launch that only waits in its cloud's queue gives way to other clusters' launches after so long, which is how long
SkyPilot waits itself where there is another place to try."""

_QUEUED = re.compile(r"\(pending: ([^;)]+)")


def queued(found: Found) -> str:
    """Why a launch waits in its cloud's queue, in the cloud's own word; empty if it does not."""
    waits = _QUEUED.search(found.reason)
    return waits[1].strip() if waits and found.status == "INIT" else ""


class SkyLaunch:
    """`up` blocks, on the cluster's thread; the other methods may be called from any thread meanwhile."""

    def __init__(
        self,
        name: str,
        hardware: str,
        sky: SkyClient,
        long_requests: LongRequests,
        session: str,
        setup_source: Path,
        setup_log: Path,
        limit_s: float,
        given_up: Callable[[], bool],
    ) -> None:
        """`hardware` is the class wanted, empty for any of the task's. `given_up` says that nobody waits for the
        cluster any more; a launch that takes longer than `limit_s` is given up as well."""
        self._name, self._wanted, self._sky, self._long = name, hardware, sky, long_requests
        self._session, self._limit_s, self._given_up = session, limit_s, given_up
        self._setup_source, self._setup_log = setup_source, setup_log
        self._avoid: set[str] = set()
        self._request = ""
        self._queued_since = 0.0
        self._queued_why = ""
        self._queued_told = False
        self.adopted = False
        """Whether the cluster is taken as it is though nobody launched it for this session."""
        self.stale = False
        """What may be left of the cluster goes before it is launched again."""

    @property
    def under_way(self) -> bool:
        return bool(self._request)

    def is_ours(self, found: Found) -> bool:
        return found.session == self._session or (self.adopted and not found.session)

    def up(self) -> Found | None:
        """Have the cluster up and set up; as it was found then, or None if that was given up.

        Raises SkyError; `refused` where the cloud has no room for it now.
        """
        found = self._sky.clusters([self._name]).get(self._name)
        self._check_owner(found)
        if self.adopted:
            self._take_over(found)
        else:
            if found and self.stale:
                self._sky.down(self._name)
                found = None
            with self._long.launch(self._given_up) as allowed:
                if not allowed:
                    return None
                job_id = self._launch(found)
            if job_id is not None:
                self._await_setup(job_id)
        if self._given_up():
            return None
        self.stale = False
        found = self._sky.clusters([self._name]).get(self._name)
        if found is None or found.status != "UP":
            raise SkyError("gone", f"{self._name} came up and went down again")
        return found

    def look(self, found: Found) -> str | None:
        """Take in how the launch stands. A sentence once it has waited in its cloud's queue for a while, an empty one
        once it waits no more, None where there is nothing new."""
        why = queued(found) if self._request else ""
        if not why:
            told, self._queued_told, self._queued_since = self._queued_told, False, 0.0
            return "" if told else None
        now = time.monotonic()
        self._queued_since = self._queued_since or now
        self._queued_why = why
        waited_s = now - self._queued_since
        if self._long.launches_wait and waited_s > QUEUE_PATIENCE_S:
            self.withdraw()
        if self._queued_told or waited_s < QUEUE_TOLD_S:
            return None
        self._queued_told = True
        return f"{self._name} waits in the cloud's queue for its {found.hardware or 'nodes'} ({why})"

    def withdraw(self) -> None:
        """End the launch that is under way. Returns at once."""
        if request := self._request:
            threading.Thread(target=self._cancel, args=(request,), daemon=True).start()

    def _cancel(self, request: str) -> None:
        with contextlib.suppress(SkyError):  # it is over, or the server is: what comes next finds out
            self._sky.withdraw(request)

    def _check_owner(self, found: Found | None) -> None:
        if found is None or self.is_ours(found):
            return
        if found.session:
            remedy = f"`cockpit down {found.session}` ends that session first"
            raise SkyError("invalid", f"{self._name} is a cluster of session {found.session}: {remedy}")
        remedy = f"`cockpit adopt {self._name}` takes it over"
        raise SkyError("invalid", f"{self._name} is a cluster that somebody launched by hand: {remedy}")

    def _take_over(self, found: Found | None) -> None:
        """Of an adopted cluster nothing is launched and nothing set up: it is there, or it is not."""
        if found is None:
            raise SkyError(
                "invalid", f"there is no cluster {self._name} to take over: `sky status` lists those there are"
            )

    def _launch(self, found: Found | None) -> int | None:
        self._queued_since, self._queued_why, self._queued_told = 0.0, "", False
        began = time.monotonic()
        try:
            return self._sky.launch(
                self._name, self._setup_source, found, self._wanted, self._avoid, self._limit_s, self._asked_for
            )
        except SkyError as error:
            if error.kind in ("refused", "server") or (error.kind == "absent" and self._was_had()):
                kind = "server" if error.kind == "server" else "refused"
                raise SkyError(kind, f"{self._name} cannot be had now: {error}") from error
            if error.kind == "absent":
                raise SkyError("invalid", f"{self._name} cannot be had: {error}") from error
            if self._given_up() or error.kind not in ("late", "cancelled"):
                raise
            raise self._in_vain(error, time.monotonic() - began) from error
        finally:
            self._request = ""

    def _was_had(self) -> bool:
        """Whether SkyPilot has a cluster of the class: then there is such a GPU, where nobody can be reached now."""
        return any(self._wanted in ("", found.hardware) for found in self._sky.clusters([]).values())

    def _asked_for(self, request: str) -> None:
        self._request = request
        if self._given_up():
            self.withdraw()

    def _in_vain(self, error: SkyError, waited_s: float) -> SkyError:
        """A launch waited in vain: another class may be free. What still waits in the cloud's queue would come up, and
        bill, with nobody waiting for it."""
        found = self._sky.clusters([self._name]).get(self._name)
        if found is None:
            return error
        self._avoid = {found.hardware} - self._avoid
        self.stale = True
        self._sky.down(self._name)
        minutes = f"{max(1.0, waited_s / 60):.0f} min"
        if self._queued_since:
            said = f"it waited {minutes} in the cloud's queue for its {found.hardware} ({self._queued_why})"
            return SkyError("refused", f"there is no room for {self._name}: {said}")
        return SkyError(
            error.kind, f"no {found.hardware} came up for {self._name} within {minutes}: {found.reason or error}"
        )

    def _await_setup(self, job_id: int) -> None:
        lines = JobLines("setup", 0)
        last = b""
        deadline = time.monotonic() + SETUP_LIMIT_S
        with self._setup_log.open("wb") as log:
            for piece in self._sky.tail(self._name, job_id):
                new = lines.feed(piece)
                log.write(new)
                last = new.strip() or last
                if time.monotonic() > deadline:
                    raise SkyError(
                        "setup", f"the set-up of {self._name} did not end within {SETUP_LIMIT_S / 60:g} minutes"
                    )
                if self._given_up():
                    return
        if lines.status != "SUCCEEDED":
            said = last.decode("utf-8", "replace")[:200] or lines.remark
            raise SkyError("setup", f"the set-up of {self._name} failed: {said}; all of it is in {self._setup_log}")
