"""Make the clusters and the task file of a new session on SkyPilot."""

import hashlib
from collections.abc import Collection
from pathlib import Path

from cockpit.core.events import Event
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.shares import share_names
from cockpit.core.task_events import TaskTaken
from cockpit.create.error import CreateError
from cockpit.fleet.base import FleetError
from cockpit.fleet.sky.classes import accelerator_of
from cockpit.fleet.sky.task_file import TaskReading, describe, read_file, recorded_text
from cockpit.session.settings import NewSession

SKY_DEPTH = 2
SKY_CLUSTERS = 16
CLUSTERS_AT_MOST = 10_000


def sky_fleet(new: NewSession, repo: Path, gpus_per_run: int = 0) -> FleetSpec:
    """Return a fleet on SkyPilot. The most frequent class screens, another validates.

    Without `hardware` the classes are those of experiment.yaml, the plentiful one first. SkyPilot reports the class of
    each cluster.
    """
    asked = _hardware_counts(new.hardware) if new.hardware else {}
    task = read_task_file(repo, new.infra)
    spelled = {name.lower(): name for name in task.classes}
    if missing := [name for name in asked if name.lower() not in spelled]:
        named = ", ".join(task.classes) or "none"
        raise CreateError(f"experiment.yaml has no {min(missing)} among its accelerators, which are {named}")
    counts = {spelled[name.lower()]: count for name, count in asked.items()}
    check_gpus(task, gpus_per_run, counts)
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    if new.clusters and kinds and new.clusters != len(kinds):
        raise CreateError(
            f"--hardware {new.hardware} is {len(kinds)} clusters, not {new.clusters}: give one of the two"
        )
    kinds = kinds or [""] * (new.clusters or SKY_CLUSTERS)
    classes = sorted(counts, key=lambda kind: -counts[kind]) or list(task.classes)
    clusters = _clusters(kinds, task, gpus_per_run)
    is_shared = len(clusters) > len(kinds)
    return FleetSpec(
        "sky",
        clusters,
        # The next job of a cluster starts in any of its shares, so a share is given a run when it is free.
        depth=1 if is_shared else SKY_DEPTH,
        screen_hardware=classes[0] if classes else "",
        validate_hardware=classes[-1] if len(classes) > 1 else "",
        infra=new.infra,
    )


def _clusters(kinds: list[str], task: TaskReading, gpus_per_run: int) -> tuple[ClusterSpec, ...]:
    """Return the session's clusters: SkyPilot clusters of these classes, or the shares of them that runs get."""
    clusters: list[ClusterSpec] = []
    for number, kind in enumerate(kinds, 1):
        gpus = task.gpus.get(kind) or max(task.gpus.values(), default=0)  # all have the same if none is named
        shares = gpus // gpus_per_run if gpus_per_run else 1
        clusters += [
            ClusterSpec(name, kind, gpus=gpus_per_run if shares > 1 else 1)
            for name in share_names(f"gpu-{number:02d}", shares)
        ]
    return tuple(clusters)


def check_gpus(task: TaskReading, gpus_per_run: int, kinds: Collection[str] = ()) -> None:
    """Raise CreateError where the GPUs of a cluster are not those of a whole number of runs; 0 asks for nothing.

    `kinds` are the classes that the clusters are asked for as; none where a launch may have any.
    """
    asked = {name: count for name, count in task.gpus.items() if not kinds or name in kinds}
    for name, count in (asked or {"GPU": 0}).items():
        if gpus_per_run in (0, count):
            continue
        has = f"a cluster of experiment.yaml has {count} {accelerator_of(name)}"
        if not count:
            has, remedy = "experiment.yaml names no accelerator", "name one there"
        elif task.nodes > 1:
            has, remedy = f"{has} on {task.nodes} nodes, and a run gets all of them", "leave gpus_per_run out"
        elif count % gpus_per_run:
            fitting = ", ".join(str(one) for one in range(1, count + 1) if count % one == 0)
            has, remedy = f"{has}, which runs of {gpus_per_run} do not fill", f"give one of {fitting}"
        elif not kinds and len(set(asked.values())) > 1:
            has = "a cluster of experiment.yaml has " + " or ".join(
                f"{number} {accelerator_of(one)}" for one, number in asked.items()
            )
            remedy = "give --hardware, such as " + ",".join(f"{one}:1" for one in asked)
        else:
            continue
        raise CreateError(f"gpus_per_run = {gpus_per_run} does not fit: {has}; {remedy}")


def read_task_file(repo: Path, infra: str = "") -> TaskReading:
    """Return experiment.yaml as SkyPilot understands it. Raises CreateError."""
    try:
        return describe(repo / "experiment.yaml", infra)
    except FleetError as error:
        raise CreateError(str(error)) from error


def _hardware_counts(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = part.strip().rpartition(":")  # a class may have a colon: A10:0.167
        if not name or not count.isdecimal() or not 0 < int(count) <= CLUSTERS_AT_MOST:
            raise CreateError(f"{part!r} is not a hardware list: write CLASS:COUNT, such as H100:13,H200:3")
        if name.lower() in (one.lower() for one in counts):
            raise CreateError(f"--hardware {text} has {name} twice: give one number of clusters for each class")
        counts[name] = int(count)
    return counts


def task_taken(repo: Path, session: Session, at: float) -> list[Event]:
    """Record the task file of a session on SkyPilot."""
    if session.fleet.kind != "sky":
        return []
    text = recorded_text(read_file(repo / "experiment.yaml"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return [TaskTaken(at=at, text=text, sha256=digest, author=session.created_by)]
