"""A real Slurm on one Debian machine, for the real SkyPilot to launch on.

Every node is a `slurmd` in its own network and UTS namespace, with one fake GPU. Slurm, its sshd and all that
SkyPilot starts on the nodes run in one mount namespace, where root's home, /tmp, /etc/slurm, /etc/hosts and curl
are the lab's own: no file of the machine is written. SkyPilot's side (client, API server) lives outside,
in a HOME and on a port of its own, so a developer's ~/.sky and ~/.ssh are not touched either.

On the machine itself the lab leaves, while it is up, a bridge, four iptables rules and IP forwarding, and `down`
takes them back. Debian packages it had to install stay, and so does uv's cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import config
from tests.lab.processes import LabError, hold, in_namespace, kill, namespace_of, run
from tests.lab.sky_side import PATH, SkySide, write_files

ROOT = Path("/var/tmp/cockpit-lab")
API_PORT = 46577
USER_ID = "c0c4917a"  # another than a developer's own: SkyPilot names clusters and shared connections after it
PACKAGES = {  # a program the lab needs: the Debian package that brings it
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "iptables": "iptables",
    "rsync": "rsync",
    "nc": "netcat-openbsd",
    "socat": "socat",
    "bc": "bc",
    "curl": "curl",
}


@dataclass(frozen=True)
class Node:
    """One Slurm node: `gpu` is the class it claims (H100 or H200), `pid` keeps its namespaces alive."""

    name: str
    gpu: str
    address: str
    port: int
    pid: int


def unavailable() -> str | None:
    """Return the reason the lab cannot run on this machine, in a sentence; None if it can."""
    if platform.system() != "Linux" or not Path("/etc/debian_version").exists():
        return "the lab needs Debian: it installs Slurm with apt-get"
    if os.geteuid() != 0:
        return "the lab needs root: it makes network namespaces and a bridge"
    if not (Path(sys.executable).parent / "sky").exists():
        return "the lab needs SkyPilot: pip install -e '.[sky,test]'"
    try:
        run("unshare", "--mount", "--uts", "--net", "true")
    except (LabError, FileNotFoundError) as error:
        return f"the lab needs namespaces, and this machine refuses them: {error}"
    return None


@contextlib.contextmanager
def alone(root: Path = ROOT) -> Iterator[None]:
    """Hold the machine's lab. A lab left by a killed run is taken down. Raises LabError if it is in use."""
    with root.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("the lab is in use on this machine: there can be one at a time") from None
        with contextlib.suppress(LabError):
            Lab.running(root).down()
        yield


