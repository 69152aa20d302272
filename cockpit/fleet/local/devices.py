"""The devices of this machine: NVIDIA GPUs and their MIG slices, AMD GPUs, Apple's GPU, else its cores."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cockpit.core.session import ClusterSpec

CORES_PER_SLOT = 2
ASK_S = 10.0
_MAKERS = frozenset({"NVIDIA", "TESLA", "GEFORCE", "AMD", "RADEON", "INSTINCT", "(TM)", "(R)"})
"""Words of a device's name that do not distinguish devices."""
_PROCESSES = frozenset(
    {"nproc_per_node", "num_processes", "num_gpus", "gpus_per_node", "devices", "gpus", "ngpus", "n_gpus"}
)
"""Options of torchrun, accelerate, deepspeed and Lightning for the number of processes, one for each device."""
_MPI = frozenset({"mpirun", "mpiexec", "horovodrun"})
_MPI_PROCESSES = frozenset({"-n", "-np"})
_LISTED = re.compile(r"(?:[\w.-]+:)?(\d{1,3}(?:,\d{1,3})+)")
"""Devices by number: `--gpus 0,1`, or those of a host in deepspeed's `--include localhost:0,1`."""
_NPROC = re.compile(r"torchrun\b[^\n]{0,80}--nproc[_-]per[_-]node[= ](\d{1,3})\b")
_PLAIN = re.compile(r"(?:python3?|uv run)(?: -\w+)* \w[\w/-]*\.py\b")
_ALL_DEVICES = frozenset({"gpu", "auto"})
"""Values of these options that stand for all devices of the machine."""
_CARD = re.compile(r"card(\d{1,3})")
_SERIES = ("Card Series", "Card series", "Card Model", "Card model")
"""Keys of rocm-smi's table for a device's name, which differ by release."""
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
    groups = _groups(found, gpus_per_run)
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


def _groups(found: Sequence[Device], size: int) -> list[list[Device]]:
    """Return groups of devices of one class each; if no class has enough of them, groups of several classes."""
    alike = {device.hardware: [one for one in found if one.hardware == device.hardware] for device in found}
    full = [group[at : at + size] for group in alike.values() for at in range(0, len(group) - size + 1, size)]
    full.sort(key=lambda group: found.index(group[0]))
    return full or [list(found[at : at + size]) for at in range(0, len(found) - size + 1, size)]


def devices_of_command(command: Sequence[str]) -> int:
    """Return the number of devices for which a command starts processes, by the options of its launcher."""
    launchers = {Path(word).name for word in takewhile(lambda word: not word.endswith(".py"), command)}
    for word, following in pairwise((*command, "")):
        name, _, value = word.partition("=")
        if name in _MPI_PROCESSES and launchers & _MPI and following.isdecimal() and following.isascii():
            return max(1, int(following))
        if name == "--include" and _LISTED.fullmatch(value or following):
            return (value or following).count(",") + 1
        if name.lstrip("-").replace("-", "_") in _PROCESSES and name.startswith("--"):
            value = value or following
            if value.isascii() and value.isdigit():
                return max(1, int(value))
            if _LISTED.fullmatch(value):
                return value.count(",") + 1
            if value in _ALL_DEVICES:
                return max(1, len(devices()))
    return max(1, len(devices())) if "deepspeed" in launchers else 1


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
    """List the usable CUDA devices: all, or those that CUDA_VISIBLE_DEVICES names, in its order.

    As in CUDA the first name without a device ends the list. A GPU that is divided into MIG slices is its slices.
    """
    table = _output("nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader")
    rows = [[part.strip() for part in line.split(",", 2)] for line in table.splitlines() if line.count(",") > 1]
    found = [(index, Device(uuid, gpu_class(name))) for index, uuid, name in rows if index.isdecimal()]
    if not found:
        return []
    slices = _mig_slices([device for _, device in found])
    whole = {index: slices.get(device.id) or [device] for index, device in found}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [device for index, _ in found for device in whole[index]]
    usable: dict[str, Device] = {}
    for name in (part.strip() for part in visible.split(",")):
        named = [one for index, device in found if name == index or _has_id(device, name) for one in whole[index]]
        named = named or [one for each in slices.values() for one in each if _has_id(one, name)]
        if not named and name.startswith("MIG-"):
            named = [Device(name, f"{found[0][1].hardware}-MIG")]  # it is not listed here
        if not named:
            break
        usable |= {device.id: device for device in named}
    return list(usable.values())


def driver_trouble() -> str:
    """Return the words of an nvidia-smi that lists no GPU, such as those of a broken driver; empty for any other."""
    said = _output("nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader").split("\n", 1)[0].strip()
    return "" if said[:1].isdecimal() else said


def _has_id(device: Device, name: str) -> bool:
    """Return True if a name is a device's UUID or the beginning of it, which CUDA takes too."""
    return name.startswith(("GPU-", "MIG-")) and device.id.startswith(name)


def _mig_slices(found: Sequence[Device]) -> dict[str, list[Device]]:
    """Return the MIG slices of each divided GPU by its UUID, as `nvidia-smi -L` lists them below it."""
    slices: dict[str, list[Device]] = {}
    parts = re.split(r"^GPU \d+: ", _output("nvidia-smi", "-L"), flags=re.MULTILINE)[1:]
    for part in parts:
        parent = next((device for device in found if device.id in part.splitlines()[0]), None)
        for profile, uuid in _MIG_LINE.findall(part):
            hardware = f"{parent.hardware if parent else 'GPU'}-MIG-{profile}"
            slices.setdefault(parent.id if parent else "", []).append(Device(uuid, hardware))
    return slices


def amd_devices() -> list[Device]:
    """List the usable ROCm devices: all, or those that HIP_VISIBLE_DEVICES names, in its order.

    Without it HIP reads CUDA_VISIBLE_DEVICES. ROCR_VISIBLE_DEVICES hides devices from HIP, which counts the others.
    """
    try:
        text = _output("rocm-smi", "--showproductname", "--json") or "{}"
        cards = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
    except (msgspec.MsgspecError, RecursionError):
        return []
    numbered = {int(own[1]): card for name, card in cards.items() if (own := _CARD.fullmatch(name))}
    hidden_by = "ROCR_VISIBLE_DEVICES"
    variable = hidden_by if os.environ.get(hidden_by) else "HIP_VISIBLE_DEVICES"
    found = []
    for number, (_, card) in enumerate(sorted(numbered.items())):
        series = next((name for key in _SERIES if (name := str(card.get(key) or "")) not in ("", "N/A")), "GPU")
        found.append(Device(str(number), gpu_class(series), variable))
    visible = os.environ.get(variable, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if visible is None:
        return found
    usable: dict[str, Device] = {}
    for name in (part.strip() for part in visible.split(",")):
        if (named := next((device for device in found if device.id == name), None)) is None:
            break
        usable[name] = named
    return list(usable.values())


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
    """Return the standard output of a command; empty if it cannot be run.

    One that fails may have printed the devices that still work.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False).stdout
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
    kind = "HIP " if spec.device_variable in ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES") else ""
    return [f"{kind}{device}" if device else spec.hardware for device in spec.device.split(",")]
