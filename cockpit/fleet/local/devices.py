"""The devices of this machine: NVIDIA GPUs and their MIG slices, AMD GPUs, Apple's GPU, else its cores."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from cockpit.core.model import ClusterSpec

CORES_PER_SLOT = 2
ASK_S = 10.0
_MAKERS = frozenset({"NVIDIA", "TESLA", "GEFORCE", "AMD", "RADEON", "INSTINCT", "(TM)", "(R)"})
"""Words of a device's name that do not distinguish devices."""
_PROCESSES = frozenset({"nproc_per_node", "num_processes", "num_gpus", "gpus_per_node"})
"""Options of torchrun, accelerate and deepspeed for the number of processes, one for each device."""
_NPROC = re.compile(r"torchrun\b[^\n]{0,80}--nproc[_-]per[_-]node[= ](\d{1,3})\b")
_PLAIN = re.compile(r"(?:python3?|uv run)(?: -\w+)* \w[\w/-]*\.py\b")
_ALL_DEVICES = frozenset({"gpu", "auto"})
"""Values of these options that stand for all devices of the machine."""
_MIG_LINE = re.compile(r"^\s+MIG (\S+)\s.*UUID: (MIG-[\w/-]+)\)", re.MULTILINE)


class Device(NamedTuple):
    """A device that runs are placed on."""

    id: str
    """Its name in its maker's variable, such as CUDA_VISIBLE_DEVICES; empty if there is only one."""
    hardware: str
    """Its class, the full name of the accelerator, such as H100-80GB-HBM3."""
    variable: str = "CUDA_VISIBLE_DEVICES"
    """The variable that limits a run to the device."""


