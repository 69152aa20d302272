"""Asks whether a cluster is still there: its cloud and the cluster itself, until one of them answers."""

import re
import time
from collections.abc import Callable

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.fleet.sky.jobs import JobRow
from cockpit.fleet.sky.parts import ClusterRecord, SkyCalls, SkyError
from cockpit.fleet.sky.requests import LongRequests

LAUNCHED_ELSEWHERE_S = 900.0
"""Seconds for which a launch by somebody else may work on a cluster of the session before it counts as lost."""
LOST_AFTER_S = 180.0
"""Seconds after which a cluster that its cloud says is up, and that does not answer, counts as lost."""
REPORTED_AFTER_S = 60.0
"""Seconds of silence before it is reported; most outages are shorter."""
_EVICTED = re.compile(r"evict|preempt|disruption", re.IGNORECASE)
RETRY_S = (2.0, 5.0, 10.0, 20.0)


class ClusterLost(CockpitError):
    """The cluster is gone, or hangs; the message is one sentence.

    `hangs`: its cloud has it up, and it does not answer. `preempted`: its cloud took it back. `billed`: something of it
    may be up.
    """

    def __init__(self, message: str, hangs: bool = False, preempted: bool = False, billed: bool = False) -> None:
        super().__init__(message)
        self.hangs, self.preempted, self.billed = hangs, preempted, billed or hangs


def went_down(
    name: str, known: ClusterRecord | None, found: ClusterRecord | None, was_spot: bool, adopted: bool = False
) -> ClusterLost:
    """Return why a cluster that was up is not. `known` is its record before the cloud was asked, `found` after.

    Any call about a preempted cluster may drop its record: one that `was_spot` and has none counts as preempted. An
    `adopted` one is not launched again.
    """
    again = f", and is launched again: `cockpit hold {name}` keeps it down" if not adopted else ""
    if found is not None and _EVICTED.search(found.reason):
        return ClusterLost(f"{name} was evicted: {found.reason}", preempted=True)
    if found is not None and found.status == "STOPPED":
        return ClusterLost(f"{name} was stopped outside Cockpit{again}")
    if found is not None and found.status == "UP":
        return ClusterLost(f"{name} was taken down outside Cockpit, and somebody launched another cluster of its name")
    if found is not None:
        why = f": {found.reason}" if found.reason else ""
        return ClusterLost(f"{name} went down: SkyPilot finds it {found.status}{why}", billed=found.status == "INIT")
    if known is not None and known.spot:
        return ClusterLost(f"{name} was preempted: its cloud took the spot machine back", preempted=True)
    if known is None and was_spot:
        return ClusterLost(
            f"{name} is gone: its cloud took the spot machine back, or it was taken down", preempted=True
        )
    if known is None:
        return ClusterLost(f"{name} was taken down outside Cockpit{again}")
    return ClusterLost(f"{name} went down: its cloud finds it gone")


class ClusterProbe(msgspec.Struct, frozen=True):
    """Asks about one cluster."""

    name: str
    remote_name: Callable[[], str]
    sky: SkyCalls
    requests: LongRequests
    is_ours: Callable[[ClusterRecord], bool]
    came_up_as: Callable[[], ClusterRecord | None]
    """Its record when it last came up; None for a cluster that has not."""
    is_adopted: Callable[[], bool]
    is_over: Callable[[], bool]
    """True once no caller waits for the cluster."""
    report: Callable[[str], None]
    """Gets a sentence once the cluster was asked in vain for a while, and an empty one when it answers after that."""

    def ask(self, trust_records: bool = False) -> tuple[ClusterRecord, list[JobRow]] | None:
        """Return the cluster and its jobs, once both are known; None once it `is_over`.

        A cluster is lost if its cloud says so. Where the cloud cannot be asked, as when this machine is offline, its
        runs may still be going, and it is asked until it answers. With `trust_records` a cluster that SkyPilot has as
        up is asked for its jobs only. Raises ClusterLost.
        """
        began = time.monotonic()
        silent_since = 0.0
        said = gone = False
        tries = 0
        while not self.is_over():
            confirmed = False
            try:
                known, record, confirmed = self._record(trust_records and tries == 0)
                if record is not None and record.status == "UP" and self.is_another(record):
                    raise self._swapped(record)
                if record is None or not self.is_ours(record) or record.status != "UP":
                    if record is not None and record.being_launched and time.monotonic() - began < LAUNCHED_ELSEWHERE_S:
                        confirmed = False
                        raise SkyError("other", "somebody's `sky launch` works on it")
                    raise went_down(self.name, known, record, self._was_spot(), self.is_adopted())
                jobs = self._settled_jobs()
                if said:
                    self.report("")
                return record, jobs
            except SkyError as error:
                if error.kind == "gone" and gone:
                    raise ClusterLost(f"{self.name} is gone: {error}", preempted=self._was_spot()) from error
                gone = error.kind == "gone"  # its record, read again, says why
                now = time.monotonic()
                silent_since = (silent_since or now) if confirmed else 0.0
                if silent_since and now - silent_since > LOST_AFTER_S:
                    raise ClusterLost(f"{self.name} does not answer: {error}", hangs=True) from error
                if not said and now - began > REPORTED_AFTER_S:
                    said = True
                    self.report(f"{self.name} is unreachable; its run may still be going: {error}")
            time.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1
        return None

    def _was_spot(self) -> bool:
        return (was := self.came_up_as()) is not None and was.spot

    def is_another(self, record: ClusterRecord) -> bool:
        """Return True for a cluster of the session with other accelerators than the one that came up."""
        was = self.came_up_as()
        return was is not None and self.is_ours(record) and record.accelerators != was.accelerators

    def _swapped(self, record: ClusterRecord) -> ClusterLost:
        remedy = "it is used as it is" if self.is_adopted() else "that one is taken down, and it is launched again"
        said = f"somebody took {self.name} down and launched one with {record.hardware} of its name"
        return ClusterLost(f"{said}: {remedy}", billed=not self.is_adopted())

    def _record(self, trust: bool) -> tuple[ClusterRecord | None, ClusterRecord | None, bool]:
        """Return the cluster's record before and after its cloud was asked, and True if its cloud answered just now."""
        remote = self.remote_name()
        known = self.sky.clusters([remote]).get(remote)
        if trust and known and known.status == "UP":
            return known, known, False
        known_at = known.asked_at if known else 0.0
        with self.requests.work():
            record = self.sky.clusters([remote], refresh=True).get(remote)
        if record is not None and record.status == "INIT" and not record.reason:
            # The answer of the refresh that found it so has no reason yet; the record has.
            record = self.sky.clusters([remote]).get(remote) or record
        # Where the cloud does not answer, SkyPilot gives what it knew.
        return known, record, record is not None and record.asked_at > known_at

    def _settled_jobs(self) -> list[JobRow]:
        """Return the cluster's jobs, once no request about it is under way."""
        remote = self.remote_name()
        while self.sky.pending(remote) and not self.is_over():
            time.sleep(0.5)
        return self.sky.jobs(remote)
