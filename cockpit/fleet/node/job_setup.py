"""Prepares a run for its runner, on this machine and on a node alike: its limits, hidden folders and scorer.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cockpit import scoring
from cockpit.fleet.node.confinement import Sandbox, Wall, available, confined, environment_paths
from cockpit.fleet.node.environment import kernel_folders
from cockpit.fleet.node.system_calls import Confinement

if TYPE_CHECKING:
    from cockpit.fleet.node.job import ResourceLimits, ScorerJob

FEEDER, SERVER, EXPORT = (Path(scoring.__file__).with_name(name) for name in ("feeder.py", "server.py", "export"))
SERVER_INHERITS = (
    "PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES",
    "HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME",
)  # fmt: skip
SERVER_HAS = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"}
"""One thread: on a busy machine a second one waits at each barrier, and waiting takes processor time. Nothing is
compiled: it would take longer than the answers."""
SCORING_LIMIT_S = 900.0
"""Seconds after which the scorer of a run is ended."""
MEMORY_SHARE = 0.95
"""Share of the machine's memory that the confined runs of all slots may use together."""
PROCESSES_AT_MOST = 2_000
"""Processes of one run, confined or not: many more would take the machine from its owner."""
DISK_MB_AT_MOST = 200_000
DISK_SHARE = 0.5
"""Share of the free disk that the confined runs of all slots may fill together."""
OWN_TEMPORARY = ".tmp"


def limits(slots: int, cores: int, limited: bool, folder: Path) -> ResourceLimits:
    """Return the limits of a run in `folder` on a machine that `slots` runs share, with `cores` for each.

    A run that is not `limited` has the limit of processes alone.
    """
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") / 2**20
    free_mb = shutil.disk_usage(folder).free / 2**20
    return {
        "memory_mb": MEMORY_SHARE * memory_mb / slots if limited else 0,
        "processes": PROCESSES_AT_MOST,
        "cores": max(1, cores) if limited and slots > 1 else 0,
        "disk_mb": max(1, min(DISK_MB_AT_MOST, DISK_SHARE * free_mb / slots)) if limited else 0,
    }


def set_temporary_folder(wall: Wall, source: Path, environment: dict[str, str]) -> None:
    """Give a run a temporary folder: bubblewrap makes one, behind Landlock it is in the run's own folder."""
    if wall is Wall.LANDLOCK:
        (source / OWN_TEMPORARY).mkdir(exist_ok=True)
        environment["TMPDIR"] = str(source / OWN_TEMPORARY)
    elif wall is Wall.BUBBLEWRAP:
        environment.pop("TMPDIR", None)


def export_model(environment: dict[str, str]) -> None:
    """Make a run save the model that it evaluates, whatever starts its script."""
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(EXPORT), environment.get("PYTHONPATH"))))


def make_read_only(paths: Iterable[Path]) -> None:
    """Make protected files read-only, also if the wall cannot. Their hashes prove that they were not changed."""
    for path in paths:
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def sealed_folders(environment: Mapping[str, str]) -> list[Path]:
    """Return the folders of the sealed shards, beside the folders of the data."""
    data = Path.home() / ".cache" / "autoresearch", Path(environment.get("COCKPIT_DATA_DIR") or "data")
    return [folder.with_name(f"{folder.name}-sealed") for folder in data]


def scorer(folder: Path, python: str, environment: dict[str, str], within: ResourceLimits, sealed: bool) -> ScorerJob:
    """Return the scorer of a run for its runner, whose folder is `folder`.

    Its servers see the variant's code, but no text, no data and not each other. They are confined whenever the machine
    can do it, even if the person's runs are not.
    """
    wall = available().wall
    server = [python, "-I", str(SERVER), "model.pt"]
    alone = {name: environment[name] for name in SERVER_INHERITS if name in environment} | SERVER_HAS
    readable = (*environment_paths(server), SERVER.parent.resolve(), *kernel_folders(environment))
    servers = {
        str(place): {
            "command": confined(server, Sandbox(place, readable, shared_memory=False, fixed=(place,)), wall),
            "environment": alone | {"TMPDIR": str(place)} if wall is Wall.LANDLOCK else alone,
        }
        for place in (folder / "scoring", folder / "probing")
    }
    return {
        "command": [python, "-I", str(FEEDER)],
        "environment": environment,
        "time_limit_s": SCORING_LIMIT_S,
        "confinement": Confinement(wall, locks=False),
        "limits": within,
        "model": environment.get("COCKPIT_MODEL", ""),
        "work": {"servers": servers, "code": str(folder / "code"), "sealed": sealed},
    }
