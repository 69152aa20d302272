"""Ask SkyPilot if a task's resources are available: free GPUs of Kubernetes and Slurm, and quotas of clouds.

`python -m cockpit.fleet.sky.room FILE` prints the answer as JSON: importing SkyPilot and asking its API server take
seconds.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from cockpit.fleet.sky import private_names
from cockpit.fleet.sky.error_text import sentence
from cockpit.fleet.sky.task_file import read_file, read_task

NAMES = {"kubernetes": "Kubernetes", "slurm": "Slurm", "ssh": "the SSH node pools"}


class Room(msgspec.Struct):
    """Sentences about what there is, and about what is not there."""

    words: list[str] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)


class Gpus(msgspec.Struct):
    """The GPUs of one class, on all nodes."""

    free: int = 0
    all: int = 0
    on_a_node: int = 0
    """The most that one node has."""


def room_for(task: Any, sdk: Any, quota: Callable[[Any], str]) -> Room:
    """Ask about each alternative of a task. `quota` returns why a cloud grants nothing for one; empty if it may."""
    enabled = {str(cloud).lower() for cloud in sdk.get(sdk.enabled_clouds())}
    tables = {
        "kubernetes": lambda: sdk.realtime_kubernetes_gpu_availability(),
        "ssh": lambda: sdk.realtime_kubernetes_gpu_availability(is_ssh=True),
        "slurm": lambda: sdk.realtime_slurm_gpu_availability(),
    }
    room, found = Room(), dict[str, dict[str, Gpus]]()
    for one in sorted(task.resources, key=lambda one: str(one.accelerators)):
        places = enabled if one.cloud is None else {str(one.cloud).lower()}
        for place in sorted(places & set(tables) - set(found)):
            try:
                found[place] = _by_class(sdk.get(tables[place]()))
            except Exception as error:  # a place that fails in any way must not hide the others
                room.problems.append(f"{NAMES[place]} does not tell its GPUs: {sentence(error)}")
                found[place] = {}
        for name, count in (one.accelerators or {}).items():
            _tell(room, name, int(count), {NAMES[place]: found[place] for place in sorted(places & set(found))})
            if not places <= set(tables) and (why := quota(one)):
                room.problems.append(why)
    return room


def _by_class(answer: Iterable[tuple[str, Iterable[Any]]]) -> dict[str, Gpus]:
    """Add the rows of all contexts up. SkyPilot's RealtimeGpuAvailability comes from its API server as a list."""
    classes: dict[str, Gpus] = {}
    for _, rows in answer:
        for name, counts, capacity, available in rows:
            gpus = classes.setdefault(name.upper(), Gpus())
            gpus.free += available
            gpus.all += capacity
            gpus.on_a_node = max([gpus.on_a_node, *counts])
    return classes


def _tell(room: Room, name: str, count: int, places: dict[str, dict[str, Gpus]]) -> None:
    for place, classes in places.items():
        gpus = classes.get(name.upper())
        if gpus is None:
            if len(places) == 1 and classes:
                room.problems.append(f"no node of {place} has {name}: there is {', '.join(sorted(classes))}")
        elif gpus.on_a_node < count:
            room.problems.append(f"no node of {place} has {count} {name}: the most is {gpus.on_a_node}")
        else:
            room.words.append(f"{gpus.free} of {gpus.all} {name} of {place} are free")


def main() -> None:
    from sky.client import sdk

    path = Path(sys.argv[1])
    task = read_task(read_file(path), path)
    room = room_for(task, sdk, private_names.quota_problem if private_names.api_server_is_local() else lambda one: "")
    print(msgspec.json.encode(room).decode())


if __name__ == "__main__":
    main()
