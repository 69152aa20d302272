"""The Kubernetes lab's nodes and files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kube.objects import Object

NAMESPACE = "default"
CONTEXT = "cockpit-lab"
API_PORT = 16443
SUBNET = "10.78.0"
GATEWAY = f"{SUBNET}.1"
BRIDGE = "cockpit-kube"
HOME = "/podhome"
"""Home in a pod: root's own may hold the Python that the lab runs on."""
FIREWALL = [
    ["FORWARD", "-i", BRIDGE, "-j", "ACCEPT"],
    ["FORWARD", "-o", BRIDGE, "-j", "ACCEPT"],
    ["INPUT", "-i", BRIDGE, "-j", "ACCEPT"],
    ["POSTROUTING", "-t", "nat", "-s", f"{SUBNET}.0/24", "!", "-d", f"{SUBNET}.0/24", "-j", "MASQUERADE"],
]


@dataclass(frozen=True)
class NodePlan:
    """A node: `gpu` is the class it claims, of which it has `gpus`."""

    name: str
    gpu: str
    gpus: int = 1


SHARED_GPUS = 8


def layout(h100: int, h200: int) -> list[NodePlan]:
    """Describe `h100` nodes h100-01 ... and `h200` nodes h200-01 ... with a GPU each, and one with 8 A100."""
    counts = (("H100", h100), ("H200", h200))
    nodes = [NodePlan(f"{gpu.lower()}-{i:02d}", gpu) for gpu, count in counts for i in range(1, count + 1)]
    return [*nodes, NodePlan("a100-01", "A100", SHARED_GPUS)]


def node_object(plan: NodePlan) -> Object:
    """Return a node with a GPU label that SkyPilot knows. Processors and memory are claimed: they are the machine's."""
    room = {
        "cpu": "64",
        "memory": "512Gi",
        "ephemeral-storage": "1000Gi",
        "pods": "110",
        "nvidia.com/gpu": str(plan.gpus),
    }
    return {
        "metadata": {
            "name": plan.name,
            "labels": {
                "kubernetes.io/hostname": plan.name,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "skypilot.co/accelerator": plan.gpu.lower(),
            },
        },
        "spec": {},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "Hostname", "address": plan.name}, {"type": "InternalIP", "address": GATEWAY}],
            "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.34.0"},
        },
    }


KUBECONFIG = f"""\
apiVersion: v1
kind: Config
current-context: {CONTEXT}
clusters:
- name: {CONTEXT}
  cluster: {{server: "http://127.0.0.1:{API_PORT}"}}
users:
- name: {CONTEXT}
  user: {{token: lab}}
contexts:
- name: {CONTEXT}
  context: {{cluster: {CONTEXT}, user: {CONTEXT}, namespace: {NAMESPACE}}}
"""
IMAGES = """\
Tag,Region,OS,OSVersion,ImageId,CreationDate
skypilot:custom-cpu-ubuntu-2204-v1,,ubuntu,22.04,this-machine,20260101
skypilot:custom-gpu-ubuntu-2204-v1,,ubuntu,22.04,this-machine,20260101
"""
"""SkyPilot's catalog of images, which it would download."""
_POD_SCRIPT = """\
#!/bin/bash
# In new mount, pid, uts, net and ipc namespaces: make the root of a pod, a copy of this machine's; then its command.
set -e
lab={lab} cache={cache} pod=$1 name=$2
shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs "$pod/layer"
root=$pod/layer/root
mkdir "$pod/layer/upper" "$pod/layer/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$pod/layer/upper,workdir=$pod/layer/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
for folder in dev/shm tmp run; do mount -t tmpfs tmpfs "$root/$folder"; done
chmod 1777 "$root/tmp" "$root/dev/shm"
mkdir "$root/run/sshd"
for folder in bin runs; do mount --bind "$lab/$folder" "$root$lab/$folder"; done
mkdir -p "$root{home}" "$root$cache"
mount --bind "$pod/home" "$root{home}"
mount --bind "$cache" "$root$cache"
mount --bind "$lab/bin/curl" "$root/usr/bin/curl"
mount --bind "$pod/hosts" "$root/etc/hosts"
for program in python python3; do ln -sf {python} "$root/usr/local/bin/$program"; done
hostname "$name"
ip link set lo up
touch "$pod/ready"
until [ -e "$pod/go" ]; do sleep 0.05; done
exec chroot "$root" env -C {home} "$@"
"""


def pod_script(lab: Path, cache: Path, python: str) -> str:
    """Return the script that starts a pod of a lab. All pods share uv's cache, and have this Python."""
    return _POD_SCRIPT.format(
        lab=shlex.quote(str(lab)), cache=shlex.quote(str(cache)), home=HOME, python=shlex.quote(python)
    )