class Lab(SkySide):
    """`with Lab(h100=3, h200=1) as lab:` brings everything up and takes it down again."""

    def __init__(self, h100: int = 3, h200: int = 1, root: Path = ROOT) -> None:
        if root.is_relative_to("/tmp"):
            raise ValueError(f"{root} is under /tmp, which the lab hides from its nodes: choose another folder")
        super().__init__(root, API_PORT, USER_ID)
        self.plan = config.layout(h100, h200)
        self.head_pid = 0
        self.nodes: dict[str, Node] = {}
        self._forwarding_was = "1"

    @classmethod
    def running(cls, root: Path = ROOT) -> Lab:
        """Return the lab another process brought up. Raises LabError if there is none."""
        try:
            state = json.loads((root / "state.json").read_text())
        except FileNotFoundError:
            raise LabError(f"no lab is up in {root}: bring one up first") from None
        lab = cls(root=root)
        lab.head_pid = state["head_pid"]
        lab._forwarding_was = state["forwarding_was"]
        lab.nodes = {name: Node(**node) for name, node in state["nodes"].items()}
        return lab

    def up(self) -> None:
        """Install missing packages, then start Slurm, its nodes and SkyPilot. If a step fails all is taken down."""
        if reason := unavailable():
            raise LabError(reason)
        if self.root.exists():
            raise LabError(f"{self.root} is there already: take that lab down first")
        install_packages()
        try:
            self._write_files()
            self._start_network()
            self._start_head()
            self._start_nodes()
            self.await_idle(*self.nodes)
            self.start_api_server()
            self.sky("check", "slurm")
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Stop everything and remove every trace. Safe to call twice, or on a lab that came up halfway."""
        self.stop_api_server()
        if self.head_pid:
            inside = namespace_of(self.head_pid, "mnt")
            kill(lambda: in_namespace("mnt", inside))
        self.nodes, self.head_pid = {}, 0
        _quietly("ip", "link", "delete", config.BRIDGE)
        for rule in (*config.FIREWALL, config.OFFLINE):
            _quietly("iptables", "--delete", *rule)
        _forwarding().write_text(self._forwarding_was)
        self.remove_files()

    def _write_files(self) -> None:
        for name in ("spool", "state", "log", "dev", "bin", "munge", "ssh", "tmp", "home", "client-tmp", "runs"):
            (self.root / name).mkdir(parents=True)
        (self.root / "node-home/.ssh").mkdir(parents=True)
        (self.root / "tmp").chmod(0o1777)
        (self.root / "dev/gpu0").touch()
        (self.root / "munge/key").write_bytes(os.urandom(128))
        (self.root / "munge/key").chmod(0o400)
        self.write_stand_ins()
        write_files(config.files(self.root, self.plan))
        for key in ("host", "login"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.root / "ssh" / key))
        shutil.copy(self.root / "ssh/login.pub", self.root / "node-home/.ssh/authorized_keys")

    def _start_network(self) -> None:
        self._forwarding_was = _forwarding().read_text().strip()
        _forwarding().write_text("1")
        run("ip", "link", "add", config.BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{config.GATEWAY}/24", "dev", config.BRIDGE)
        run("ip", "link", "set", config.BRIDGE, "up")
        for rule in config.FIREWALL:
            run("iptables", "--append", *rule)

    def _start_head(self) -> None:
        self.head_pid = hold(["unshare", "--mount", "--uts", "--propagation", "private"], "mnt")
        self._save()
        self.on_head("hostname", config.HEAD)
        for folder in ("/etc/slurm", "/run/sshd"):
            Path(folder).mkdir(exist_ok=True)
        for own, theirs in config.mounts(self.root):
            self.on_head("mount", "--bind", str(own), str(theirs))
        munge = {name: f"--{name}-file={self.root}/munge/{name}" for name in ("key", "pid", "log", "seed")}
        self.on_head("munged", "--force", f"--socket={self.root}/munge/socket", *munge.values())
        self.on_head("/usr/sbin/sshd", "-f", f"{self.root}/etc/sshd_config")
        self.on_head("slurmctld")

    def _start_nodes(self) -> None:
        for planned in self.plan:
            pid = hold([*self._enter_head(), "unshare", "--net", "--uts"], "net")
            node = Node(**asdict(planned), pid=pid)
            self.nodes[node.name] = node
            self._save()
            link = f"lab{node.port}"
            run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
            run("ip", "link", "set", link, "master", config.BRIDGE, "up")
            self.on_node(node.name, "ip", "address", "add", f"{node.address}/24", "dev", "eth0")
            self.on_node(node.name, "ip", "link", "set", "lo", "up")
            self.on_node(node.name, "hostname", node.name)
            self.join(node.name)
            self.revive(node.name)

    def await_idle(self, *names: str, within_s: float = 180) -> None:
        """Wait until Slurm finds these nodes idle. Raises LabError after `within_s`."""
        deadline = time.monotonic() + within_s
        states: dict[str, str] = {}
        while time.monotonic() < deadline:
            with contextlib.suppress(LabError):  # slurmctld may not listen yet
                states = self.node_states()
            if all(states.get(name) == "idle" for name in names):
                return
            time.sleep(0.5)
        raise LabError(f"after {within_s:g} s not every node is idle: {states}")

    def _save(self) -> None:
        nodes = {name: asdict(node) for name, node in self.nodes.items()}
        state = {"head_pid": self.head_pid, "forwarding_was": self._forwarding_was, "nodes": nodes}
        (self.root / "state.json").write_text(json.dumps(state))

    def kill(self, name: str) -> None:
        """Kill the node: its slurmd and everything that runs on it."""
        keeper = self.nodes[name].pid
        inside = namespace_of(keeper, "net")
        kill(lambda: (pid for pid in in_namespace("net", inside) if pid != keeper))

    def revive(self, name: str) -> None:
        """Start a killed node again, empty."""
        (self.root / "spool" / name).mkdir(exist_ok=True)
        self.on_node(name, "slurmd", "-N", name)

    def cut(self, name: str) -> None:
        """Unplug the node's network; its runs continue."""
        self.on_node(name, "ip", "link", "set", "eth0", "down")

    def join(self, name: str) -> None:
        """Plug the node's network in again."""
        self.on_node(name, "ip", "link", "set", "eth0", "up")
        self.on_node(name, "ip", "route", "replace", "default", "via", config.GATEWAY)

    def go_offline(self) -> None:
        """Cut SkyPilot's side off Slurm's login node, as on a train; runs on the nodes continue."""
        run("iptables", "--insert", *config.OFFLINE)

    def go_online(self) -> None:
        run("iptables", "--delete", *config.OFFLINE)

    def on_head(self, *command: str, timeout_s: float = 60) -> str:
        """Run a command on Slurm's login node; its standard output."""
        return run(*self._enter_head(), *command, timeout_s=timeout_s, env=self._node_env())

    def on_node(self, name: str, *command: str, timeout_s: float = 60) -> str:
        """Run a command on a node; its standard output."""
        # Not `ip netns exec`: it mounts another /sys, in which slurmd finds no cgroup.
        enter = ["nsenter", "--target", str(self.nodes[name].pid), "--mount", "--uts", "--net", "--"]
        return run(*enter, *command, timeout_s=timeout_s, env=self._node_env())

    def node_states(self) -> dict[str, str]:
        """Node name to Slurm's word for its state: idle, mixed, allocated, `down*` ..."""
        lines = self.on_head("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return dict(line.split() for line in lines)

    def jobs(self) -> dict[str, str]:
        """Slurm's own jobs, name to state. A SkyPilot cluster is one job named after it."""
        lines = self.on_head("squeue", "--noheader", "--format=%j %T").splitlines()
        return dict(line.split() for line in lines)

    def node_of(self, cluster: str) -> str:
        """Return the node that a SkyPilot cluster runs on."""
        lines = self.on_head("squeue", "--noheader", "--states=running", "--format=%j %N").splitlines()
        return next(node for job, node in (line.split() for line in lines) if job.startswith(f"{cluster}-"))

    def _enter_head(self) -> list[str]:
        return ["nsenter", "--target", str(self.head_pid), "--mount", "--uts", "--"]

    def _node_env(self) -> dict[str, str]:
        return {"PATH": PATH, "HOME": str(self.root / "node-home"), "LANG": "C.UTF-8"}


def install_packages() -> None:
    """Install with apt-get the Debian packages whose program is not there."""
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program, path=PATH)})
    if not missing:
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    lock = ("-o", "DPkg::Lock::Timeout=300")
    run("apt-get", *lock, "update", timeout_s=300, env=env)
    run("apt-get", *lock, "install", "-y", "--no-install-recommends", *missing, timeout_s=900, env=env)


def _quietly(*command: str) -> None:
    with contextlib.suppress(LabError):
        run(*command)


def _forwarding() -> Path:
    return Path("/proc/sys/net/ipv4/ip_forward")