def slots(count: int = 0, gpus_per_run: int = 1) -> tuple[ClusterSpec, ...]:
    """List this machine's slots: `count` of them, or as many as its devices allow. A slot has `gpus_per_run` devices.

    If there are more slots than devices, slots share devices. Raises ValueError if a run needs more devices than there
    are.
    """
    found = devices()
    if gpus_per_run > max(1, len(found)):
        raise ValueError(f"a run needs {gpus_per_run} devices, and this machine has {len(found)}")
    if not found:
        count = count or max(1, cores() // CORES_PER_SLOT)
        return tuple(ClusterSpec(f"cpu-{i + 1:02d}", "CPU") for i in range(count))
    groups = [found[at : at + gpus_per_run] for at in range(0, len(found) - gpus_per_run + 1, gpus_per_run)]
    given = [groups[i % len(groups)] for i in range(count or len(groups))]
    return tuple(
        ClusterSpec(
            f"gpu-{i + 1:02d}",
            hardware_of(group),
            device=",".join(device.id for device in group),
            device_variable=group[0].variable,
            gpus=len(group),
        )
        for i, group in enumerate(given)
    )


def devices_of_command(command: Sequence[str]) -> int:
    """Return the number of devices for which a command starts processes, by its options of torchrun or accelerate."""
    for word, following in pairwise((*command, "")):
        name, _, value = word.partition("=")
        if name.lstrip("-").replace("-", "_") in _PROCESSES and name.startswith("--"):
            value = value or following
            if value.isascii() and value.isdigit():
                return max(1, int(value))
            if value in _ALL_DEVICES:
                return max(1, len(devices()))
    return 1


def devices_of_script(script: str) -> int:
    """Return the number of devices in a script's usage text; 1 if the text also starts it by plain Python.

    A number beyond this machine's devices is ignored.
    """
    usage = _NPROC.search(script)
    if usage is None or _PLAIN.search(script):
        return 1
    count = int(usage[1])
    return count if count <= len(devices()) else 1


def hardware_of(group: Sequence[Device]) -> str:
    """Return the class of a slot: that of its devices, with their number if there are several."""
    names = "+".join(dict.fromkeys(device.hardware for device in group))
    return names if len(group) == 1 else f"{len(group)}x{names}"


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices() -> list[Device]:
    """List the usable devices of the first maker that has any."""
    return nvidia_devices() or amd_devices() or apple_devices()


def nvidia_devices() -> list[Device]:
    """List the usable CUDA devices: all, or those that CUDA_VISIBLE_DEVICES names, in its order."""
    table = _output("nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader")
    rows = [[part.strip() for part in line.split(",", 2)] for line in table.splitlines() if line.count(",") > 1]
    found = [(index, Device(uuid, gpu_class(name))) for index, uuid, name in rows]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not found or visible is None:
        return [device for _, device in found]
    named = [part.strip() for part in visible.split(",") if part.strip()]
    slices = _mig_slices([device for _, device in found]) if any(name.startswith("MIG-") for name in named) else {}
    return [
        device
        for name in named
        for index, device in [*found, *(("", one) for one in slices.values())]
        if name == index or device.id.startswith(name)
    ] + [
        Device(name, f"{found[0][1].hardware}-MIG")
        for name in named
        if name.startswith("MIG-") and not any(one.startswith(name) for one in slices)
    ]


def _mig_slices(found: Sequence[Device]) -> dict[str, Device]:
    """Return the MIG slices of this machine by UUID, as `nvidia-smi -L` lists them below their GPUs."""
    slices: dict[str, Device] = {}
    parts = re.split(r"^GPU \d+: ", _output("nvidia-smi", "-L"), flags=re.MULTILINE)[1:]
    for part in parts:
        parent = next((device for device in found if device.id in part.splitlines()[0]), None)
        for profile, uuid in _MIG_LINE.findall(part):
            slices[uuid] = Device(uuid, f"{parent.hardware if parent else 'GPU'}-MIG-{profile}")
    return slices


def amd_devices() -> list[Device]:
    """List the usable ROCm devices: all, or those that HIP_VISIBLE_DEVICES names, in its order."""
    try:
        text = _output("rocm-smi", "--showproductname", "--json") or "{}"
        cards = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
    except (msgspec.MsgspecError, RecursionError):
        return []
    found = []
    for number, (_, card) in enumerate(sorted(cards.items())):
        series = card.get("Card Series") or card.get("Card series") or card.get("Card model") or "GPU"
        found.append(Device(str(number), gpu_class(str(series)), "HIP_VISIBLE_DEVICES"))
    visible = os.environ.get("HIP_VISIBLE_DEVICES")
    if visible is None:
        return found
    return [device for name in visible.split(",") for device in found if device.id == name.strip()]


def apple_devices() -> list[Device]:
    """List the GPU of Apple's own processors, which PyTorch uses as `mps`."""
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return []
    return [Device("", gpu_class(_output("sysctl", "-n", "machdep.cpu.brand_string").strip() or "Apple GPU"), "")]


def gpu_class(name: str) -> str:
    """Return a device's class: its full name without its maker, joined: `NVIDIA H100 80GB HBM3` is H100-80GB-HBM3."""
    words = [word for word in name.split() if word.upper() not in _MAKERS]
    return "-".join(words) or "GPU"


def _output(*command: str) -> str:
    """Return the standard output of a command; empty if it cannot be run or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=True).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""


def visibility_variables(spec: ClusterSpec) -> Iterable[tuple[str, str]]:
    """Yield the variables that limit a run to its slot's devices. A slot without a device hides CUDA devices."""
    variable = spec.device_variable or "CUDA_VISIBLE_DEVICES"
    if spec.device or variable == "CUDA_VISIBLE_DEVICES":
        yield variable, spec.device


def is_exclusive(spec: ClusterSpec) -> bool:
    """Return True if only one session at a time may use the slot's devices. Cores are shared."""
    return spec.hardware != "CPU"


def lock_names(spec: ClusterSpec) -> list[str]:
    """List the names that a slot's devices are locked by: unique on this machine, the same in every session."""
    if not is_exclusive(spec):
        return ["this machine's CPU"]
    kind = "" if spec.device_variable in ("", "CUDA_VISIBLE_DEVICES") else f"{spec.device_variable.split('_')[0]} "
    return [f"{kind}{device}" if device else spec.hardware for device in spec.device.split(",")]
