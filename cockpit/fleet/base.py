"""What runs jobs, as the worker sees it. Nothing outside `cockpit.fleet` knows more than this.

Every call returns at once; what comes of it is a report from `poll`, in the order it happened. A job's name is its
attempt's id, and is how it is found again: a fleet never starts a second job of a name it knows.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from cockpit.core.errors import CockpitError


class Job(msgspec.Struct, frozen=True):
    """One attempt, ready to run."""

    name: str
    """The attempt's id, `e0042.1`."""
    cluster: str
    source: Path
    """A folder with exactly the files to run; the fleet copies it or runs in it, and never runs another's."""
    log_path: Path
    """Where the run's output goes on this machine, as it comes; only the fleet appends to it."""
    environment: dict[str, str]
    """What the run gets beyond the fleet's minimal own: EXPERIMENT_ID, EXPERIMENT_DESC, SEED, the hashes."""
    command: tuple[str, ...]
    """How the script is started inside `source`; a fleet with a task file of its own ignores it."""
    time_limit_s: float


class Evidence(msgspec.Struct, frozen=True):
    """Facts about a run that its fleet measured from outside, out of the run's reach."""

    before: dict[str, str]
    """File name to sha256, when the run started."""
    after: dict[str, str]
    changed: list[str]
    """Files that were written while it ran, those restored afterwards included."""
    cut_bytes: int = 0
    """Output left out of its log, past the log's cap."""
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0
    """The largest of its processes."""


class ClusterReady(msgspec.Struct, frozen=True, tag=True):
    at: float
    cluster: str
    hardware: str
    usd_per_hour: float


class ClusterTrouble(msgspec.Struct, frozen=True, tag=True):
    """A launch failed (`lost` False), or a cluster that was up does not answer (`lost` True)."""

    at: float
    cluster: str
    message: str
    lost: bool = False
    final: bool = False
    """Another try cannot help: the name is someone else's, the GPU does not exist."""
    refused: bool = False
    """There is no room for it now, or no quota: nothing is wrong with it, and later there may be."""


class ClusterWaits(msgspec.Struct, frozen=True, tag=True):
    """It waits until its cloud has room for it, or until somebody can reach it; without a message it waits no more."""

    at: float
    cluster: str
    message: str


class ClusterEnded(msgspec.Struct, frozen=True, tag=True):
    """It is down, and that was verified: nothing of it is left billing."""

    at: float
    cluster: str
    message: str = ""


class JobSubmitted(msgspec.Struct, frozen=True, tag=True):
    """The cluster has it; it starts when the one before it ends."""

    at: float
    job: str


class JobRefused(msgspec.Struct, frozen=True, tag=True):
    """It did not reach the cluster, and will not: it can be submitted again, here or elsewhere."""

    at: float
    job: str
    message: str


class JobStarted(msgspec.Struct, frozen=True, tag=True):
    at: float
    job: str
    wall: str = ""
    """How it is confined: `bubblewrap`, `landlock` or `unconfined`; empty where the fleet does not tell."""


class JobEnded(msgspec.Struct, frozen=True, tag=True):
    """It has ended, and its log is complete. `reason` is exited, timeout, cancelled, limit, lost or setup."""

    at: float
    job: str
    reason: str
    exit_code: int | None = None
    message: str = ""
    evidence: Evidence | None = None
    """None where the fleet has only what the run's log says."""


Report = ClusterReady | ClusterTrouble | ClusterWaits | ClusterEnded | JobSubmitted | JobRefused | JobStarted | JobEnded


class Expected(msgspec.Struct, frozen=True):
    """What the ledger says is on the fleet, told to a fleet when its worker comes back."""

    clusters: tuple[str, ...]
    """Clusters that are up, being launched, lost or being stopped."""
    jobs: tuple[Job, ...]
    """Attempts that are submitting, submitted or running, in the order they were submitted."""
    adopted: tuple[str, ...] = ()
    """Every cluster that was adopted."""


class Fleet(Protocol):
    simulated: bool

    def recover(self, expected: Expected) -> None:
        """Find again what is expected, by name. Follows with a report for every one of it: JobSubmitted, JobStarted
        and JobEnded as they apply; JobRefused for a job that never arrived; JobEnded 'lost' for one that is gone;
        ClusterReady or ClusterTrouble for a cluster. Called once, before anything else."""

    def launch(self, cluster: str, adopted: bool = False) -> None:
        """Bring a cluster of the session's spec up, or find it up. One that is `adopted` need not be in the spec: it is
        taken as it is, though it was launched by hand, and never launched."""

    def submit(self, job: Job) -> None:
        """Start `job` on its cluster, or queue it there behind those submitted before."""

    def cancel(self, job: str) -> None:
        """End it now. Follows with JobEnded 'cancelled' (or how it ended, if it was sooner)."""

    def down(self, cluster: str) -> None:
        """Tear a cluster down with all that runs on it. Follows with ClusterEnded once that is verified."""

    def poll(self) -> list[Report]:
        """What has happened since the last call."""

    def close(self) -> None:
        """Let go without ending anything that runs."""


class FleetError(CockpitError):
    """The fleet cannot be used at all; the message is one sentence that says what to do."""
