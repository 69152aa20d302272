"""The parts of a new session that are SkyPilot's: its clusters and its task file."""

import hashlib
from pathlib import Path

from cockpit.core.events import Event
from cockpit.core.model import ClusterSpec, FleetSpec, Session
from cockpit.core.task_events import TaskTaken
from cockpit.fleet.base import FleetError
from cockpit.fleet.sky.task import canonical_class
from cockpit.fleet.sky.task_file import TaskReading, describe, read_file, recorded_text
from cockpit.session.settings import NewSession
from cockpit.worker.create_error import CreateError

SKY_DEPTH = 2
SKY_CLUSTERS = 16
CLUSTERS_AT_MOST = 10_000


def sky_fleet(new: NewSession, repo: Path, gpus_per_run: int = 0) -> FleetSpec:
    """Return a fleet on SkyPilot. The most frequent class screens, another validates.

    Without `hardware` the classes are those of experiment.yaml, the plentiful one first. SkyPilot reports the class of
    each cluster.
    """
    counts = _hardware_counts(new.hardware) if new.hardware else {}
    task = read_task_file(repo, new.infra)
    check_gpus(task, gpus_per_run)
    if missing := set(counts) - {canonical_class(name) for name in task.classes}:
        named = ", ".join(task.classes) or "none"
        raise CreateError(f"experiment.yaml has no {min(missing)} among its accelerators, which are {named}")
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    if new.clusters and kinds and new.clusters != len(kinds):
        raise CreateError(
            f"--hardware {new.hardware} is {len(kinds)} clusters, not {new.clusters}: give one of the two"
        )
    kinds = kinds or [""] * (new.clusters or SKY_CLUSTERS)
    classes = sorted(counts, key=lambda kind: -counts[kind]) or list(task.classes)
    return FleetSpec(
        "sky",
        tuple(ClusterSpec(f"gpu-{i + 1:02d}", kind) for i, kind in enumerate(kinds)),
        depth=SKY_DEPTH,
        screen_hardware=classes[0] if classes else "",
        validate_hardware=classes[-1] if len(classes) > 1 else "",
        infra=new.infra,
    )


def check_gpus(task: TaskReading, gpus_per_run: int) -> None:
    """Raise CreateError where a run is to have other than all GPUs of its cluster; 0 asks for nothing."""
    for name, count in (task.gpus or {"GPU": 0}).items():
        if gpus_per_run in (0, count):
            continue
        has = f"a cluster of experiment.yaml has {count} {name}, and a run gets all of them"
        remedy = f"write {name}:{gpus_per_run} there and give more --clusters, which SkyPilot may put on one node"
        if not count:
            has, remedy = "experiment.yaml names no accelerator", "name one there"
        elif task.nodes > 1:
            remedy = "leave gpus_per_run out"
        raise CreateError(f"gpus_per_run = {gpus_per_run} does not fit: {has}; {remedy}")


def read_task_file(repo: Path, infra: str = "") -> TaskReading:
    """Return experiment.yaml as SkyPilot understands it. Raises CreateError."""
    try:
        return describe(repo / "experiment.yaml", infra)
    except FleetError as error:
        raise CreateError(str(error)) from error


def _hardware_counts(text: str) -> dict[str, int]:
    counts = {}
    for part in text.split(","):
        name, _, count = part.strip().partition(":")
        if not name or not count.isdecimal() or not 0 < int(count) <= CLUSTERS_AT_MOST:
            raise CreateError(f"{part!r} is not a hardware list: write CLASS:COUNT, such as H100:13,H200:3")
        counts[canonical_class(name)] = int(count)
    return counts


def task_taken(repo: Path, session: Session, at: float) -> list[Event]:
    """Record the task file of a session on SkyPilot."""
    if session.fleet.kind != "sky":
        return []
    text = recorded_text(read_file(repo / "experiment.yaml"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return [TaskTaken(at=at, text=text, sha256=digest, author=session.created_by)]
