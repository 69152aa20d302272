"""SkyPilot's side of a lab: its client and API server, in a HOME and on a port of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.lab import config
from tests.lab.processes import LabError, command_line, environment, kill, pids, run

START_TRIES = 5
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SkySide:
    """A developer's own ~/.sky and ~/.ssh are not touched: SkyPilot follows HOME, and names clusters and shared
    connections after its user id."""

    def __init__(self, root: Path, port: int, user_id: str) -> None:
        self.root, self._port, self._user_id = root, port, user_id

    def up(self) -> None:
        """Bring the whole lab up."""
        raise NotImplementedError

    def down(self) -> None:
        """Stop everything and remove every trace."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.down()

    def write_stand_ins(self) -> None:
        """Write what SkyPilot would download: its catalog, uv and a Python 3.10 for the nodes."""
        (self.root / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy2(config.uv_binary(), self.root / "bin/uv-itself")
        shutil.copy2("/usr/bin/curl", self.root / "bin/curl-itself")
        python = f"{sys.base_prefix}/bin/python3" if sys.version_info < (3, 12) else ""
        write_files(config.stand_ins(self.root, python))

    def env(self) -> dict[str, str]:
        """Return the environment of the lab's SkyPilot client and API server."""
        return {
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "client-tmp"),
            "SKYPILOT_USER_ID": self._user_id,
            "SKYPILOT_API_SERVER_LOCAL_PORT": str(self._port),
            "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
            "PATH": f"{Path(sys.executable).parent}:{PATH}",
        }

    def sky(self, *arguments: str, timeout_s: float = 600) -> str:
        """Run the `sky` command on the lab; its standard output."""
        sky = Path(sys.executable).parent / "sky"
        return run(str(sky), *arguments, timeout_s=timeout_s, env={**os.environ, **self.env()})

    def clusters(self) -> list[str]:
        """SkyPilot's clusters."""
        return [record["name"] for record in json.loads(self.sky("status", "--output", "json"))]

    def start_api_server(self) -> None:
        """Start SkyPilot's API server, if it is not running.

        `sky api start` waits a minute for the server, which takes longer on a busy machine and comes up after that.
        """
        for _ in range(START_TRIES - 1):
            with contextlib.suppress(LabError):
                self.sky("api", "start")
                return
        self.sky("api", "start")

    def stop_api_server(self) -> None:
        """Kill the API server and all it started, as a crash would."""
        server = f"-m sky.server.server --host=127.0.0.1 --port={self._port}"
        kill(lambda: _with_descendants(pid for pid in pids() if server in command_line(pid)))
        # It leaves shared connections and a watcher for each of its processes.
        home = str(self.root / "home")
        left = ("sky/skylet/subprocess_daemon.py", "ssh", "kubectl")
        kill(lambda: (p for p in pids() if _is_one_of(left, p) and environment(p).get("HOME") == home))

    def remove_files(self) -> None:
        shutil.rmtree(f"/tmp/sky_ssh_{self._user_id}", ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)


def write_files(files: dict[Path, tuple[str, int]]) -> None:
    """Write files, given as path -> (text, mode)."""
    for path, (text, mode) in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)


def _with_descendants(roots: Iterable[int]) -> set[int]:
    found = set()
    for pid in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    return found


def _is_one_of(programs: tuple[str, ...], pid: int) -> bool:
    return any(word.endswith(programs) for word in command_line(pid).split()[:2])
