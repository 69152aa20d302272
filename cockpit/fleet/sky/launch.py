"""Brings one cluster up: checks its owner, launches it, waits for its place in the cloud and for its set-up."""

import contextlib
import re
import threading
import time
from collections.abc import Callable

from cockpit.core.session import ClusterSpec
from cockpit.fleet.sky.launch_log import LaunchLog
from cockpit.fleet.sky.parts import ClusterRecord, LaunchOrder, SkyError, SkyParts
from cockpit.fleet.sky.setup import SetupWatch

QUEUE_REPORTED_S = 45.0
"""Seconds a launch is queued before that is reported: Slurm looks for a place twice a minute."""
QUEUE_PATIENCE_S = 120.0
"""Seconds after which a queued launch gives way to other clusters' launches; SkyPilot itself waits as long where there
is another place to try."""

_QUEUED = re.compile(r"\((?:pending: ([^;)]+)|(waiting for queue admission|admitted by queue, waiting for scheduling))")
"""Slurm's words, and Kueue's on Kubernetes. A Kubernetes without a queue refuses a launch after seconds."""


def queue_reason(record: ClusterRecord) -> str:
    """Return the cloud's own word for why a launch waits in its queue; empty if it does not."""
    waits = _QUEUED.search(record.reason)
    return (waits[1] or waits[2]).strip() if waits and record.status == "INIT" else ""


