"""Take down the remains of a lost cluster, which are billed until SkyPilot reports them down."""

from collections.abc import Callable

from cockpit.fleet.sky.launch import SkyLaunch, queue_reason
from cockpit.fleet.sky.parts import ClusterRecord, SkyError
from cockpit.fleet.sky.requests import LongRequests


def is_billed(record: ClusterRecord | None, is_ours: Callable[[ClusterRecord], bool]) -> bool:
    """Return True if this session pays for what a record says. A launch in its cloud's queue costs nothing."""
    return record is not None and is_ours(record) and record.status in ("UP", "INIT") and not queue_reason(record)


class ClusterRemains:
    """Asks about the rest of one cluster. Its methods block, and run on the cluster's thread."""

    def __init__(self, launch: SkyLaunch, requests: LongRequests) -> None:
        self._launch, self._requests = launch, requests
        self.billed = False
        """True while the cluster is lost, and SkyPilot is not known to have it down."""

    def is_there(self) -> bool:
        """Return True if SkyPilot's records have something of the cluster up; its last answer if it gives none now."""
        try:
            return is_billed(self._launch.record(), self._launch.is_ours)
        except SkyError:
            return self.billed

    def has_gone(self) -> bool:
        """Ask the cloud. Returns True, once, if it has nothing of a lost cluster any more."""
        if not self.billed:
            return False
        try:
            with self._requests.work():
                self.billed = is_billed(self._launch.record(refresh=True), self._launch.is_ours)
        except SkyError:
            return False  # it is asked again
        return not self.billed
