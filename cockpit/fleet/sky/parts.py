"""The parts that all clusters of a fleet on SkyPilot share."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.fleet.base import Job
from cockpit.fleet.sky.capacity import FullClasses
from cockpit.fleet.sky.jobs import JobRow
from cockpit.fleet.sky.requests import LongRequests
from cockpit.session.clock import Clock


class SkyError(CockpitError):
    """A call failed; the message is one sentence. `kind` says what can be done about it:

    gone (the cluster is not there or not up), refused (no capacity or quota now), invalid (another try cannot help),
    absent (the GPU does not exist, or its cloud is unreachable: SkyPilot says the same for both), task (the task file
    cannot be used now), server (the API server does not answer), late (it took too long and was cancelled), cancelled,
    other.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class SessionIdentity(msgspec.Struct, frozen=True):
    """A session as SkyPilot sees it: its name, and an id that no other session has."""

    name: str
    id: str = ""
    """Empty for a session that was made before sessions had one; its clusters and jobs have plain names."""

    def remote_name(self, name: str) -> str:
        """Return the name of a cluster or job in SkyPilot, which may be shared with other sessions and people."""
        return f"{name}-{self.id}" if self.id else name

    def owns(self, name: str) -> bool:
        """Return True for a name in SkyPilot that carries the session's id; False for a session that has none."""
        return bool(self.id) and name.endswith(f"-{self.id}")


class ClusterRecord(msgspec.Struct, frozen=True):
    """A cluster as SkyPilot's records have it."""

    name: str
    status: str
    """UP, INIT, STOPPED ..."""
    session: str
    """The session it was launched for; empty if Cockpit did not launch it."""
    hardware: str
    usd_per_hour: float
    accelerators: dict[str, float]
    reason: str
    """The reason it is not up, where SkyPilot says."""
    asked_at: float = 0.0
    """The time its cloud last answered, by the API server's clock."""
    session_id: str = ""
    gpus: int = 1
    """GPUs of all its nodes; 1 where it has none."""
    spot: bool = False
    autostop: int = -1
    """Idle minutes after which SkyPilot ends it; negative for never."""
    autostop_down: bool = False
    """True if it is then taken down, not stopped."""
    being_launched: bool = False
    """True while a launch works on it, this session's or another."""
    relaunched: bool = False
    """True if somebody launched another task on this cluster of the session, which took its mark away."""


class LaunchOrder(msgspec.Struct, frozen=True):
    """A cluster to bring up."""

    cluster: str
    workdir: Path
    record: ClusterRecord | None = None
    """The cluster, if it exists."""
    hardware: str = ""
    """The class of a new one; empty for any of the task's but those in `avoid`."""
    avoid: frozenset[str] = frozenset()
    limit_s: float = 1200.0


class TaskNews(msgspec.Struct, frozen=True):
    """The task file as it is now."""

    text: str
    problem: str = ""
    fields: tuple[str, ...] = ()
    """The top-level fields in which it differs from the text in use."""


class SkyCalls(Protocol):
    """The calls a fleet makes to SkyPilot. Each blocks, may be called from any thread, and raises SkyError."""

    idle_minutes: int

    def classes(self) -> frozenset[str]:
        """Return the hardware classes that the task names."""

    def look_at_task(self) -> TaskNews | None:
        """Return the task file at the first look and when it has changed since the last one."""

    def use_task(self, text: str) -> None:
        """Use this text of the task for all calls from now on."""

    def launch(self, order: LaunchOrder, on_request: Callable[[str], None]) -> int | None:
        """Bring a cluster up and start its set-up. Returns the set-up's job id; `on_request` gets the request's id."""

    def submit(
        self,
        job: Job,
        cluster: str,
        workdir: Path,
        accelerators: dict[str, float],
        over: tuple[str, ...] = (),
        longer: int = 1,
    ) -> int:
        """Queue a job on the cluster, which removes the folders of those that are `over`. It may take `longer` times as
        long as usual. Returns its id there."""

    def clusters(self, names: list[str], refresh: bool = False) -> dict[str, ClusterRecord]:
        """Return the clusters that SkyPilot knows, of these or of all; with `refresh`, as the cloud has them now."""

    def jobs(self, cluster: str) -> list[JobRow]:
        """Return the cluster's job table."""

    def cancel(self, cluster: str, job_id: int) -> None:
        """End a job of the cluster, or take it from its queue."""

    def down(self, cluster: str) -> None:
        """Tear the cluster down; a cluster that is not there is down."""

    def pending(self, cluster: str) -> bool:
        """Return True while the API server works on something that was asked of this cluster."""

    def launch_times(self) -> list[float]:
        """Return the seconds that the API server's latest successful launches took, the newest first."""

    def withdraw(self, request_id: str) -> None:
        """Cancel a request that is under way."""

    def tail(self, cluster: str, job_id: int) -> Generator[str, None, None]:
        """Yield the job's log from its beginning, in pieces as they come, until it ends."""


class SkyParts(msgspec.Struct, frozen=True, kw_only=True):
    sky: SkyCalls
    requests: LongRequests
    session: SessionIdentity
    setup_source: Path
    """The folder a cluster's set-up runs in."""
    logs: Path
    """The folder that gets the output of set-ups."""
    clock: Clock
    full: FullClasses = msgspec.field(default_factory=FullClasses)
    launch_limit_s: float = 1200.0
