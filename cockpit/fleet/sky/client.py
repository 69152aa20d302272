"""Calls SkyPilot's SDK, each call bounded in time and each failure one sentence. The only module that imports it."""

import contextlib
import os
import re
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from cockpit.core.installation import install_command
from cockpit.core.session import RunAccess
from cockpit.fleet.base import FleetError, Job
from cockpit.fleet.sky import private_names
from cockpit.fleet.sky.classes import CPU, class_of
from cockpit.fleet.sky.disk import removal_script
from cockpit.fleet.sky.error_text import sentence
from cockpit.fleet.sky.failures import read, repeated, understood_errors
from cockpit.fleet.sky.jobs import JobRow, job_table
from cockpit.fleet.sky.parts import ClusterRecord, LaunchOrder, SessionIdentity, SkyError, TaskNews
from cockpit.fleet.sky.requests import LOCAL_REQUESTS, REMOTE_REQUESTS
from cockpit.fleet.sky.task import ID_VARIABLE, SESSION_VARIABLE, SETUP, run_script, write_order
from cockpit.fleet.sky.task_file import (
    changed_fields,
    changed_numbers,
    describe_text,
    numbers_in,
    read_file,
    read_task,
    recorded_text,
    unusable,
)

SUBMIT_LIMIT_S = 150.0
"""Seconds an exec may take; it takes 3 to 20. Where rsync hangs (skypilot#10167) the GPU is idle meanwhile."""
READ_LIMIT_S = 180.0
"""Seconds a job table or a status may take; they take 3 to 5, and on busy nodes took more than 60 and 120."""
QUEUED_AT_MOST = 5
"""Time limits that a request may spend in the API server's queue, behind those of other clients and clusters."""
USD_AT_MOST = 100_000.0
"""Dollars an hour of one node that are believed."""
UNCONFINED = RunAccess()
REQUESTS_LOOKED_AT, LAUNCHES_LOOKED_AT = 500, 10
"""The API server's latest requests, and of these the launches whose times are reported."""
_TIMES = ["request_id", "name", "status", "created_at", "finished_at"]
_NO_AUTODOWN = re.compile(r"auto-?(?:stop|down)", re.IGNORECASE)


