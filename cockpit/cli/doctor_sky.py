"""The checks of `cockpit doctor --fleet sky`: SkyPilot, the task with its scripts and image, and the room for it."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cockpit.cli.finding import Finding
from cockpit.core.installation import install_command
from cockpit.fleet.base import FleetError
from cockpit.fleet.sky import registry, scripts
from cockpit.fleet.sky.task_file import describe, read_file, read_task

ASK_S = 120.0
"""Timeout of a command of SkyPilot."""
TASK = "experiment.yaml"

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception): (.+)")
_DISABLED = re.compile(r"^  (\S.*?): disabled.*\n +Reason(?: \[[^]]*\])?: (.+)$", re.MULTILINE)
_ENABLED = re.compile(r"^  (\S.*?) \[[\w, ]+\]", re.MULTILINE)


def skypilot(where: Path | None, needed: bool) -> Iterator[Finding]:
    try:
        version = importlib.metadata.version("skypilot")
    except importlib.metadata.PackageNotFoundError:
        yield Finding("SkyPilot", "not installed", f"`{install_command('sky')}`, to run on clusters", needed)
        return
    if not needed:
        yield Finding("SkyPilot", f"{version}; `cockpit doctor --fleet sky` lists its infrastructure")
        return
    yield Finding("SkyPilot", version)
    command = shutil.which("sky", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if command is None:
        yield Finding("infra", "the command `sky` is not found", "put the environment's bin folder on PATH", needed)
        return
    if where is None:
        yield _infra(command)
        return
    task = _task(where)
    yield task
    if not task.ok:
        yield _infra(command)
        return
    parsed = read_task(read_file(where / TASK), where / TASK)
    with ThreadPoolExecutor() as pool:  # each of the first three is a process that takes seconds to load SkyPilot
        clusters, room = pool.submit(_clusters, command, where), pool.submit(_room, where)
        infra = pool.submit(_infra, command, {str(one.cloud) for one in parsed.resources if one.cloud is not None})
        images = pool.submit(lambda: list(_images(parsed)))
        yield _scripts(where, parsed)
        yield from images.result()
        yield infra.result()
        if infra.result().ok:
            yield clusters.result()
            yield from room.result()


def _sky(
    about: str, command: str, *words: str, where: Path | None = None
) -> subprocess.CompletedProcess[str] | Finding:
    """Run a `sky` command in its own process, as importing SkyPilot takes seconds. Returns a Finding if it fails."""
    try:
        return subprocess.run(
            [command, *words], capture_output=True, text=True, errors="replace", timeout=ASK_S, cwd=where,
            stdin=subprocess.DEVNULL, env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(about, f"`sky {words[0]}` gave no answer in {ASK_S:.0f} s", "run `sky api info`")
    except OSError as error:
        return Finding(about, f"`sky {words[0]}` cannot be run: {error.strerror}", "reinstall SkyPilot")


def _task(where: Path) -> Finding:
    """Check that SkyPilot reads experiment.yaml, and report how it understood the file."""
    try:
        found = describe(where / TASK)
    except FleetError as error:
        return Finding("task", f"{TASK} cannot be used", str(error))
    return Finding("task", "; ".join([", ".join(found.classes) or "no accelerator", *found.words]))


def _clusters(command: str, where: Path) -> Finding:
    """Check by SkyPilot's dry run that the resources of experiment.yaml can be launched. Nothing is launched."""
    done = _sky("clusters", command, "launch", "--dryrun", "--yes", TASK, where=where)
    if isinstance(done, Finding):
        return done
    if done.returncode == 0:
        return Finding("clusters", f"the resources of {TASK} can be launched")
    said = refusal(done.stdout + done.stderr)
    return Finding("clusters", said, f"change `resources` in {TASK}; `sky gpus list` lists the accelerators")


def refusal(output: str) -> str:
    """Return SkyPilot's reason not to launch from its output."""
    lines = [line.strip() for line in _ESCAPES.sub("", output).splitlines() if line.strip()]
    return next(
        (found[1] for found in map(_ERROR.match, lines) if found), lines[-1] if lines else "no reason was given"
    )


def _scripts(where: Path, task: Any) -> Finding:
    """Check the scripts of experiment.yaml without running them."""
    done = subprocess.run(
        ["git", "-C", str(where), "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, text=True, check=False
    )
    committed = set(done.stdout.splitlines())
    found = list(scripts.problems(task, TASK, lambda name: name in committed))
    if not found:
        return Finding("set-up", f"the scripts of {TASK} are valid, and the files that they start with are committed")
    return Finding("set-up", "; ".join(found), f"mend {TASK}, or commit what it uses")


def _images(task: Any) -> Iterator[Finding]:
    """Ask the registries for the docker images of experiment.yaml."""
    names: dict[str, tuple[str, str] | None] = {}
    for one in task.resources:
        if image := one.extract_docker_image():
            # A login is that of one server: SkyPilot takes each image from there, and no other gets it.
            login = one.docker_login_config
            names[login.format_image(image) if login else image] = (login.username, login.password) if login else None
    for name, login in sorted(names.items()):
        try:
            there = registry.is_there(name, login)
        except registry.RegistryError as error:
            remedy = "a private one needs SKYPILOT_DOCKER_USERNAME, _PASSWORD and _SERVER in `secrets`"
            yield Finding("image", f"{name} was not checked: {error}", remedy, needed=False)
            continue
        yield Finding("image", name if there else f"no {name} in its registry", "" if there else "change `image_id`")


def _room(where: Path) -> list[Finding]:
    """Ask for the free GPUs and the quotas of the task's places."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cockpit.fleet.sky.room", str(where / TASK)], capture_output=True, text=True,
            timeout=ASK_S, stdin=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return [Finding("room", "SkyPilot does not tell the free GPUs", "run `sky gpus list`", needed=False)]
    findings = [Finding("room", "; ".join(found["words"]))] if found["words"] else []
    remedy = f"change `resources` in {TASK}, or ask for the quota; `sky gpus list` lists what there is"
    return findings + [Finding("room", said, remedy, needed=False) for said in found["problems"]]


def _infra(command: str, wanted: Iterable[str] = ()) -> Finding:
    """Check the infrastructure that SkyPilot may use, and that the task's own clouds are among it."""
    done = _sky("infra", command, "check")
    if isinstance(done, Finding):
        return done
    enabled, reasons = enabled_infra(done.stdout), disabled_infra(done.stdout)
    lacking = [cloud for cloud in sorted(wanted) if cloud in reasons and cloud not in enabled]
    if lacking:
        said = "; ".join(f"{cloud}, which {TASK} names, is not enabled: {reasons[cloud]}" for cloud in lacking)
        return Finding("infra", said, f"run `sky check {lacking[0].lower()}`, which says how to enable it")
    if enabled:
        return Finding("infra", ", ".join(enabled))
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    said = lines[-1] if done.returncode and lines else "SkyPilot may use no cloud, Kubernetes or Slurm"
    return Finding("infra", said, "run `sky check`, which lists what is missing for each")


def disabled_infra(output: str) -> dict[str, str]:
    """Return the names that `sky check` lists as disabled, each with its first reason."""
    return dict(_DISABLED.findall(_ESCAPES.sub("", output)))


def enabled_infra(output: str) -> list[str]:
    """Return the names that `sky check` lists as enabled, in its order."""
    _, found, after = _ESCAPES.sub("", output).partition("Enabled infra")
    return _ENABLED.findall(after) if found else []
