"""SkyPilot's SDK, each call bounded in time and each failure one sentence. The only module that imports it."""

import os
import re
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.fleet.base import FleetError, Job
from cockpit.fleet.sky.jobs import Row, table
from cockpit.fleet.sky.task import SESSION_VARIABLE, SETUP, elsewhere, run_script

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class SkyError(CockpitError):
    """A call failed; the message is one sentence. `kind` says what can be done about it:

    gone (the cluster is not there or not up), refused (no capacity, no quota: later perhaps), invalid (never), absent
    (there is no such GPU, or where there is cannot be reached: SkyPilot says the same of both), server (the API server
    does not answer), late (it took too long and was cancelled), cancelled, other.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Found(msgspec.Struct, frozen=True):
    """A cluster as SkyPilot's records have it."""

    name: str
    status: str
    """UP, INIT, STOPPED ..."""
    session: str
    """The session it was launched for; empty if it was not Cockpit that launched it."""
    hardware: str
    usd_per_hour: float
    accelerators: dict[str, float]
    reason: str
    """Why it is not up, where SkyPilot says."""
    asked_at: float = 0.0
    """When its cloud was last asked and answered, by the API server's clock."""


class SkyClient:
    """One SkyPilot API server, as this session uses it. Every method blocks; all may be called from any thread."""

    def __init__(self, yaml: Path, session: str, infra: str, prices: dict[str, float], idle_minutes: int) -> None:
        """`yaml` is the task, `prices` go before the catalog's (hardware class to US dollars an hour), and a cluster
        ends by itself after `idle_minutes` without a job, where its cloud can.

        Raises FleetError if SkyPilot is not installed or rejects the task.
        """
        self._yaml, self._session, self._infra = yaml, session, infra
        self._prices, self.idle_minutes = prices, idle_minutes
        # SkyPilot's own progress spinners have no terminal to turn in.
        os.environ.setdefault("SKYPILOT_MINIMIZE_LOGGING", "1")
        try:
            import sky
            from sky.client import sdk
            from sky.utils import yaml_utils
        except ImportError as error:
            raise FleetError(f"SkyPilot is not installed ({error}): pip install -e '.[sky]'") from error
        self._sky, self._sdk, self._yaml_text = sky, sdk, yaml_utils
        try:
            sky.Task.from_yaml(str(yaml))
            task = self._task()
        except FileNotFoundError as error:
            raise FleetError(f"there is no {yaml}: a fleet on SkyPilot needs its task file") from error
        except Exception as error:  # whatever SkyPilot's schema, YAML's parser or a type in between says
            raise FleetError(f"SkyPilot rejects {yaml.name}: {sentence(error)}") from error
        if not task.run:
            raise FleetError(f"{yaml.name} has no `run`: it says how train.py is started")

    def _task(self, marked: bool = False) -> Any:
        """The task file as SkyPilot reads it; `marked` with whose it is, as SkyPilot's record of a cluster keeps only
        what the file says."""
        if not marked and not self._infra:
            return self._sky.Task.from_yaml(str(self._yaml))
        text = self._yaml_text.safe_load(self._yaml.read_text(encoding="utf-8"))
        if marked:
            text["envs"] = {**(text.get("envs") or {}), SESSION_VARIABLE: self._session}
        if self._infra:
            text["resources"] = elsewhere(text.get("resources") or {}, self._infra)
        return self._sky.Task.from_yaml_str(self._yaml_text.dump_yaml_str(text))

    def launch(
        self,
        cluster: str,
        workdir: Path,
        found: Found | None,
        hardware: str,
        avoid: set[str],
        limit_s: float,
        told: Callable[[str], None],
    ) -> int | None:
        """Bring a cluster up and start its set-up; the set-up's job there.

        `found` is the cluster if it exists. Of a new one `hardware` is the class wanted, empty for any of the task's
        but those in `avoid`. `told` gets the request's id, to withdraw it by. Raises SkyError.
        """
        task = self._task(marked=True)
        task.name, task.workdir, task.run = SETUP, str(workdir), "true"
        wanted = [r for r in task.resources if _wanted(set(r.accelerators or {}), hardware, avoid)]
        if found and found.accelerators:
            task.set_resources(self._sky.Resources(accelerators=found.accelerators))
        elif hardware and not wanted:
            raise SkyError("invalid", f"{self._yaml.name} has no {hardware} among its accelerators")
        elif wanted:
            task.set_resources(type(task.resources)(wanted))
        job_id, _ = self._call(
            lambda: self._sdk.launch(task, cluster_name=cluster, idle_minutes_to_autostop=self.idle_minutes, down=True),
            limit_s,
            told,
        )
        return None if job_id is None else int(job_id)

    def submit(self, job: Job, workdir: Path, accelerators: dict[str, float]) -> int:
        """Queue a job on its cluster; its id there. Raises SkyError."""
        task = self._task()
        task.name, task.workdir, task.setup = job.name, str(workdir), None
        task.run = run_script(job, task.run)
        task.update_envs({**job.environment, SESSION_VARIABLE: self._session})
        task.set_resources(self._sky.Resources(accelerators=accelerators or None))
        job_id, _ = self._call(lambda: self._sdk.exec(task, cluster_name=job.cluster), 300)
        return int(job_id)

    def clusters(self, names: list[str], refresh: bool = False) -> dict[str, Found]:
        """Those of the clusters that SkyPilot knows; with `refresh`, as the cloud has them now. Raises SkyError."""
        mode = self._sky.StatusRefreshMode.FORCE if refresh else self._sky.StatusRefreshMode.NONE
        records = self._call(lambda: self._sdk.status(names or None, refresh=mode, all_users=True), 120)
        return {record["name"]: self._found(record) for record in records}

    def jobs(self, cluster: str) -> list[Row]:
        """The cluster's job table. Raises SkyError."""
        return table(self._call(lambda: self._sdk.queue(cluster, all_users=True), 60))

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
        """Whether the API server still works on something that was asked of this cluster. Raises SkyError."""
        try:
            requests = self._sdk.api_status(cluster_name=cluster)
        except Exception as error:
            raise _understood(error) from error
        asked = ("sky.launch", "sky.exec", "sky.down")
        return any(request.name in asked and request.cluster_name == cluster for request in requests)

    def withdraw(self, request_id: str) -> None:
        """Cancel a request that is under way; one that is over stays as it is."""
        try:
            self._sdk.get(self._sdk.api_cancel([request_id], silent=True))
        except Exception as error:
            raise _understood(error) from error

    def tail(self, cluster: str, job_id: int) -> Generator[str, None, None]:
        """The job's log from its beginning, in pieces as they come, until it ends. Raises SkyError."""
        try:
            for piece in self._sdk.tail_logs(cluster, job_id, follow=True, preload_content=False):
                yield piece or ""
        except Exception as error:
            raise _understood(error) from error

    def _hardware(self, resources: Any) -> tuple[str, float]:
        name = next(iter(resources.accelerators or {}), "CPU")
        if name in self._prices:
            return name, self._prices[name]
        try:
            return name, float(resources.get_cost(3600))
        except Exception:  # a catalog without this one: the run is worth having at a price not known
            return name, 0.0

    def _found(self, record: Any) -> Found:
        resources = getattr(record["handle"], "launched_resources", None)
        hardware, usd = self._hardware(resources) if resources is not None else ("", 0.0)
        marked = re.search(rf"{SESSION_VARIABLE}: '?([\w.-]+)", record["last_creation_yaml"] or "")
        return Found(
            name=record["name"],
            status=record["status"].value,
            session=marked[1] if marked else "",
            hardware=hardware,
            usd_per_hour=usd,
            accelerators=dict(resources.accelerators or {}) if resources is not None else {},
            reason=record["init_status_reason"] or "",
            asked_at=float(record["status_updated_at"] or 0.0),
        )

    def _call(self, ask: Callable[[], Any], limit_s: float, told: Callable[[str], None] | None = None) -> Any:
        late = threading.Event()
        try:
            request = ask()
            if told is not None:
                told(str(request))

            def give_up() -> None:
                late.set()
                self.withdraw(str(request))

            timer = threading.Timer(limit_s, give_up)
            timer.daemon = True
            timer.start()
            try:
                return self._sdk.get(request)
            finally:
                timer.cancel()
        except SkyError:
            raise
        except Exception as error:
            if late.is_set():
                raise SkyError("late", f"SkyPilot did not answer within {limit_s / 60:g} minutes") from error
            raise _understood(error) from error


