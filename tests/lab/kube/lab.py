"""A stand-in of Kubernetes on one machine, for the real SkyPilot and the real kubectl to launch on.

Real: SkyPilot (client, API server, skylet, its set-up of a pod), kubectl, rsync, the processes of a pod and their
network. Stand-in: the API server, the scheduler, the kubelet and the node controller (this package), the GPUs, which
are numbers, and the image: a pod's root is a copy of this machine's, in mount, pid, UTS, IPC and network namespaces.
There are no cgroups, so that a pod is not held to the processors and memory it asks for.

On the machine itself the lab leaves, while it is up, a bridge, four iptables rules and IP forwarding, and `down`
takes them back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab import config as slurm_config
from tests.lab.kube import config
from tests.lab.processes import LabError, command_line, kill, pids, run
from tests.lab.sky_side import SkySide, write_files

ROOT = Path("/var/tmp/cockpit-kube")
SKY_PORT = 46578
USER_ID = "c0c4917b"
SERVER = "tests.lab.kube.server"
PROGRAMS = ("unshare", "nsenter", "ip", "iptables", "rsync", "curl", "socat", "nc", "sshd", "wget", "patch")


def unavailable() -> str | None:
    """Return the reason the lab cannot run on this machine, in a sentence; None if it can."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return "the Kubernetes lab needs root on Linux: it makes namespaces and a bridge"
    for program in ("sky", "kubectl"):
        if not (Path(sys.executable).parent / program).exists():
            return f"the Kubernetes lab needs {program}: pip install -e '.[sky,test]'"
    with contextlib.suppress(LabError):
        run("sh", "-c", f"command -v {' '.join(PROGRAMS)}", timeout_s=10)
        missing = [one for one in PROGRAMS if not _has(one)]
        if missing:
            return f"the Kubernetes lab needs {', '.join(missing)}"
    try:
        with_overlay = "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay o"
        with_overlay += " -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m"
        run("unshare", "--mount", "--pid", "--uts", "--net", "--ipc", "--fork", "sh", "-c", with_overlay)
    except (LabError, FileNotFoundError) as error:
        return f"the Kubernetes lab needs namespaces and overlays, and this machine refuses them: {error}"
    return None


def _has(program: str) -> bool:
    with contextlib.suppress(LabError):
        run("sh", "-c", f"PATH=$PATH:/usr/sbin:/sbin command -v {program}", timeout_s=10)
        return True
    return False


@contextlib.contextmanager
def alone(root: Path = ROOT) -> Iterator[None]:
    """Hold the machine's lab. A lab left by a killed run is taken down. Raises LabError if it is in use."""
    with root.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("the Kubernetes lab is in use on this machine: there can be one at a time") from None
        if root.exists():
            KubeLab(root=root).down()
        yield