class SkyClient:
    """One SkyPilot API server, as this session uses it. Every method blocks; all may be called from any thread."""

    def __init__(
        self,
        yaml: Path,
        session: SessionIdentity,
        infra: str,
        prices: dict[str, float],
        idle_minutes: int,
        task: str = "",
        access: RunAccess = UNCONFINED,
    ) -> None:
        """Prepare a client. `yaml` is the task file, `task` its recorded text, if there is one. `prices` (accelerator
        to US dollars an hour of one) precede the catalog's. A cluster ends after `idle_minutes`
        without a job, where its cloud can do that. `access` is that of runs.

        Raises FleetError if SkyPilot is not installed or rejects the task.
        """
        self._yaml, self._session, self._infra = yaml, session, infra
        self._prices, self.idle_minutes, self._access = prices, idle_minutes, access
        # SkyPilot's own progress spinners have no terminal to turn in.
        os.environ.setdefault("SKYPILOT_MINIMIZE_LOGGING", "1")
        try:
            import sky
            from sky.client import sdk
        except ImportError as error:
            raise FleetError(f"SkyPilot is not installed ({error}): {install_command('sky')}") from error
        self._sky, self._sdk = sky, sdk
        self._looked = ""
        text = task or read_file(yaml)
        if problem := self._problem_of(text):
            raise FleetError(problem)
        self.use_task(recorded_text(text))

    def long_requests(self) -> int:
        """Return the number of long requests to send to the API server at a time."""
        return LOCAL_REQUESTS if private_names.api_server_is_local() else REMOTE_REQUESTS

    def _task(self, marked: bool = False) -> Any:
        """Return the task in use, `marked` with its session. Raises SkyError of kind `task`."""
        marks = {SESSION_VARIABLE: self._session.name, ID_VARIABLE: self._session.id} if marked else {}
        try:
            marks = {name: value for name, value in marks.items() if value}
            task = read_task(self._text, self._yaml, self._infra, marks)
        except Exception as error:  # SkyPilot's schema, YAML's parser, or a type in between
            raise SkyError("task", f"{self._yaml} cannot be used: {sentence(error)}") from error
        if problem := unusable(task, str(self._yaml)):
            raise SkyError("task", problem)
        return task

    def _problem_of(self, text: str) -> str:
        """Return why a text of the task cannot be used, in a sentence; empty if it can."""
        try:
            describe_text(text, self._yaml, self._infra)
        except FleetError as error:
            return str(error)
        return ""

    def look_at_task(self) -> TaskNews | None:
        """Return the task file at the first look and when it has changed since the last one."""
        try:
            text = read_file(self._yaml)
            looked = text
        except FleetError as error:
            text, looked = "", f"\0{error}"
        if looked == self._looked:
            return None
        self._looked = looked
        if not text and looked:
            return TaskNews("", looked[1:])
        if problem := self._problem_of(text) or changed_numbers(self._text, text, self._infra):
            return TaskNews("", problem)
        text = recorded_text(text)
        return TaskNews(text, "", changed_fields(self._text, text))

    def use_task(self, text: str) -> None:
        """Use this text of the task for all calls from now on."""
        self._text, self._numbers = text, numbers_in(text, self._infra)

    def classes(self) -> frozenset[str]:
        """Return the hardware classes that the task names. Raises SkyError."""
        return frozenset(class_of(one.accelerators, self._numbers) for one in self._task().resources) - {CPU}

    def launch(self, order: LaunchOrder, on_request: Callable[[str], None]) -> int | None:
        """Bring a cluster up and start its set-up. Returns the set-up's job id there.

        `on_request` gets the request's id, to withdraw it by. Raises SkyError.
        """
        task = self._task(marked=True)
        task.name, task.workdir, task.run = SETUP, str(order.workdir), "true"
        self._choose(task, order)
        down = {"idle_minutes_to_autostop": self.idle_minutes, "down": True}

        def ask(**options: object) -> Any:
            return self._call(
                lambda: self._sdk.launch(task, cluster_name=order.cluster, **options), order.limit_s, on_request
            )

        try:
            job_id, _ = ask(**down)
        except SkyError as error:
            if error.kind != "invalid" or not _NO_AUTODOWN.search(str(error)):
                raise
            job_id, _ = ask()  # this cloud cannot take a cluster down that idles
        return None if job_id is None else int(job_id)

    def _choose(self, task: Any, order: LaunchOrder) -> None:
        """Narrow the task's resources to those of the cluster that exists, or of the class that is wanted."""
        record = order.record
        if record and record.accelerators:
            same = [one for one in task.resources if dict(one.accelerators or {}) == record.accelerators]
            if same:
                task.set_resources(same[0])  # with its image, spot and config
            else:
                task.set_resources(self._sky.Resources(accelerators=record.accelerators))
            return
        wanted = [one for one in task.resources if self._is_wanted(one.accelerators or {}, order)]
        if order.hardware and not wanted:
            raise SkyError("invalid", f"{self._yaml.name} has no {order.hardware} among its accelerators")
        if wanted:
            task.set_resources(type(task.resources)(wanted))

    def _is_wanted(self, accelerators: Mapping[str, float], order: LaunchOrder) -> bool:
        name = class_of(accelerators, self._numbers)
        if order.hardware:
            # The accelerator alone is the class in a session that an older cockpit made.
            return order.hardware.lower() in (one.lower() for one in (name, *accelerators))
        return name not in order.avoid

    def submit(
        self,
        job: Job,
        cluster: str,
        workdir: Path,
        accelerators: dict[str, float],
        over: tuple[str, ...] = (),
        longer: int = 1,
    ) -> int:
        """Queue a job on its cluster, which removes the folders of those that are `over`. It may take `longer` times as
        long as usual. Returns its id there. Raises SkyError."""
        task = self._task()
        name = self._session.remote_name(job.name)
        task.name, task.workdir, task.setup = name, str(workdir), None
        mounts = [*(task.file_mounts or {}), *(task.storage_mounts or {})]
        write_order(job, name, str(task.run), mounts, self._access)
        task.run = removal_script(over) + run_script(name)
        task.update_envs({**job.environment, SESSION_VARIABLE: self._session.name})
        task.set_resources(self._sky.Resources(accelerators=accelerators or None))
        job_id, _ = self._call(lambda: self._sdk.exec(task, cluster_name=cluster), SUBMIT_LIMIT_S * longer)
        return int(job_id)

    def clusters(self, names: list[str], refresh: bool = False) -> dict[str, ClusterRecord]:
        """Return the clusters that SkyPilot knows, of these or of all; with `refresh`, as the cloud has them now.
        Raises SkyError."""
        mode = self._sky.StatusRefreshMode.FORCE if refresh else self._sky.StatusRefreshMode.NONE
        records = self._call(
            lambda: repeated(lambda: self._sdk.status(names or None, refresh=mode, all_users=True)), READ_LIMIT_S
        )
        return read(lambda: {record["name"]: self._record(record) for record in records})

    def jobs(self, cluster: str) -> list[JobRow]:
        """Return the cluster's job table. Raises SkyError."""
        records = self._call(lambda: repeated(lambda: self._sdk.queue(cluster, all_users=True)), READ_LIMIT_S)
        return read(lambda: job_table(records))

    def cancel(self, cluster: str, job_id: int) -> None:
        """End a job of the cluster, or take it from its queue. Raises SkyError."""
        self._call(lambda: self._sdk.cancel(cluster, job_ids=[job_id]), 120)

    def down(self, cluster: str) -> None:
        """Tear the cluster down; a cluster that is not there is down. Raises SkyError."""
        try:
            self._call(lambda: self._sdk.down(cluster), 600)
        except SkyError as error:
            if error.kind != "gone":
                raise

    def pending(self, cluster: str) -> bool:
        """Return True while the API server works on something that was asked of this cluster. Raises SkyError."""
        with understood_errors():
            requests = repeated(lambda: self._sdk.api_status(cluster_name=cluster))
        asked = ("sky.launch", "sky.exec", "sky.down")
        return read(lambda: any(one.name in asked and one.cluster_name == cluster for one in requests))

    def launch_times(self) -> list[float]:
        """Return the seconds that the API server's latest successful launches took, the newest first. Raises SkyError.

        They are those of everybody on it, from its request to the set-up's submission.
        """
        with understood_errors():
            requests = self._sdk.api_status(all_status=True, limit=REQUESTS_LOOKED_AT, fields=_TIMES)
        return read(lambda: _launch_times(requests))

    def withdraw(self, request_id: str) -> None:
        """Cancel a request that is under way; one that is over stays as it is. Raises SkyError."""
        with understood_errors():
            self._sdk.get(self._sdk.api_cancel([request_id], silent=True))

    def tail(self, cluster: str, job_id: int) -> Generator[str, None, None]:
        """Yield the job's log from its beginning, in pieces as they come, until it ends. Raises SkyError."""
        with understood_errors():
            for piece in self._sdk.tail_logs(cluster, job_id, follow=True, preload_content=False):
                yield piece or ""

    def _usd_per_hour(self, resources: Any) -> float:
        """Return the price an hour of one of a cluster's nodes; the catalog's for spot. 0 where it is unknown."""
        name, count = next(iter((resources.accelerators or {}).items()), (CPU, 1.0))
        own = self._prices.get(name, 0.0) * count
        if own and not resources.use_spot:
            return own
        try:
            usd = float(resources.get_cost(3600))
        except Exception:  # a catalog without this one: the run is worth having at an unknown price
            usd = 0.0
        return usd if 0 < usd <= USD_AT_MOST else own

    def _record(self, record: Any) -> ClusterRecord:
        resources = getattr(record["handle"], "launched_resources", None)
        nodes = int(getattr(record["handle"], "launched_nodes", None) or 1)
        accelerators = dict(resources.accelerators or {}) if resources is not None else {}
        text = private_names.read_mark(record)
        owner = _marked(SESSION_VARIABLE, text), _marked(ID_VARIABLE, text)
        if relaunched := not any(owner) and self._session.owns(record["name"]) and self._is_of_this_user(record):
            owner = self._session.name, self._session.id
        return ClusterRecord(
            name=record["name"],
            status=record["status"].value,
            session=owner[0],
            hardware=class_of(accelerators, self._numbers) if resources is not None else "",
            usd_per_hour=self._usd_per_hour(resources) * nodes if resources is not None else 0.0,
            accelerators=accelerators,
            reason=private_names.init_reason(record),
            asked_at=float(record["status_updated_at"] or 0.0),
            session_id=owner[1],
            spot=bool(resources is not None and resources.use_spot),
            autostop=int(record["autostop"]),
            autostop_down=bool(record["to_down"]),
            being_launched=private_names.is_being_launched(record),
            relaunched=relaunched,
            gpus=max(1, nodes * int(next(iter(accelerators.values()), 1))),
        )

    def _is_of_this_user(self, record: Any) -> bool:
        with understood_errors():
            return private_names.is_of_this_user(record, self._sdk)

    def _call(self, ask: Callable[[], Any], limit_s: float, on_request: Callable[[str], None] | None = None) -> Any:
        late, over = threading.Event(), threading.Event()
        with understood_errors():
            request = ask()
            if on_request is not None:
                on_request(str(request))

            def give_up() -> None:
                was_queued = False
                for _ in range(QUEUED_AT_MOST):
                    if over.wait(limit_s):
                        return
                    is_queued = self._is_queued(str(request))
                    if not is_queued and not was_queued:
                        break  # else it has had less than its limit since it was begun
                    was_queued = is_queued
                late.set()
                with contextlib.suppress(SkyError):  # it is over, or the server is away
                    self.withdraw(str(request))

            threading.Thread(target=give_up, daemon=True).start()
            try:
                return repeated(lambda: self._sdk.get(request))
            except Exception as error:  # a withdrawn request fails with an error of any class
                if late.is_set():
                    raise SkyError("late", f"SkyPilot did not answer within {limit_s / 60:g} minutes") from error
                raise
            finally:
                over.set()

    def _is_queued(self, request: str) -> bool:
        """Return True if the API server has not begun to work on a request."""
        try:
            found = self._sdk.api_status(request_ids=[request], fields=_TIMES)
        except Exception:  # without an answer its limit holds, as if it were begun
            return False
        return any(one.status == "PENDING" for one in found)


def _launch_times(requests: Iterable[Any]) -> list[float]:
    done = [one for one in requests if one.name == "sky.launch" and one.status == "SUCCEEDED" and one.finished_at]
    done.sort(key=lambda one: float(one.created_at), reverse=True)
    return [max(0.0, float(one.finished_at) - float(one.created_at)) for one in done[:LAUNCHES_LOOKED_AT]]


def _marked(variable: str, text: str) -> str:
    """Return the value of a variable in a task's text; empty if it is not there."""
    found = re.search(rf"^\s*{variable}: '?([\w.-]+)", text, re.MULTILINE)
    return found[1] if found else ""
