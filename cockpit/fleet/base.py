"""The Fleet protocol, all that other rooms know of a fleet: the worker's requests, and the reports that follow.

Every call returns at once; its results are reports from `poll`, in the order they happened. A job is named by its
attempt's id, and a fleet never starts a second job of a name that it knows.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.rescore import Rescore, Scoring


class Job(msgspec.Struct, frozen=True):
    """One attempt, ready to run."""

    name: str
    """The attempt's id, `e0042.1`."""
    cluster: str
    source: Path
    """A folder with exactly the files to run; the fleet copies it or runs in it."""
    log_path: Path
    """The file on this machine to which the fleet appends the run's output. Nothing else writes to it."""
    environment: dict[str, str]
    """Variables added to the fleet's own: EXPERIMENT_ID, EXPERIMENT_DESC, SEED, the hashes."""
    command: tuple[str, ...]
    """The command that starts the script inside `source`; a fleet with a task file of its own ignores it."""
    time_limit_s: float
    """The fleet ends a longer run, with all its processes."""
    script: str = "train.py"
    """The script of the session, by its path in `folder`."""
    hashed: tuple[str, ...] = ()
    """Other files whose hashes are taken before and after the run, by their path in `folder`."""
    protected: tuple[str, ...] = ()
    """The files in `hashed` that the run may not write."""
    data: dict[str, str] = {}
    """The paths of the data that it reads, by name, on the machine that it runs on."""
    subfolder: str = ""
    """The path in `source` of the folder that the command starts in; empty for its top."""
    rescore: Scoring = Scoring.NONE
    """How much of the score is computed outside the run after its end, if the fleet can."""
    score_command: tuple[str, ...] = ()
    """The command that scores the run's outputs, if the fleet can run it; empty for none."""
    since: float = 0.0
    """The time of its start, or else of its submission, by the ledger."""

    @property
    def folder(self) -> Path:
        """The folder with train.py, which the command starts in."""
        return self.source / self.subfolder

    @property
    def editable(self) -> tuple[str, ...]:
        """The editable files by path, the script first."""
        return (self.script, *(path for path in self.hashed if path not in self.protected))


class Scored(msgspec.Struct, frozen=True):
    """The end of the score command of a run."""

    reason: str
    """As in JobEnded."""
    exit_code: int | None = None
    message: str = ""
    output: str = ""
    """The end of its output."""
    cut_bytes: float = 0.0
    """Bytes of its output before that."""


class Evidence(msgspec.Struct, frozen=True):
    """Facts about a run that its fleet measured from outside, so that the run cannot change them."""

    before: dict[str, str]
    """File name to sha256, when the run started."""
    after: dict[str, str]
    changed: list[str]
    """Files that were written while it ran, even if they were restored."""
    data_before: dict[str, str] = {}
    """The fingerprint of each path of its data, by name, when the run started."""
    data_after: dict[str, str] = {}
    data_restored: list[str] = []
    """Names of paths that were written to while it ran, and then restored."""
    cut_bytes: int = 0
    """Output left out of its log because of the log's cap."""
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0
    """The peak of its largest process."""
    wall_s: float = 0.0
    rescore: Rescore | None = None
    scored: Scored | None = None


class ClusterReady(msgspec.Struct, frozen=True, tag=True):
    """The cluster is up and its set-up is done: it takes jobs."""

    at: float
    cluster: str
    hardware: str
    """The full name of its accelerator; CPU for none."""
    usd_per_hour: float
    """The price of all its nodes; 0 if it is unknown."""
    gpus: int = 1
    spot: bool = False
    """True if its cloud may take it back at any time."""


class ClusterTrouble(msgspec.Struct, frozen=True, tag=True):
    """A launch failed (`lost` False), or a cluster that was up does not answer (`lost` True).

    One outage is reported once. Reports about the runs it ended follow it.
    """

    at: float
    cluster: str
    message: str
    lost: bool = False
    final: bool = False
    """True if another try cannot help: the name is someone else's, the GPU does not exist."""
    refused: bool = False
    """True if there is no room or no quota for it now, or its cloud took it back. This does not count as a failure: it
    is tried again."""
    billed: bool = False
    """True if a part of it may be up and billed. ClusterEnded follows once all of it is down."""


class ClusterWaits(msgspec.Struct, frozen=True, tag=True):
    """The cluster waits for room in its cloud, for a connection, or for a usable task file.

    An empty message ends the wait.
    """

    at: float
    cluster: str
    message: str