class KubeLab(SkySide):
    """`with KubeLab() as lab:` brings everything up and takes it down again: 13 H100 nodes and 3 H200, as in the
    published night, and a node with 8 A100. A node costs nothing; a pod costs the memory of its processes."""

    def __init__(self, h100: int = 13, h200: int = 3, root: Path = ROOT) -> None:
        super().__init__(root, SKY_PORT, USER_ID)
        self._plan = (h100, h200)

    def up(self) -> None:
        """Start the API server's stand-in and SkyPilot. If a step fails all is taken down."""
        if reason := unavailable():
            raise LabError(reason)
        if self.root.exists():
            raise LabError(f"{self.root} is there already: take that lab down first")
        try:
            self.up_without_skypilot()
            self.start_api_server()
            self.sky("check", "kubernetes")
        except BaseException:
            self.down()
            raise

    def up_without_skypilot(self) -> None:
        """Start the API server's stand-in alone. The caller takes it down."""
        self._write_files()
        self._start_network()
        self._start_server()

    def down(self) -> None:
        """Stop everything and remove every trace. Safe to call twice, or on a lab that came up halfway."""
        self.stop_api_server()
        mark = f"{SERVER} {self.root}"
        kill(lambda: (pid for pid in pids() if mark in command_line(pid)))
        pods = f"{self.root}/pods/"
        kill(lambda: (pid for pid in pids() if command_line(pid).startswith("unshare ") and pods in command_line(pid)))
        _quietly("ip", "link", "delete", config.BRIDGE)
        for rule in config.FIREWALL:
            _quietly("iptables", "--delete", *rule)
        with contextlib.suppress(FileNotFoundError):
            _forwarding().write_text((self.root / "forwarding").read_text())
        self.remove_files()

    def _write_files(self) -> None:
        for name in ("bin", "pods", "runs", "home", "client-tmp"):
            (self.root / name).mkdir(parents=True)
        slurm_config.uv_cache().mkdir(parents=True, exist_ok=True)
        self.write_stand_ins()
        script = config.pod_script(self.root, slurm_config.uv_cache(), f"{sys.base_prefix}/bin/python3")
        write_files(
            {
                self.root / "bin/pod": (script, 0o755),
                self.root / "home/.kube/config": (config.KUBECONFIG, 0o600),
                self.root / "home/.sky/catalogs/v8/kubernetes/images.csv": (config.IMAGES, 0o644),
            }
        )

    def _start_network(self) -> None:
        (self.root / "forwarding").write_text(_forwarding().read_text())
        _forwarding().write_text("1")
        run("ip", "link", "add", config.BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{config.GATEWAY}/24", "dev", config.BRIDGE)
        run("ip", "link", "set", config.BRIDGE, "up")
        for rule in config.FIREWALL:
            run("iptables", "--append", *rule)

    def _start_server(self) -> None:
        command = [sys.executable, "-m", SERVER, str(self.root), *(str(count) for count in self._plan)]
        top = Path(__file__).parents[3]
        with (self.root / "server.log").open("wb") as log:
            started = subprocess.Popen(
                command, cwd=top, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(600):
            with contextlib.suppress(LabError):
                self._ask("GET", "readyz")
                return
            if started.poll() is not None:
                break
            time.sleep(0.1)
        raise LabError(f"the API server's stand-in did not start: {(self.root / 'server.log').read_text()[-2000:]}")

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{config.API_PORT}/{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            raise LabError(f"{path}: {error.read().decode(errors='replace')}") from None
        except OSError as error:
            raise LabError(f"{path}: {error}") from None

    # Outages

    def evict(self, pod: str, message: str = "The node was low on resource: ephemeral-storage.") -> None:
        """Evict a pod, as the kubelet of a node under pressure does."""
        self._ask("POST", f"lab/evict/{pod}?message={urllib.parse.quote(message)}")

    def kill_node(self, node: str) -> None:
        """Kill a node, with all that runs on it."""
        self._ask("POST", f"lab/kill/{node}")

    def revive_node(self, node: str) -> None:
        """Let a dead node serve again, empty."""
        self._ask("POST", f"lab/revive/{node}")

    def nodes(self) -> list[str]:
        """Return the nodes, by name."""
        items = json.loads(self._ask("GET", "api/v1/nodes"))["items"]
        return [each["metadata"]["name"] for each in items]

    def cordon(self, *nodes: str) -> None:
        """Let nodes take no new pod, as full ones do."""
        for node in nodes:
            self.kubectl("cordon", node)

    def uncordon(self, *nodes: str) -> None:
        """Let nodes take pods again."""
        for node in nodes:
            self.kubectl("uncordon", node)

    def kubectl(self, *arguments: str, timeout_s: float = 120) -> str:
        """Run the real kubectl on the lab; its standard output."""
        return run(str(Path(sys.executable).parent / "kubectl"), *arguments, timeout_s=timeout_s, env=self.env())

    def pods(self) -> dict[str, str]:
        """Pod name to the node it is on; empty for none."""
        items: list[dict[str, Any]] = json.loads(self._ask("GET", f"api/v1/namespaces/{config.NAMESPACE}/pods"))[
            "items"
        ]
        return {each["metadata"]["name"]: each["spec"].get("nodeName", "") for each in items}

    def pod_of(self, cluster: str) -> str:
        """Return the pod that a SkyPilot cluster runs on, by the beginning of the cluster's name."""
        return next(pod for pod in self.pods() if pod.startswith(f"{cluster}-"))


def _quietly(*command: str) -> None:
    with contextlib.suppress(LabError):
        run(*command)


def _forwarding() -> Path:
    return Path("/proc/sys/net/ipv4/ip_forward")