class SkyLaunch:
    """`bring_up` blocks, on the cluster's thread; the other methods may be called from any thread meanwhile."""

    def __init__(
        self, spec: ClusterSpec, parts: SkyParts, given_up: Callable[[], bool], on_step: Callable[[str], None]
    ) -> None:
        """Prepare a launch. `given_up` is true once no caller waits for it; `on_step` gets the steps of the launch."""
        self._spec, self._parts, self._given_up = spec, parts, given_up
        self._name, self._sky = spec.name, parts.sky
        self._log = LaunchLog(parts.logs / f"{spec.name}.setup.log", on_step)
        self._avoid: frozenset[str] = frozenset()
        self._starts_over = False
        """True if the launch is withdrawn to be asked for again, of another class if there is one."""
        self._request = ""
        self._withdrawn = False
        """True if this session ended the launch under way itself."""
        self._is_asking = False
        self._queued_since = 0.0
        self._queued_why = ""
        self._wait_is_reported = False
        self.adopted = False
        """True for a cluster that a person launched and this session uses as it is."""
        self.stale = False
        """True if the rest of a lost cluster must go before it is launched again."""

    @property
    def is_asking(self) -> bool:
        """True while SkyPilot is asked for the cluster; it may not have taken the request yet."""
        return self._is_asking

    @property
    def under_way(self) -> bool:
        return bool(self._request)

    def remote_name(self) -> str:
        """Return the cluster's name in SkyPilot: an adopted one keeps its own."""
        return self._name if self.adopted else self._parts.session.remote_name(self._name)

    def is_ours(self, record: ClusterRecord) -> bool:
        ours = (record.session, record.session_id) == (self._parts.session.name, self._parts.session.id)
        return ours or (self.adopted and not record.session)

    def record(self, refresh: bool = False) -> ClusterRecord | None:
        """SkyPilot's record of the cluster; with `refresh`, as the cloud has it now. Raises SkyError."""
        name = self.remote_name()
        return self._sky.clusters([name], refresh).get(name)

    def bring_up(self) -> ClusterRecord | None:
        """Have the cluster up and set up. Returns its record then, or None if that was given up.

        Raises SkyError; `refused` where the cloud has no room for it now.
        """
        record = self.record()
        self._check_owner(record)
        if self.adopted:
            self._check_adopted(record)
        else:
            if record and self.stale:
                self._sky.down(self.remote_name())
                record = None
            self._log.begin()
            try:
                self._bring_up_new(record)
            finally:
                self._log.close()
        if self._given_up():
            return None
        self.stale = False
        record = self.record()
        if record is None or record.status != "UP":
            raise SkyError("gone", f"{self._name} came up and went down again")
        self._parts.full.clear(record.hardware)
        return record

    def _bring_up_new(self, record: ClusterRecord | None) -> None:
        self._starts_over = False
        self._log.step("waits for a place among the launches under way")
        with self._parts.requests.launch(self._given_up) as allowed:
            if not allowed:
                return
            self._is_asking = True
            try:
                job_id = self._launch(record)
                while self._starts_over and not self._given_up():
                    self._starts_over = False
                    job_id = self._launch(None)
            finally:
                self._is_asking = False
        if job_id is not None and not self._given_up():
            self._log.step("set-up begins")
            try:
                SetupWatch(self._sky, self.remote_name(), job_id, self._log).wait(self._name, self._given_up)
            except SkyError as error:
                self.stale = error.kind != "setup"  # a set-up that hangs may hold the cluster's queue
                raise

    def start_over(self) -> None:
        """Withdraw the launch that is under way and ask again, of another class if there is one."""
        self._starts_over = True
        self.withdraw()

    def news(self, record: ClusterRecord) -> str | None:
        """Take in how the launch stands. Returns a sentence once it has waited in its cloud's queue for a while, an
        empty one once it no longer waits, None if there is nothing new."""
        why = queue_reason(record) if self._request else ""
        if self._request and not why and record.reason:
            self._log.step(record.reason)
        if not why:
            was_reported, self._wait_is_reported, self._queued_since = self._wait_is_reported, False, 0.0
            return "" if was_reported else None
        now = time.monotonic()
        self._queued_since = self._queued_since or now
        self._queued_why = why
        waited_s = now - self._queued_since
        if waited_s > QUEUE_REPORTED_S and not self._starts_over and self._may_be_another_class(record):
            self._log.step(f"no {record.hardware} is free ({why}): another class is asked for")
            self._parts.full.mark(record.hardware)
            self.start_over()
            return None
        if self._parts.requests.launches_wait and waited_s > QUEUE_PATIENCE_S:
            self.withdraw()
        if self._wait_is_reported or waited_s < QUEUE_REPORTED_S:
            return None
        self._wait_is_reported = True
        return f"{self._name} waits in the cloud's queue for its {record.hardware or 'nodes'} ({why})"

    def _may_be_another_class(self, record: ClusterRecord) -> bool:
        """Return True if the launch may have any class of the task, and one of them is not known to be full."""
        if self._spec.hardware or not record.hardware:
            return False
        with contextlib.suppress(SkyError):  # the task file cannot be read now
            return bool(self._sky.classes() - self._parts.full.now() - {record.hardware})
        return False

    def withdraw(self) -> None:
        """End the launch that is under way. Returns at once."""
        self._withdrawn = True
        if request := self._request:
            threading.Thread(target=self._cancel, args=(request,), daemon=True).start()

    def _cancel(self, request: str) -> None:
        with contextlib.suppress(SkyError):  # it is over, or the server is away: the next call finds out
            self._sky.withdraw(request)

    def _check_owner(self, record: ClusterRecord | None) -> None:
        if record is None or self.is_ours(record):
            return
        if record.session:
            remedy = f"`cockpit down {record.session}` ends that session first"
            raise SkyError("invalid", f"{self._name} is a cluster of session {record.session}: {remedy}")
        remedy = f"`cockpit adopt {self._name}` takes it over"
        raise SkyError("invalid", f"{self._name} is a cluster that somebody launched by hand: {remedy}")

    def _check_adopted(self, record: ClusterRecord | None) -> None:
        """Nothing is launched or set up for an adopted cluster: it is there, or it is not."""
        if record is None:
            raise SkyError(
                "invalid", f"there is no cluster {self._name} to take over: `sky status` lists those there are"
            )
        if record.status == "STOPPED":
            raise SkyError("refused", f"{self._name} is stopped: `sky start {self._name}` lets it be used")
        if record.status != "UP":
            why = f" ({record.reason})" if record.reason else ""
            raise SkyError("refused", f"{self._name} is {record.status}{why}: it is used once it is UP")

    def _launch(self, record: ClusterRecord | None) -> int | None:
        self._queued_since, self._queued_why, self._wait_is_reported, self._withdrawn = 0.0, "", False, False
        began = time.monotonic()
        self._log.step(f"asks SkyPilot for a cluster{self._history()}")
        order = LaunchOrder(
            self.remote_name(), self._parts.setup_source, record, self._spec.hardware,
            self._avoid | self._parts.full.now(), self._parts.launch_limit_s,
        )  # fmt: skip
        try:
            job_id = self._sky.launch(order, self._requested)
            self._starts_over = False  # it came up meanwhile
            return job_id
        except SkyError as error:
            if error.kind in ("refused", "server") or (error.kind == "absent" and self._class_exists()):
                kind = "server" if error.kind == "server" else "refused"
                # The rest of it is bound to its class, and another class may be free next time.
                self.stale = self.stale or (kind == "refused" and self._is_left())
                raise SkyError(kind, f"{self._name} cannot be had now: {error}") from error
            if error.kind == "absent":
                raise SkyError("invalid", f"{self._name} cannot be had: {error}") from error
            if self._given_up() or error.kind not in ("late", "cancelled"):
                raise
            if error.kind == "cancelled" and not self._starts_over and not self._withdrawn:
                self.stale = True
                said = f"somebody ended the launch of {self._name} outside Cockpit, and it is launched again"
                raise SkyError("refused", f"{said}: `cockpit hold {self._name}` keeps it down") from error
            if self._starts_over:
                self._sky.down(self.remote_name())  # what is left in the cloud's queue would come up later, and bill
                return None
            raise self._waited_in_vain(error, time.monotonic() - began) from error
        finally:
            self._request = ""

    def _history(self) -> str:
        """Return how long SkyPilot's earlier launches took; empty if it does not report that."""
        with contextlib.suppress(SkyError):
            if times := self._sky.launch_times():
                shortest, longest = (f"{max(1.0, s / 60):.0f}" for s in (min(times), max(times)))
                span = f"{shortest} to {longest}" if shortest != longest else shortest
                launches = f"its last {len(times)} launches" if len(times) > 1 else "its last"
                return f": {launches} took {span} min"
        return ""

    def _is_left(self) -> bool:
        """Return True if a launch that was refused left something."""
        with contextlib.suppress(SkyError):
            return (record := self.record()) is not None and record.status != "UP"
        return False

    def _class_exists(self) -> bool:
        """Return True if SkyPilot has a cluster of the class: then there is such a GPU, where nothing can be reached
        now."""
        return any(self._spec.hardware in ("", record.hardware) for record in self._sky.clusters([]).values())

    def _requested(self, request: str) -> None:
        self._request = request
        if self._given_up() or self._starts_over:
            self.withdraw()

    def _waited_in_vain(self, error: SkyError, waited_s: float) -> SkyError:
        """End a launch that waited too long: another class may be free. A launch left in the cloud's queue would
        come up later, unused, and bill."""
        record = self.record()
        if record is None:
            return error
        self._avoid = frozenset({record.hardware}) - self._avoid
        self.stale = True
        self._sky.down(self.remote_name())
        minutes = f"{max(1.0, waited_s / 60):.0f} min"
        if self._queued_since:
            said = f"it waited {minutes} in the cloud's queue for its {record.hardware} ({self._queued_why})"
            return SkyError("refused", f"there is no room for {self._name}: {said}")
        return SkyError(
            error.kind, f"no {record.hardware} came up for {self._name} within {minutes}: {record.reason or error}"
        )
