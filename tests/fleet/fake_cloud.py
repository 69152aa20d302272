"""A cloud at the edge of SkyPilot's SDK: it stands in for `sky.client.sdk`, so that SkyClient and SkyFleet run on it.

Answers are SkyPilot's own types (`StatusResponse`, `ClusterJobRecord`) and its own exceptions. Records, jobs and the
errors of a cluster that is gone or away were recorded (`tests.fleet.recorded`) and get the names of the test; other
texts are written after SkyPilot 0.14.1's source. A task's resources are SkyPilot's. Nothing here decides for Cockpit.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sky import exceptions
from sky.schemas.api.responses import ClusterJobRecord, StatusResponse
from sky.skylet.job_lib import JobStatus
from sky.utils.status_lib import ClusterStatus

from tests.fleet import recorded
from tests.fleet.runner_lines import end_line, staged_key, start_line

ANN, BOB = "0000abcd", "0000b0b0"
"""The ids of the session's user and of another."""
PENDING = "Launching (pending: Resources; partition: gpu)"
QUOTA = (
    "Failed to provision all possible launchable resources. Relax the task's resource requirements: 1x H100. "
    "QUOTA_EXCEEDED: Quota 'NVIDIA_H100_GPUS' exceeded. Limit: 8.0 in region us-central1."
)
NO_ROOM = "Failed to provision all possible launchable resources. Relax the task's resource requirements: 1x GPU"
NO_SERVER = "Could not connect to SkyPilot API server at https://sky.example.org."
EXPIRED = "Authentication failed. Please log in with `sky api login`."
OLDER = "Client version is too old: the API server requires API version 60 or newer."


class FakeJob:
    def __init__(self, number: int, name: str, user: str, lines: list[str], key: str = "") -> None:
        self.number, self.name, self.user, self.key = number, name, user, key
        self.status = JobStatus.RUNNING
        self.submitted_at = time.time()
        self.started_at: float | None = self.submitted_at
        self.ended_at = 0.0
        self.lines = lines
        self.over = threading.Event()

    def end(self, status: JobStatus) -> None:
        self.status, self.ended_at = status, time.time()
        self.over.set()

    def wait_as(self, status: JobStatus) -> None:
        """Be a job that has not begun."""
        self.status, self.started_at, self.lines = status, None, []

    def record(self) -> ClusterJobRecord:
        return recorded.job(
            job_id=self.number, job_name=self.name, username=self.user, submitted_at=self.submitted_at,
            start_at=self.started_at, end_at=self.ended_at or None, status=self.status,
        )  # fmt: skip


class FakeCluster:
    def __init__(self, name: str, resources: Any, yaml: str, nodes: int, user: str = "ann") -> None:
        self.name, self.resources, self.yaml, self.nodes, self.user = name, resources, yaml, nodes, user
        self.status = ClusterStatus.INIT
        self.reason = "Launching"
        self.is_launching = True
        self.asked_at = 1
        self.jobs: list[FakeJob] = []
        self.real_status: ClusterStatus | None = ClusterStatus.UP
        """The status a refresh finds; None for gone."""
        self.autostop = (30, True)
        """Idle minutes, and True where it is taken down after them."""
        self.answers = True
        """False where its node gives no answer."""

    def record(self) -> StatusResponse:
        user_hash = ANN if self.user == "ann" else BOB
        handle = SimpleNamespace(launched_resources=self.resources, launched_nodes=self.nodes)
        is_init = self.status is ClusterStatus.INIT
        kind = "up" if not is_init else "launching" if self.is_launching else "unhealthy"
        return recorded.status(
            kind, self.name, handle=handle, status=self.status, status_updated_at=self.asked_at, user_name=self.user,
            user_hash=user_hash,
            autostop=self.autostop[0], to_down=self.autostop[1],
            last_creation_yaml=self.yaml, nodes=self.nodes, init_status_reason=self.reason if is_init else None,
        )  # fmt: skip