class ClusterStep(msgspec.Struct, frozen=True, tag=True):
    """The current step of a launch: provisioning, or the newest line of its set-up."""

    at: float
    cluster: str
    message: str


class ClusterEnded(msgspec.Struct, frozen=True, tag=True):
    """The cluster is down, which was verified: no part of it is billed any more."""

    at: float
    cluster: str
    message: str = ""
    of_lost: bool = False
    """True if the cluster was lost, and its remains are now down."""


class JobSubmitted(msgspec.Struct, frozen=True, tag=True):
    """The cluster has the job; it starts when the one before it ends."""

    at: float
    job: str


class JobRefused(msgspec.Struct, frozen=True, tag=True):
    """The job did not reach the cluster or will not start there: it can be submitted again, here or elsewhere."""

    at: float
    job: str
    message: str


class JobStarted(msgspec.Struct, frozen=True, tag=True):
    """The job runs since `at`, which may be before the time of its JobSubmitted."""

    at: float
    job: str
    wall: str = ""
    """The wall around it: `bubblewrap`, `landlock` or `unconfined`; empty if the fleet does not report it."""


class JobEnded(msgspec.Struct, frozen=True, tag=True):
    """The job has ended, and its log is complete.

    `reason` is exited (its own end, with its exit code), timeout (past its time limit), cancelled (asked for), limit
    (past another limit; `message` says which), lost (its cluster or runner is gone), preempted (its cloud took the
    machine back) or setup (its set-up failed).
    """

    at: float
    job: str
    reason: str
    exit_code: int | None = None
    message: str = ""
    evidence: Evidence | None = None
    """None if the fleet has only the run's log."""
    log_bytes: int = 0
    """Bytes that its log must have; 0 if that is unknown."""


class FleetTrouble(msgspec.Struct, frozen=True, tag=True):
    """Trouble of the fleet itself, which ends no run and no cluster."""

    at: float
    text: str
    once: bool = False
    """True for a lasting circumstance, which each worker of a session finds anew."""


class TaskSeen(msgspec.Struct, frozen=True, tag=True):
    """The text of experiment.yaml, at the fleet's first look and after each change."""

    at: float
    text: str
    problem: str = ""
    """The reason why it cannot be used, in a sentence."""
    fields: tuple[str, ...] = ()
    """The top-level fields in which it differs from the text that runs use."""


Report = (
    ClusterReady
    | ClusterTrouble
    | ClusterWaits
    | ClusterStep
    | ClusterEnded
    | JobSubmitted
    | JobRefused
    | JobStarted
    | JobEnded
    | FleetTrouble
    | TaskSeen
)


class Expected(msgspec.Struct, frozen=True):
    """The clusters and jobs that the ledger has on the fleet, for a worker that comes back."""

    clusters: tuple[str, ...]
    """Clusters that are up, being launched, lost or being stopped."""
    jobs: tuple[Job, ...]
    """Attempts that are submitting, submitted or running, in the order they were submitted."""
    adopted: tuple[str, ...] = ()
    """All clusters that were adopted."""


class Fleet(Protocol):
    simulated: bool
    """True if nothing real runs; screens and exports say so."""

    def recover(self, expected: Expected) -> None:
        """Find the expected clusters and jobs by name. Called once, before anything else.

        A report follows for each: JobSubmitted, JobStarted and JobEnded as they apply; JobRefused for a job that never
        arrived; JobEnded 'lost' for one that is gone; ClusterReady or ClusterTrouble for a cluster.
        """

    def launch(self, cluster: str, adopted: bool = False) -> None:
        """Launch a cluster of the session's spec, unless it is up. ClusterReady or ClusterTrouble follows.

        An `adopted` cluster was launched by hand and need not be in the spec: it is used as it is, never launched.
        """

    def submit(self, job: Job) -> None:
        """Start `job` on its cluster, or queue it there behind those submitted before. JobSubmitted or JobRefused
        follows."""

    def cancel(self, job: str) -> None:
        """End a job now. JobEnded 'cancelled' follows, or another reason if the job ended first."""

    def down(self, cluster: str) -> None:
        """Tear a cluster down with all that runs on it. ClusterEnded follows once that is verified."""

    def use_task(self, text: str) -> None:
        """Use this text of the task file for launches and submissions from now on; a fleet without one ignores it."""

    def poll(self) -> list[Report]:
        """Return the reports since the last call."""

    def close(self) -> None:
        """Stop following the fleet; everything on it continues."""


class FleetError(CockpitError):
    """The fleet cannot be used at all; the message is one sentence that says what to do."""
