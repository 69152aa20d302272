"""Runs pods on this machine, as a kubelet does: each in namespaces of its own, on a copy of the machine's root."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from tests.lab.kube import config
from tests.lab.kube.objects import Object
from tests.lab.kube.scheduling import requested
from tests.lab.sky_side import PATH

STARTED_WITHIN_S = 30.0
RAY = {"RAY_worker_niceness": "0"}
"""Ray runs tasks at niceness 15, which on a machine that others use, too, is nearly never."""


class PodError(RuntimeError):
    """A pod cannot be started; the message holds the end of its output."""


class PodProcess:
    """The one container of a pod that runs."""

    def __init__(self, root: Path, pod: Object, number: int) -> None:
        """Prepare the pod with this number, which its address is made of."""
        self.name = pod["metadata"]["name"]
        self.address = f"{config.SUBNET}.{number}"
        self._lab, self._number = root, number
        self._folder = root / "pods" / pod["metadata"]["uid"]
        self._pod = pod
        self.log = self._folder / "log"
        self.pid = 0
        """The first process inside."""
        self._outer: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the container's command. Raises PodError."""
        for name in ("home", "layer"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "home/.bashrc").touch()
        (self._folder / "home/.profile").write_text(". ~/.bashrc\n")
        (self._folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        container = self._pod["spec"]["containers"][0]
        command = [*container.get("command", []), *container.get("args", [])]
        with self.log.open("wb") as log:
            self._outer = await asyncio.create_subprocess_exec(
                "unshare", "--mount", "--pid", "--uts", "--net", "--ipc", "--fork", "--kill-child",
                "bash", str(self._lab / "bin/pod"), str(self._folder), self.name, *command,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(),
                start_new_session=True,
            )  # fmt: skip
        await self._until_ready()
        link = f"kube{self._number}"
        await _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        await _run("ip", "link", "set", link, "master", config.BRIDGE, "up")
        enter = ("nsenter", "--target", str(self.pid), "--net", "--")
        await _run(*enter, "ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        await _run(*enter, "ip", "link", "set", "eth0", "up")
        await _run(*enter, "ip", "route", "add", "default", "via", config.GATEWAY)
        (self._folder / "go").touch()

    async def _until_ready(self) -> None:
        assert self._outer is not None
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        for _ in range(int(STARTED_WITHIN_S / 0.05)):
            if (self._folder / "ready").exists():
                self.pid = int(children.read_text().split()[0])
                return
            if self._outer.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise PodError(f"pod {self.name} did not start: {self.log.read_text(errors='replace')[-1000:]}")

    async def ended(self) -> int:
        """Wait for the command to end. Returns its exit status."""
        assert self._outer is not None
        return await self._outer.wait()

    def environment(self) -> dict[str, str]:
        """Return the variables of the container, those from the pod's own fields included."""
        own = {"PATH": PATH, "HOME": config.HOME, "HOSTNAME": self.name, "LANG": "C.UTF-8", **RAY}
        for one in self._pod["spec"]["containers"][0].get("env") or []:
            own[one["name"]] = str(one["value"]) if "value" in one else self._field(one.get("valueFrom") or {})
        return own

    def _field(self, source: Mapping[str, Mapping[str, str]]) -> str:
        if "resourceFieldRef" in source:
            name = source["resourceFieldRef"]["resource"].rpartition(".")[2]
            return str(math.ceil(requested(self._pod)[name]))
        meta = self._pod["metadata"]
        path = source.get("fieldRef", {}).get("fieldPath", "")
        if path.startswith("metadata.labels['"):
            return str(meta["labels"].get(path[len("metadata.labels['") : -2], ""))
        fields = {"status.podIP": self.address, "metadata.name": self.name, "metadata.uid": meta["uid"]}
        return str(fields.get(path, ""))

    async def execute(self, command: list[str], stdin: bool) -> asyncio.subprocess.Process:
        """Start a command inside the pod."""
        enter = ["nsenter", "--target", str(self.pid), *(f"--{name}" for name in ("mount", "uts", "ipc", "net", "pid"))]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *enter, "--root", "--wd", "--", "env", "-C", config.HOME, *command,
            stdin=pipe if stdin else asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=self.environment(),
            start_new_session=True,
        )  # fmt: skip

    async def kill(self, grace_s: float = 0.0) -> None:
        """End everything in the pod, with SIGTERM first where there is a grace."""
        if self._outer is None:
            return
        if grace_s and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._outer.wait(), grace_s)
        with contextlib.suppress(ProcessLookupError):
            self._outer.kill()
        await self._outer.wait()

    async def remove(self) -> None:
        """Remove its files: thousands, while the others are served."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise PodError(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")