class FakeCloud:
    """`room` is how many nodes of each class are free; a class that is not named has room for all."""

    def __init__(self, room: dict[str, int] | None = None) -> None:
        self.room = dict(room or {})
        self.lock = threading.RLock()
        self.clusters: dict[str, FakeCluster] = {}
        self.launches: list[tuple[str, Any, dict[str, object]]] = []
        """Cluster, resources, options."""
        self.launched_tasks: list[Any] = []
        self.tasks: list[Any] = []
        """The tasks of exec."""
        self.downs: list[str] = []
        self.cancelled: list[tuple[str, int]] = []
        self.refuses_launches: Exception | None = None
        self.fails: Exception | None = None
        """The error of every call."""
        self.fails_half: Exception | None = None
        """The error of half of the calls."""
        self.answers_as: Callable[[Any], Any] | None = None
        """How an API server of another version would write a record or a row."""
        self.setup_says = ""
        """The last line of a set-up."""
        self.setup_hangs = self.setup_fails = self.exec_hangs = False
        self.refuses_full = False
        """True where a class without room is refused, as on Kubernetes; else a launch waits for it."""
        self.queues_requests = False
        """True where the API server is so busy that it ends no request."""
        self.looks: list[str] = []
        """The states that calls of `api_status` about a request find, one after another."""
        self.exec_arrives = False
        """True where an exec that hangs has reached its cluster."""
        self.exec_reserves = False
        """True where an exec that hangs has only reserved a row for its job."""
        self.begins = True
        """False where a cluster takes jobs and begins none."""
        self.long_now = self.long_most = 0
        """Long requests under way, and the most at a time."""
        self.refreshes = 0
        """Calls of `status` that asked the cloud."""
        self.sweeps = 0
        """Other calls of `status`."""
        self.prefers = ""
        """The class that a launch chooses, free or not, where its task has it."""
        self.clock_off_s = 0.0
        """Seconds by which the clocks of nodes are ahead."""
        self.exec_fails: Exception | None = None
        self.status_takes_s = 0.0
        self.history: list[SimpleNamespace] = []
        """Requests that are over, the latest first."""
        self._dice = random.Random(5)
        self._requests: dict[str, tuple[str, str, threading.Event, list[Any]]] = {}

    # The events of clusters

    def vanish(self, name: str) -> None:
        """Take a cluster's machines away, as a spot preemption does."""
        self.clusters[name].real_status = None

    def forget(self, name: str) -> None:
        """Drop a cluster from SkyPilot's records, as `sky down` by another client does."""
        with self.lock:
            del self.clusters[name]

    def evict(self, name: str) -> None:
        """End a cluster's pod, which a refreshed status finds."""
        self.clusters[name].real_status, self.clusters[name].reason = ClusterStatus.INIT, recorded.evicted(name)

    def hang(self, name: str) -> None:
        """Keep a cluster up for its cloud, with a node that gives no answer."""
        self.clusters[name].answers = False

    def break_in_half(self, name: str) -> None:
        """Stop Ray on a cluster whose machines stay up, which a refreshed status finds."""
        self.clusters[name].real_status, self.clusters[name].reason = ClusterStatus.INIT, "the Ray cluster is unhealthy"

    def stop(self, name: str) -> None:
        self.clusters[name].real_status = ClusterStatus.STOPPED

    def strange_job(self, name: str, job: str, user: str = "bob") -> None:
        """Start a job that Cockpit did not submit."""
        with self.lock:
            self.clusters[name].jobs.append(FakeJob(len(self.clusters[name].jobs) + 1, job, user, []))

    def finish(self, name: str, score: str, number: int = -1) -> None:
        """End a job of the cluster with a result: the newest, or the one at this place of its table."""
        job = self.clusters[name].jobs[number]
        job.lines += [f"val_bpb: {score}", end_line(job.key, at=time.time() + self.clock_off_s)]
        job.end(JobStatus.SUCCEEDED)

    def begin_another_launch(self, name: str) -> None:
        """Begin a `sky launch` of another task on a cluster that is up."""
        self.clusters[name].status, self.clusters[name].is_launching = ClusterStatus.INIT, True

    def end_another_launch(self, name: str) -> None:
        """End it: SkyPilot's record has the other task."""
        with self.lock:
            cluster = self.clusters[name]
            cluster.status, cluster.is_launching, cluster.yaml = ClusterStatus.UP, False, "run: python debug.py\n"

    def end_requests(self, kind: str, cluster: str = "") -> None:
        """End the requests of a kind that are under way, those about a cluster alone if one is named, as `sky api
        cancel` by another person does."""
        self.api_cancel(self.under_way(kind, cluster), silent=True)

    def under_way(self, kind: str, cluster: str = "") -> list[str]:
        """Return the requests of a kind that are under way, those about a cluster alone if one is named."""
        return [
            request
            for request, (name, about, done, _) in list(self._requests.items())
            if name == kind and cluster in ("", about) and not done.is_set()
        ]

    def gone_jobs(self, name: str) -> None:
        for job in self.clusters[name].jobs:
            job.over.set()

    # The SDK

    def launch(self, task: Any, cluster_name: str, **options: object) -> str:
        self._reach()
        wanted = list(task.resources)
        self.launches.append((cluster_name, wanted, options))
        self.launched_tasks.append(task)
        return self._begin(
            "sky.launch", cluster_name, lambda stop: self._launch(task, cluster_name, wanted, stop), True
        )

    def exec(self, task: Any, cluster_name: str) -> str:
        self._reach()
        self.tasks.append(task)
        return self._begin("sky.exec", cluster_name, lambda stop: self._exec(task, cluster_name, stop), True)

    def status(self, names: list[str] | None, refresh: Any, all_users: bool) -> str:
        self._reach()
        forced = getattr(refresh, "name", str(refresh)) == "FORCE"
        return self._begin("sky.status", "", lambda stop: self._answer(self._status(names, forced)), forced)

    def queue(self, cluster: str, all_users: bool) -> str:
        self._reach()

        def table(stop: threading.Event) -> list[Any]:
            return self._answer([job.record() for job in self._up(cluster).jobs])

        return self._begin("sky.queue", cluster, table)

    def cancel(self, cluster: str, job_ids: list[int]) -> str:
        self._reach()
        return self._begin("sky.cancel", cluster, lambda stop: self._cancel(cluster, job_ids))

    def down(self, cluster: str) -> str:
        self._reach()
        return self._begin("sky.down", cluster, lambda stop: self._down(cluster), True)

    def api_info(self) -> SimpleNamespace:
        self._reach()
        return SimpleNamespace(user=SimpleNamespace(id=ANN))

    def get(self, request: str) -> Any:
        _, _, done, result = self._requests[request]
        while not done.wait(0.02):
            if self.fails:
                raise self.fails  # the request is still under way
        self._reach()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]

    def api_status(
        self,
        cluster_name: str = "",
        all_status: bool = False,
        limit: int = 0,
        fields: tuple[str, ...] = (),
        request_ids: tuple[str, ...] = (),
    ) -> list[SimpleNamespace]:
        self._reach()
        if all_status:
            return self.history
        if request_ids:
            return [SimpleNamespace(status=self.looks.pop(0) if self.looks else "RUNNING")]
        return [
            SimpleNamespace(name=name, cluster_name=cluster)
            for name, cluster, done, _ in list(self._requests.values())
            if not done.is_set() and cluster == cluster_name
        ]

    def api_cancel(self, requests: list[str], silent: bool) -> str:
        for request in requests:
            _, _, done, result = self._requests[request]
            if not done.is_set():
                result.append(exceptions.RequestCancelled(f"Current 'sky.launch' request ({request}) is cancelled."))
                done.set()
        return self._begin("sky.api_cancel", "", lambda stop: requests)

    def tail_logs(self, cluster: str, job_id: int, follow: bool, preload_content: bool) -> Iterator[str]:
        self._reach()
        job = self._up(cluster).jobs[job_id - 1]
        prefix = "(setup pid=1)" if job.number == 1 else f"({job.name}, pid=1)"
        given = 0
        while True:
            over = job.over.wait(0.02)
            for line in job.lines[given:]:
                yield f"\x1b[36m{prefix}\x1b[0m {line}\n"
                given += 1
            if self.fails:
                raise self.fails
            if over:
                break
        yield f"\x1b[32m✓ Job finished (status: {job.status.value}).\x1b[0m\n"

    # How it works

    def _reach(self) -> None:
        if self.fails:
            raise self.fails
        if self.fails_half and self._dice.random() < 0.5:
            raise self.fails_half

    def _answer(self, records: list[Any]) -> list[Any]:
        return [self.answers_as(one) for one in records] if self.answers_as else records

    def _begin(self, name: str, cluster: str, work: Callable[[threading.Event], Any], is_long: bool = False) -> str:
        with self.lock:
            self.long_now += is_long
            self.long_most = max(self.long_most, self.long_now)
            request, done, result = f"request-{len(self._requests) + 1}", threading.Event(), []  # type: ignore[var-annotated]
            self._requests[request] = (name, cluster, done, result)

        def do() -> None:
            while self.queues_requests and not done.wait(0.02):
                pass
            try:
                answer = work(done)
            except BaseException as error:
                answer = error
            with self.lock:
                self.long_now -= is_long
            if not done.is_set():
                result.append(answer)
                done.set()

        threading.Thread(target=do, daemon=True).start()
        return request

    def _launch(self, task: Any, name: str, wanted: list[Any], stop: threading.Event) -> tuple[int, None]:
        if self.refuses_launches:
            raise self.refuses_launches
        with self.lock:
            chosen = next(
                (one for one in wanted if self.prefers in (one.accelerators or {})),
                next((one for one in wanted if self._room_for(one)), wanted[0]),
            )
            existing = self.clusters.get(name)
            cluster = existing or FakeCluster(name, chosen, task._user_specified_yaml, task.num_nodes)
            self.clusters[name] = cluster
        while cluster.status is not ClusterStatus.UP:
            with self.lock:
                if self._room_for(chosen):
                    for hardware in chosen.accelerators or {}:
                        if hardware in self.room:
                            self.room[hardware] -= 1
                    break
                if self.refuses_full:
                    raise exceptions.ResourcesUnavailableError(NO_ROOM)
                cluster.reason = PENDING
            if stop.wait(0.02):
                return 0, None
        with self.lock:
            if self.clusters.get(name) is not cluster:
                return 0, None
            cluster.status, cluster.real_status, cluster.is_launching = ClusterStatus.UP, ClusterStatus.UP, False
            setup = FakeJob(
                len(cluster.jobs) + 1, task.name, "ann", ["installs torch", *filter(None, [self.setup_says])]
            )
            cluster.jobs.append(setup)
        if not self.setup_hangs:
            setup.end(JobStatus.FAILED if self.setup_fails else JobStatus.SUCCEEDED)
        return setup.number, None

    def _room_for(self, resources: Any) -> bool:
        return all(self.room.get(hardware, 1) > 0 for hardware in resources.accelerators or {})

    def _exec(self, task: Any, name: str, stop: threading.Event) -> tuple[int, None]:
        if self.exec_fails:
            raise self.exec_fails
        if self.exec_hangs and self.exec_reserves:
            self._arrive(task, name).wait_as(JobStatus.INIT)
        if self.exec_hangs:
            arrived = self._arrive(task, name).number if self.exec_arrives else 0
            stop.wait()
            return arrived, None
        return self._arrive(task, name).number, None

    def _arrive(self, task: Any, name: str) -> FakeJob:
        with self.lock:
            cluster = self._up(name)
            key = staged_key(Path(task.workdir), task.name)
            job = FakeJob(len(cluster.jobs) + 1, task.name, "ann", [], key)
            cluster.jobs.append(job)
            if self.begins:
                job.started_at = job.submitted_at + self.clock_off_s
                job.lines.append(start_line(key, at=time.time() + self.clock_off_s))
            else:
                job.wait_as(JobStatus.PENDING)
            return job

    def arrive_late(self, name: str) -> None:
        """Let the job of the newest exec arrive on its cluster, whatever became of the exec."""
        with self.lock:
            jobs = self.clusters[name].jobs
            jobs.append(FakeJob(len(jobs) + 1, self.tasks[-1].name, "ann", []))

    def _status(self, names: list[str] | None, forced: bool) -> list[StatusResponse]:
        found_so: set[str] = set()
        if forced:
            time.sleep(self.status_takes_s)
            self.refreshes += 1
        else:
            self.sweeps += 1
        with self.lock:
            for name, cluster in list(self.clusters.items()):
                if not forced or (names and name not in names) or cluster.status is ClusterStatus.INIT:
                    continue
                if cluster.real_status is None:
                    del self.clusters[name]  # SkyPilot drops a cluster whose machines are gone
                else:
                    cluster.status, cluster.asked_at = cluster.real_status, cluster.asked_at + 1
                    if cluster.status is ClusterStatus.INIT:
                        found_so.add(name)
            records = {name: one.record() for name, one in self.clusters.items()}
            for name in found_so:
                # As on the lab: the answer of the refresh that finds a cluster INIT does not have the reason yet.
                records[name].init_status_reason = None
            return [one for name, one in records.items() if not names or name in names]

    def _up(self, name: str) -> FakeCluster:
        cluster = self.clusters.get(name)
        if cluster is None:
            raise exceptions.ClusterDoesNotExist(f"Cluster '{name}' does not exist.")
        if cluster.real_status is None:
            del self.clusters[name]  # any call about it finds that out, and drops the record
            raise recorded.error("queue of a cluster whose pod is gone", name)
        if cluster.status is ClusterStatus.INIT:
            raise recorded.error("queue of a cluster that is INIT", name)
        if cluster.real_status is not ClusterStatus.UP or not cluster.answers:
            raise recorded.error("queue while the node is away", name)
        return cluster

    def _cancel(self, name: str, job_ids: list[int]) -> None:
        for job in self._up(name).jobs:
            if job.number in job_ids:
                self.cancelled.append((name, job.number))
                if not job.over.is_set() and job.status is not JobStatus.INIT:  # SkyPilot leaves these as they are
                    job.end(JobStatus.CANCELLED)

    def _down(self, name: str) -> None:
        with self.lock:
            self.downs.append(name)
            if name not in self.clusters:
                raise exceptions.ClusterDoesNotExist(f"Cluster '{name}' does not exist.")
            cluster = self.clusters.pop(name)
            self.end_requests("sky.launch", name)  # SkyPilot ends them first
            if cluster.status is ClusterStatus.UP:
                for hardware in cluster.resources.accelerators or {}:
                    if hardware in self.room:
                        self.room[hardware] += 1
            for job in cluster.jobs:
                job.over.set()
