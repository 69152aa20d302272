"""An experiment as SkyPilot's task: the run that proves which code it ran, and the folder that is synced. No SkyPilot
is needed here.

SkyPilot copies a workdir to the one `~/sky_workdir` of a cluster when a job is submitted, and deletes nothing there: of
jobs queued together the earlier ones would run the later ones' code. So each attempt has a folder of its own,
`variants/ATTEMPT`, and runs in it.
"""

import shlex
import shutil
from pathlib import Path
from typing import Any

from cockpit.fleet.base import Job

SETUP = "cockpit-setup"
"""The name of the job that sets a cluster up."""
SESSION_VARIABLE = "COCKPIT_SESSION"
"""Tells whose cluster one is, from the task it was launched with."""
TIMED_OUT = 124
NO_FOLDER, RAN_BEFORE = 97, 98

_RUN = """\
cd variants/{name} || {{ echo 'cockpit: its folder did not arrive'; exit {no_folder}; }}
mkdir .started || {{ echo 'cockpit: it ran here before'; exit {ran_before}; }}
cockpit_hashes() {{
  echo "train_sha256=$(sha256sum < train.py | cut -c 1-64) prepare_sha256=$(sha256sum < prepare.py | cut -c 1-64)"
}}
echo "COCKPIT_START $(cockpit_hashes) at=$(date +%s.%N)"
cockpit_home=$PWD
set -m
(
{run}
) < /dev/null &
cockpit_run=$!
trap 'kill -TERM -$cockpit_run' TERM
(
sleep {limit}
touch .timed_out
kill -TERM -$cockpit_run
sleep 10
kill -KILL -$cockpit_run
) > /dev/null 2>&1 < /dev/null &
cockpit_watch=$!
wait $cockpit_run
cockpit_code=$?
kill -KILL -$cockpit_watch -$cockpit_run 2> /dev/null
cd "$cockpit_home"
[ -e .timed_out ] && cockpit_code={timed_out}
echo
echo "COCKPIT_END $(cockpit_hashes) exit=$cockpit_code at=$(date +%s.%N)"
exit $cockpit_code
"""


_WHERE = ("infra", "cloud", "region", "zone")


def elsewhere(resources: dict[str, Any], infra: str) -> dict[str, Any]:
    """A task file's resources, all of its alternatives on `infra` wherever they were to be."""
    moved = {name: value for name, value in resources.items() if name not in _WHERE} | {"infra": infra}
    for name in ("any_of", "ordered"):
        if name in resources:
            moved[name] = [{k: v for k, v in one.items() if k not in _WHERE} for one in resources[name]]
    return moved


def run_script(job: Job, run: str) -> str:
    """What runs on the cluster: the task's own `run`, in the attempt's folder, between the hashes of its code.

    It ends itself at its time limit, so that a cluster is not lost to a run that hangs while no worker looks; exit
    status 124 says so. A second job of the same name leaves at once.
    """
    return _RUN.format(
        name=shlex.quote(job.name),
        run=run.rstrip(),
        limit=f"{job.time_limit_s:g}",
        timed_out=TIMED_OUT,
        no_folder=NO_FOLDER,
        ran_before=RAN_BEFORE,
    )


def stage(job: Job) -> Path:
    """The workdir of an attempt: nothing but `variants/ATTEMPT` with a copy of its files. Raises OSError."""
    workdir = stage_folder(job)
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(job.source, workdir / "variants" / job.name, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    # Without it SkyPilot leaves out what a .gitignore names, and a file of the variant would not arrive.
    (workdir / ".skyignore").touch()
    return workdir


def stage_folder(job: Job) -> Path:
    """Where `stage` makes it, absolute: a relative workdir is taken from the API server's folder."""
    return (job.source.parent / f"{job.source.name}.run").absolute()
