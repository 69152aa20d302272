"""Turns an experiment into SkyPilot's task: the runner that runs it, and the folder that is synced. SkyPilot is not
needed here.

SkyPilot copies a workdir to the one `~/sky_workdir` of a cluster when a job is submitted, and deletes nothing there: of
jobs queued together the earlier ones would run the later ones' code. Each attempt therefore has and runs in a folder of
its own, `variants/NAME`; its runner, which the run does not see, has `runners/NAME`. `NAME` is its job's name there.
"""

import json
import secrets
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cockpit
from cockpit.core.session import RunAccess
from cockpit.fleet.base import Job
from cockpit.fleet.node.disk import may_pass
from cockpit.scoring.contract import leaves_model

SETUP = "cockpit-setup"
"""The name of the job that sets a cluster up."""
SESSION_VARIABLE, ID_VARIABLE = "COCKPIT_SESSION", "COCKPIT_SESSION_ID"
"""Variables of the task a cluster was launched with; they name the session that owns it."""
NO_PYTHON, NO_FOLDER = 96, 97
NODE_PYTHON = (3, 9)
"""The oldest Python of a node that can run the runner; SkyPilot's own on a node is 3.10."""
SHIPPED = (
    "__init__.py", "fleet/__init__.py", "fleet/secret_names.py", "fleet/node", "scoring/__init__.py",
    "scoring/asking.py", "scoring/probes.py", "scoring/feeder.py", "scoring/server.py", "scoring/sealed.py",
    "scoring/export",
)  # fmt: skip
"""The modules of cockpit that come to a node with each job."""

_RUN = """\
cd runners/{name} || {{ echo 'cockpit: its folder did not arrive'; exit {no_folder}; }}
for python in "$(cat ~/.sky/python_path 2> /dev/null)" python3 ~/skypilot-runtime/bin/python "$COCKPIT_PYTHON"; do
  "$python" -I -c 'import sys; sys.exit(sys.version_info < {oldest})' > /dev/null 2>&1 && break
  python=
done
[ -n "$python" ] || {{ echo 'cockpit: its node has no Python {oldest[0]}.{oldest[1]} or later'; exit {no_python}; }}
exec "$python" -I -c \
  'import sys; sys.path.insert(0, sys.argv[1]); from cockpit.fleet.node.start import main; main()' "$PWD"
"""


def absolute_mounts(mounts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a task file's mounts with local paths taken from `folder`; SkyPilot takes them from the process's own
    folder."""

    def absolute(source: Any) -> Any:
        if isinstance(source, list):
            return [absolute(one) for one in source]
        if isinstance(source, dict) and "source" in source:
            return source | {"source": absolute(source["source"])}
        return str(folder / source) if isinstance(source, str) and "://" not in source and source[:1] != "~" else source

    return {target: absolute(source) for target, source in mounts.items()}


def run_script(name: str) -> str:
    """Return the script that runs on the cluster: it starts the runner of a staged job, in the job's own folder.

    The runner ends the run at its time limit, so that a run that hangs does not hold a cluster while no worker looks. A
    second job of the same name leaves at once; each node of a cluster runs it once.
    """
    return _RUN.format(name=shlex.quote(name), no_folder=NO_FOLDER, no_python=NO_PYTHON, oldest=NODE_PYTHON)


def write_order(job: Job, name: str, run: str, mounts: Iterable[str], access: RunAccess) -> None:
    """Write the order for the runner of a staged job: `run` is the task's own. Raises OSError.

    A job that is sent again keeps its key: it may have arrived the first time.
    """
    order = {
        "name": name,
        "script": job.script,
        "hashed": list(job.hashed),
        "protected": list(job.protected),
        "data": job.data,
        "run": run,
        "time_limit_s": job.time_limit_s,
        "key": key_of(job, name) or secrets.token_hex(32),
        "confine": access.confine,
        "network": access.network,
        "readable": [*access.readable, *mounts],
        "rescore": job.rescore,
        "exports": bool(job.environment.get("COCKPIT_MODEL")) and not leaves_model(job.folder),
    }
    path = _order_path(job, name)
    path.touch(mode=0o600)
    path.write_text(json.dumps(order), encoding="utf-8")


def key_of(job: Job, name: str) -> str:
    """Return the key that the runner of a staged job signs its notes with; empty if it has none.

    Raises OSError where this process may open no file for now: no note would fit another key.
    """
    try:
        return str(json.loads(_order_path(job, name).read_text(encoding="utf-8"))["key"])
    except OSError as error:
        if may_pass(error):
            raise
        return ""
    except (ValueError, KeyError):
        return ""


def _order_path(job: Job, name: str) -> Path:
    return stage_folder(job) / "runners" / name / "order.json"


def stage(job: Job, name: str) -> Path:
    """Make the workdir of an attempt: `variants/NAME` with a copy of its files, and `runners/NAME`. Raises OSError."""
    workdir = stage_folder(job)
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(job.folder, workdir / "variants" / name, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    package = Path(cockpit.__file__).parent
    for part in SHIPPED:
        target = workdir / "runners" / name / "cockpit" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (package / part).is_dir():
            shutil.copytree(package / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(package / part, target)
    # Without it SkyPilot leaves out what a .gitignore names, and a file of the variant would not arrive.
    (workdir / ".skyignore").touch()
    return workdir


def stage_folder(job: Job) -> Path:
    """Return the folder that `stage` makes, absolute: a relative workdir is taken from the API server's folder."""
    return (job.source.parent / f"{job.source.name}.run").absolute()
