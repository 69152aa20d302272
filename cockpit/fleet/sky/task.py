"""Turns an experiment into SkyPilot's task: the run that proves its code, and the folder that is synced. SkyPilot is
not needed here.

SkyPilot copies a workdir to the one `~/sky_workdir` of a cluster when a job is submitted, and deletes nothing there: of
jobs queued together the earlier ones would run the later ones' code. Each attempt therefore has and runs in a folder of
its own, `variants/NAME`. `NAME` is its job's name there.
"""

import shlex
import shutil
from pathlib import Path
from typing import Any

from cockpit.fleet.base import Job

SETUP = "cockpit-setup"
"""The name of the job that sets a cluster up."""
SESSION_VARIABLE, ID_VARIABLE = "COCKPIT_SESSION", "COCKPIT_SESSION_ID"
"""Variables of the task a cluster was launched with; they name the session that owns it."""
TIMED_OUT = 124
NO_FOLDER, RAN_BEFORE = 97, 98

_RUN = """\
cd variants/{name} || {{ echo 'cockpit: its folder did not arrive'; exit {no_folder}; }}
mkdir ".started.${{SKYPILOT_NODE_RANK:-0}}" || {{ echo 'cockpit: it ran here before'; exit {ran_before}; }}
cockpit_marks() {{
  stat -c '%i %s %y %z' train.py prepare.py 2> /dev/null
}}
cockpit_hashes() {{
  [ "$(cockpit_marks)" = "$cockpit_marks" ] || {{ echo "train_sha256=changed prepare_sha256=changed"; return; }}
  echo "train_sha256=$(sha256sum < train.py | cut -c 1-64) prepare_sha256=$(sha256sum < prepare.py | cut -c 1-64)"
}}
cockpit_marks=$(cockpit_marks)
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


def canonical_class(name: str) -> str:
    """Return a hardware class as SkyPilot spells it: `h100` is H100. TPUs are lower-case there."""
    return name if name != name.lower() or name.startswith("tpu") else name.upper()


def run_script(job: Job, name: str, run: str) -> str:
    """Return the script that runs on the cluster: the task's own `run`, in `variants/NAME`, between the hashes of its
    code.

    Code that was edited and restored has other marks (a write changes the inode's time, which cannot be set), and its
    hashes then read `changed`.

    It ends itself at its time limit, so that a run that hangs does not hold a cluster while no worker looks; exit
    status 124 says so. A second job of the same name leaves at once; each node of a cluster runs it once.
    """
    return _RUN.format(
        name=shlex.quote(name),
        run=run.rstrip(),
        limit=f"{job.time_limit_s:g}",
        timed_out=TIMED_OUT,
        no_folder=NO_FOLDER,
        ran_before=RAN_BEFORE,
    )


def stage(job: Job, name: str) -> Path:
    """Make the workdir of an attempt: nothing but `variants/NAME` with a copy of its files. Raises OSError."""
    workdir = stage_folder(job)
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(job.folder, workdir / "variants" / name, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    # Without it SkyPilot leaves out what a .gitignore names, and a file of the variant would not arrive.
    (workdir / ".skyignore").touch()
    return workdir


def stage_folder(job: Job) -> Path:
    """Return the folder that `stage` makes, absolute: a relative workdir is taken from the API server's folder."""
    return (job.source.parent / f"{job.source.name}.run").absolute()
