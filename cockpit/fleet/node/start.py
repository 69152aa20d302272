"""Runs one experiment on a node of a cluster, behind the same walls and with the same scorer as on this machine.

The node has no cockpit: a copy of the needed modules comes with each job. FOLDER holds `order.json`. The variant is in
`variants/NAME` of the folder that all jobs share. The runner's notes are printed among the run's lines, signed with the
order's key, which is removed before the run starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cockpit.fleet.node import job_setup, runner
from cockpit.fleet.node.confinement import (
    SYSTEM,
    SYSTEM_FILES,
    Sandbox,
    Wall,
    available,
    confined,
    environment_paths,
    parts_of_prefix,
)
from cockpit.fleet.node.environment import data_folders
from cockpit.fleet.node.signed import END, START, signed_line
from cockpit.fleet.node.system_calls import Confinement
from cockpit.scoring import sealed

if TYPE_CHECKING:
    from cockpit.fleet.node.job import RunJob

RAN_BEFORE, TIMED_OUT = 98, 124
RETRY_FOR_S = 60.0
"""Seconds that a run waits for room on the node's disk. The node is billed meanwhile."""
FETCH_WITHIN_S = 240.0
"""Seconds that fetching the sealed shard may take. The run waits for it, and must start within ten minutes."""
NOT_FOR_RUNS = frozenset(("boot", "dev", "etc", "home", "lost+found", "proc", "root", "run", "sys", "tmp", "var"))
"""Folders of / that the wall hides, or shows in part. The others hold software and data."""
NOT_SHOWN = frozenset(("sky_logs", "sky_workdir"))
"""Folders of the home that hold the code and the output of other runs."""
SHARED = ("/", "/tmp", "/var", "/var/tmp", "/home", "/root", "/run", "/mnt")
"""Folders that hold more than an environment."""
_BUILDS = re.compile(r"^\[build-system]|^package = true", re.MULTILINE)
"""Lines of a pyproject.toml whose project is installed. It is installed from the set-up's folder."""
_PATH = re.compile(r"(?<![\w./$}~-])/[\w.+@/-]*[\w+@-]")
_PROGRAM = re.compile(r"(?<![\w./$}~-])/[\w.+@/-]*/bin/[\w.+@-]+")


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    wanted = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    own = folder / os.environ.get("SKYPILOT_NODE_RANK", "0")  # several nodes may share one home
    own.mkdir(exist_ok=True)
    if not (own / "job.json").exists():
        (own / "job.json").write_text(json.dumps(job(wanted, folder, own)), encoding="utf-8")
    if int(os.environ.get("SKYPILOT_NUM_NODES", "1")) == 1:
        (folder / "order.json").unlink()  # with several nodes, the others still read it
    if wanted["rescore"]:
        fetch_sealed_shard(folder.parent.parent / "variants" / wanted["name"])

    def tell(kind: str, note: dict[str, object]) -> None:
        print(signed_line(wanted["key"], kind, note), flush=True)

    ended = runner.run_job(str(own), lambda note: tell(START, note), RETRY_FOR_S)
    if not ended:
        print("cockpit: it ran here before")
        raise SystemExit(RAN_BEFORE)
    print()  # the run's last line may lack a line end
    tell(END, ended)
    for path in (own / "scoring", own / "probing"):
        shutil.rmtree(path, ignore_errors=True)
    code = TIMED_OUT if ended["reason"] == "timeout" else ended["exit_code"]
    raise SystemExit(code if isinstance(code, int) and 0 <= code < 256 else 1)


def job(wanted: dict[str, Any], folder: Path, own: Path) -> RunJob:
    """Return the job for the runner."""
    shared = folder.parent.parent
    source = shared / "variants" / wanted["name"]
    environment = dict(os.environ)
    wall = available().wall if wanted["confine"] else Wall.NONE
    job_setup.set_temporary_folder(wall, source, environment)
    made = environment_of_set_up(shared, environment)
    python = python_of(environment, made)
    if wanted["exports"]:
        job_setup.export_model(environment)
    if made and wall is not Wall.NONE and not _BUILDS.search(_text(source / "pyproject.toml")):
        # Behind the wall uv has no cache from which it could make another environment.
        environment = {"UV_NO_SYNC": "1", "UV_NO_CACHE": "1", **environment, "UV_PROJECT_ENVIRONMENT": str(made)}
    sandbox = sandbox_of(wanted, source, environment, python, made)
    job_setup.make_read_only(sandbox.fixed)
    if wall is not Wall.NONE:
        for path in unseen(wanted["run"], sandbox):
            print(f"cockpit: {path} is on this node, and a confined run does not see it: list it in `readable`")
    return {
        "name": wanted["name"],
        "source": str(source),
        "script": wanted["script"],
        "hashed": wanted["hashed"],
        "data": wanted["data"],
        "writable": str(source),
        "log_path": "",
        "environment": environment,
        "command": confined(["bash", "-c", wanted["run"]], sandbox, wall),
        "time_limit_s": wanted["time_limit_s"],
        "confinement": Confinement(wall, sandbox.network),
        "limits": job_setup.limits(1, 0, wanted["confine"], source),
        "scorer": job_setup.scorer(
            own, python, environment, job_setup.limits(1, 0, True, source), wanted["rescore"] == "whole"
        )
        if wanted["rescore"]
        else None,
    }