def _wanted(classes: set[str], hardware: str, avoid: set[str]) -> bool:
    return hardware in classes if hardware else not classes & avoid


def sentence(error: BaseException) -> str:
    """What an error says, as one line without colours."""
    text = " ".join(_ESCAPES.sub("", str(error)).split()).partition(" Hint: ")[0]
    return text[:400] or type(error).__name__


_KINDS = {
    "ClusterDoesNotExist": "gone",
    "ClusterNotUpError": "gone",
    "ClusterOwnerIdentityMismatchError": "invalid",
    "ResourcesMismatchError": "invalid",
    "NotSupportedError": "invalid",
    "InvalidSkyPilotConfigError": "invalid",
    "NoCloudAccessError": "invalid",
    "RequestCancelled": "cancelled",
    "ApiServerConnectionError": "server",
    "ServerTemporarilyUnavailableError": "server",
    "KubeAPIUnreachableError": "server",
    "RequestInterruptedError": "server",
    "ConnectionError": "server",
    "ChunkedEncodingError": "server",
    "ReadTimeout": "server",
    "ConnectTimeout": "server",
}
_ABSENT = re.compile(r"Catalog does not contain")
_NEVER = re.compile(r"not enabled|is not supported", re.IGNORECASE)


def _understood(error: BaseException) -> SkyError:
    """The same error, by what can be done about it. By its class's name: SkyPilot is not loaded here."""
    text = sentence(error)
    kind = next((_KINDS[c.__name__] for c in type(error).__mro__ if c.__name__ in _KINDS), "other")
    if type(error).__name__ == "ResourcesUnavailableError":
        kind = "absent" if _ABSENT.search(text) else "invalid" if _NEVER.search(text) else "refused"
    return SkyError(kind, text)
