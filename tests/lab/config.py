"""The lab's files: Slurm's, sshd's and SkyPilot's configuration, and stand-ins for downloads."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

HEAD = "lab-head"
SUBNET = "10.77.0"
GATEWAY = f"{SUBNET}.1"
BRIDGE = "cockpit-lab"
SSH_PORT = 22022
# The nodes reach package registries through this machine.
FIREWALL = [
    ["FORWARD", "-i", BRIDGE, "-j", "ACCEPT"],
    ["FORWARD", "-o", BRIDGE, "-j", "ACCEPT"],
    ["INPUT", "-i", BRIDGE, "-j", "ACCEPT"],
    ["POSTROUTING", "-t", "nat", "-s", f"{SUBNET}.0/24", "!", "-d", f"{SUBNET}.0/24", "-j", "MASQUERADE"],
]
OFFLINE = ["INPUT", "-p", "tcp", "--dport", str(SSH_PORT), "-j", "DROP"]


@dataclass(frozen=True)
class NodePlan:
    """A node before it is started; `gpu` is the class it claims to have one of."""

    name: str
    gpu: str
    address: str
    port: int


def layout(h100: int, h200: int) -> list[NodePlan]:
    """Describe `h100` nodes h100-01 ... and `h200` nodes h200-01 ..., each with its address and slurmd port."""
    kinds = [("H100", i) for i in range(1, h100 + 1)] + [("H200", 100 + i) for i in range(1, h200 + 1)]
    return [NodePlan(f"{gpu.lower()}-{i % 100:02d}", gpu, f"{SUBNET}.{i + 10}", 17000 + i) for gpu, i in kinds]


def mounts(root: Path) -> list[tuple[Path, Path]]:
    """Return (the lab's own, what it hides from the nodes), to be bind-mounted in this order."""
    hidden = {
        "etc/passwd": "/etc/passwd",
        "etc/hosts": "/etc/hosts",
        "etc/slurm": "/etc/slurm",
        "bin/curl": "/usr/bin/curl",
        "tmp": "/tmp",
    }
    return [(root / own, Path(theirs)) for own, theirs in hidden.items()]


def stand_ins(root: Path, python: str) -> dict[Path, tuple[str, int]]:
    """Return what stands in for SkyPilot's downloads, as path -> (text, mode). `python` is the one that SkyPilot gets
    if it asks for 3.10."""
    return {
        root / "bin/curl": (_curl(root), 0o755),
        root / "bin/uv": (_uv(root, python), 0o755),
        # Without its catalog every launch fails.
        root / "home/.sky/catalogs/v8/common/accelerators.csv": (_ACCELERATORS, 0o644),
        root / "home/.sky/catalogs/v8/common/metadata.csv": (_METADATA, 0o644),
    }


def files(root: Path, nodes: list[NodePlan]) -> dict[Path, tuple[str, int]]:
    """Return the files of Slurm, its sshd and its users, as path -> (text, mode)."""
    return {
        root / "etc/slurm/slurm.conf": (_slurm_conf(root, nodes), 0o644),
        root / "etc/slurm/gres.conf": (_gres_conf(root, nodes), 0o644),
        root / "etc/sshd_config": (_sshd_config(root), 0o644),
        root / "etc/passwd": (_passwd(root), 0o644),
        root / "etc/hosts": (_hosts(nodes), 0o644),
        root / "home/.slurm/config": (_slurm_login(root), 0o644),
    }


_ACCELERATORS = """\
AcceleratorName,Clouds
H100,"['AWS', 'GCP', 'Kubernetes']"
H200,"['AWS', 'GCP', 'Kubernetes']"
"""
_METADATA = """\
GPU,MemoryGB,Manufacturer
H100,80,NVIDIA
H200,141,NVIDIA
"""


def _slurm_conf(root: Path, nodes: list[NodePlan]) -> str:
    lines = f"""\
ClusterName=lab
SlurmctldHost={HEAD}({GATEWAY})
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmdTimeout=30
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmdSpoolDir={root}/spool/%n
StateSaveLocation={root}/state
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.%n.log
SwitchType=switch/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
GresTypes=gpu
""".splitlines()
    lines += [
        f"NodeName={node.name} NodeAddr={node.address} Port={node.port} CPUs=8 RealMemory=65536"
        f" Gres=gpu:{node.gpu}:1 State=UNKNOWN"
        for node in nodes
    ]
    lines.append("PartitionName=gpu Nodes=ALL Default=YES MaxTime=7-00:00:00 State=UP OverSubscribe=NO")
    return "\n".join(lines) + "\n"


def _gres_conf(root: Path, nodes: list[NodePlan]) -> str:
    lines = [f"NodeName={node.name} Name=gpu Type={node.gpu} File={root}/dev/gpu0" for node in nodes]
    return "\n".join(["AutoDetect=off", *lines]) + "\n"


def _sshd_config(root: Path) -> str:
    return f"""\
Port {SSH_PORT}
ListenAddress 127.0.0.1
HostKey {root}/ssh/host
PidFile {root}/sshd.pid
AuthorizedKeysFile {root}/node-home/.ssh/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
MaxStartups 200:30:400
MaxSessions 200
"""


def _slurm_login(root: Path) -> str:
    return f"""\
Host lab
    HostName 127.0.0.1
    Port {SSH_PORT}
    User root
    IdentityFile {root}/ssh/login
"""


def _passwd(root: Path) -> str:
    """Return this machine's users, with root at home in the lab."""
    lines = []
    for line in Path("/etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == "root":
            fields[5], fields[6] = f"{root}/node-home", "/bin/bash"
        lines.append(":".join(fields))
    return "\n".join(lines) + "\n"


def _hosts(nodes: list[NodePlan]) -> str:
    # Without its own name at its own address a node's jobs end FAILED_SETUP.
    lines = ["127.0.0.1 localhost", f"{GATEWAY} {HEAD}", *(f"{node.address} {node.name}" for node in nodes)]
    return "\n".join(lines) + "\n"


def _curl(root: Path) -> str:
    """Return a curl that itself answers for uv's installer, which SkyPilot pipes into a shell on every new cluster."""
    return f"""\
#!/bin/bash
for word in "$@"; do
  case "$word" in
    *astral.sh/uv/install.sh*) echo 'mkdir -p "$UV_INSTALL_DIR" && cp {root}/bin/uv "$UV_INSTALL_DIR/uv"'; exit 0 ;;
  esac
done
exec {root}/bin/curl-itself "$@"
"""


def _uv(root: Path, python: str) -> str:
    """Return uv, with this machine's Python where a download of 3.10 is asked for, and one cache for all nodes."""
    exports = [f'export {name}="{value}"' for name, value in os.environ.items() if name == "SSL_CERT_FILE"]
    return "\n".join(
        [
            "#!/bin/bash",
            *exports,
            f'export UV_CACHE_DIR="{uv_cache()}"',
            "words=()",
            f'for word in "$@"; do [ "$word" = 3.10 ] && word="{python or "3.10"}"; words+=("$word"); done',
            f'exec {root}/bin/uv-itself "${{words[@]}}"',
            "",
        ]
    )


def uv_cache() -> Path:
    """Return uv's cache on this machine, which all nodes share."""
    return Path(os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")))


def uv_binary() -> Path:
    """Return where uv is. Raises FileNotFoundError if it is not installed."""
    if found := shutil.which("uv"):
        return Path(found)
    import uv

    return Path(uv.find_uv_bin())