def sandbox_of(
    wanted: dict[str, Any], source: Path, environment: dict[str, str], python: str, made: Path | None
) -> Sandbox:
    """Return the files that the run sees behind its wall, and its right to the network."""
    shared = source.parent.parent
    named = [Path(name).expanduser() for name in wanted["readable"]]
    hidden = [path.resolve() for path in (shared, *job_setup.sealed_folders(environment)) if path.is_absolute()]
    shown = (path for path in shown_folders() if path.resolve() not in hidden)
    readable = (
        *environment_paths([python]), *(environment_paths([str(made / "bin" / "python")]) if made else ()),
        *environments_of(wanted["run"], environment), *shown, *data_folders(environment), *data_of(environment),
        *([job_setup.EXPORT] if wanted["exports"] else []),
    )  # fmt: skip
    return Sandbox(
        source,
        (*readable, *(path for path in named if path.is_absolute() and path.exists())),
        network=wanted["network"] or int(environment.get("SKYPILOT_NUM_NODES", "1")) > 1,
        hidden=tuple(hidden),
        fixed=tuple(source / path for path in wanted["protected"]),
    )


def fetch_sealed_shard(source: Path) -> None:
    """Fetch the sealed shard of a repository like karpathy/autoresearch, once. Prints the reason if it cannot."""
    path = sealed.sealed_shard(source)
    if path is None or path.exists():
        return
    print(f"cockpit: fetching {path.name}, which no run sees, to score runs on", flush=True)
    try:
        for _ in sealed.fetch(source, FETCH_WITHIN_S):
            pass
    except sealed.SealedShardProblem as error:
        print(f"cockpit: {error}", flush=True)


def environment_of_set_up(shared: Path, environment: dict[str, str]) -> Path | None:
    """Return the environment that the task's set-up made beside the folders of runs, as `uv sync` does."""
    made = shared / (environment.get("UV_PROJECT_ENVIRONMENT") or ".venv")
    return made if (made / "bin" / "python").exists() else None


def python_of(environment: dict[str, str], made: Path | None) -> str:
    """Return the Python with train.py's packages: COCKPIT_PYTHON, or that of an environment of the set-up."""
    own = Path.home() / ".cockpit-venv" / "bin" / "python"
    names = (environment.get("COCKPIT_PYTHON", ""), str(made / "bin" / "python") if made else "", str(own), "python",
             "python3")  # fmt: skip
    return next((found for name in names if name and (found := shutil.which(name))), sys.executable)


def environments_of(run: str, environment: dict[str, str]) -> Iterator[Path]:
    """Yield the folders of the environments that the task's run names by a path, or that are on the PATH."""
    programs = [*_PROGRAM.findall(run), *(f"{one}/python" for one in environment.get("PATH", "").split(os.pathsep))]
    for program in programs:
        prefix = Path(program).parent.parent
        holds_more = str(prefix) in SHARED or Path.home().resolve().is_relative_to(prefix.resolve())
        if Path(program).parent.name == "bin" and prefix.is_dir() and not holds_more:
            yield from parts_of_prefix(prefix)
            yield from environment_paths([str(prefix / "bin" / "python")])


def unseen(run: str, sandbox: Sandbox) -> list[str]:
    """Return the absolute paths in the task's run that exist on the node but are hidden from a confined run."""
    seen = (*sandbox.readable, sandbox.folder, *map(Path, (*SYSTEM, *SYSTEM_FILES, "/dev", "/proc")))
    named = [path for path in dict.fromkeys(_PATH.findall(run)) if Path(path).exists() and path not in SHARED]
    return [
        path
        for path in named
        if not any(Path(path).is_relative_to(one) or one.is_relative_to(path) for one in (*seen, *sandbox.hidden))
    ]


def data_of(environment: dict[str, str]) -> list[Path]:
    """List the folder of the prepared data, if the task names one."""
    named = Path(environment.get("COCKPIT_DATA_DIR") or "data")
    return [named] if named.is_absolute() else []


def shown_folders() -> Iterator[Path]:
    """Yield the folders of software and data on the node, which a task may put anywhere.

    Folders of the home whose names begin with a dot hold keys and caches. Environments among them are shown, and the
    programs and libraries of the others.
    """
    home = Path.home()
    for child in _children(Path("/")):
        if child.name not in NOT_FOR_RUNS and not home.is_relative_to(child.resolve()):
            yield child
    for child in _children(home):
        if child.name not in NOT_SHOWN and (not child.name.startswith(".") or (child / "bin").is_dir()):
            yield from parts_of_prefix(child)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _children(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [child for child in sorted(folder.iterdir()) if child.is_dir()]
    return []
