"""Reads experiment.yaml as SkyPilot reads it: all that is known of a task comes from SkyPilot's own Task and Resources.

SkyPilot is imported when the first task is read.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cockpit.core.installation import install_command
from cockpit.fleet.base import FleetError
from cockpit.fleet.secret_names import is_secret
from cockpit.fleet.sky import private_names
from cockpit.fleet.sky.classes import class_of, numbers_of
from cockpit.fleet.sky.error_text import sentence
from cockpit.fleet.sky.task import absolute_mounts

TASK_CHARACTERS = 1 << 20
"""Characters of the largest task file that is read."""
NOT_RECORDED = "(not recorded)"
HIDING = ("secrets", "envs")
"""The fields with values that are not recorded."""
OURS = ("EXPERIMENT_ID", "EXPERIMENT_DESC", "SEED", "TRAIN_SHA256", "PREPARE_SHA256", "COCKPIT_TIME_BUDGET_S")
"""Variables that every run gets; a task may name them without a value."""


class TaskReading(msgspec.Struct, frozen=True):
    """A task file, as SkyPilot understood it."""

    gpus: dict[str, int]
    """Hardware class to the GPUs of a whole cluster, in the order of the file."""
    nodes: int
    words: tuple[str, ...]
    """Sentences about what Cockpit makes of it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Hardware classes, in the order of the file."""
        return tuple(self.gpus)


def read_task(text: str, path: Path, infra: str = "", marks: Mapping[str, str] | None = None) -> Any:
    """Return the task as SkyPilot's own object, at `infra` where that is given.

    `path` is its file: local paths are taken from its folder, and the values of secrets from it. `marks` are variables
    that SkyPilot's record of a cluster keeps, since it keeps only what the text says. Raises what SkyPilot raises.
    """
    import sky

    config = private_names.parse_yaml(text)
    if isinstance(config, dict):
        config = _with_secrets(config, path)
        envs = config.get("envs")
        if isinstance(envs, dict):
            config["envs"] = {name: "" if value is None and name in OURS else value for name, value in envs.items()}
        if marks:
            config["envs"] = {**(config.get("envs") or {}), **marks}
        if isinstance(config.get("file_mounts"), dict):
            config["file_mounts"] = absolute_mounts(config["file_mounts"], path.parent.absolute())
    else:
        raise ValueError("it is not a mapping of fields such as `run` and `resources`")
    task = sky.Task.from_yaml_config(config)
    if infra:
        task.set_resources(type(task.resources)(_moved(list(task.resources), infra)))
    return task


def _moved(alternatives: list[Any], infra: str) -> list[Any]:
    """Return the alternatives that are at `infra` already, or all of them moved there.

    An alternative of another place brings its spot, image and zone with it, which may not exist at `infra`.
    """
    import sky

    place = sky.Resources(infra=infra)

    def is_there(one: Any) -> bool:
        return one.cloud is not None and str(one.cloud) == str(place.cloud) and place.region in (None, one.region)

    there = [one for one in alternatives if is_there(one)]
    return there or [one.copy(cloud=place.cloud, region=place.region, zone=place.zone) for one in alternatives]


def numbers_in(text: str, infra: str = "") -> dict[str, set[float]]:
    """Return the numbers of each accelerator that a node of the task may have. Raises what SkyPilot raises."""
    import sky

    resources = list(sky.Resources.from_yaml_config(private_names.parse_yaml(text).get("resources") or {}))
    return numbers_of(_moved(resources, infra) if infra else resources)


def changed_numbers(before: str, after: str, infra: str = "") -> str:
    """Return why a changed task cannot be that of the session, in a sentence, because its clusters would have another
    number of GPUs, of which the session's plan is made; empty if it can."""
    old, new = numbers_in(before, infra), numbers_in(after, infra)
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            had, has = (" or ".join(f"{count:g}" for count in sorted(one[name])) for one in (old, new))
            return f"a node has {has} {name} there, and {had} in this session: another number needs a new session"
    nodes = [private_names.parse_yaml(text).get("num_nodes") or 1 for text in (before, after)]
    if nodes[0] != nodes[1]:
        return (
            f"a cluster has {nodes[1]} nodes there, and {nodes[0]} in this session: another number needs a new session"
        )
    return ""


def read_file(path: Path) -> str:
    """Return the text of a task file. Raises FleetError."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(TASK_CHARACTERS + 1)
    except FileNotFoundError:
        raise FleetError(f"there is no {path}: a fleet on SkyPilot needs its task file") from None
    except (OSError, ValueError) as error:
        raise FleetError(f"{path} cannot be read: {error}") from None
    if len(text) > TASK_CHARACTERS:
        raise FleetError(f"{path} has more than {TASK_CHARACTERS} characters")
    return text


def describe(path: Path, infra: str = "") -> TaskReading:
    """Read a task file for a new session. Raises FleetError, with one sentence that says what to do."""
    return describe_text(read_file(path), path, infra)


def describe_text(text: str, path: Path, infra: str = "") -> TaskReading:
    """Read the text of the task file at `path`. Raises FleetError, with one sentence."""
    try:
        task = read_task(text, path, infra)
    except ImportError as error:
        raise FleetError(f"SkyPilot is not installed ({error}): {install_command('sky')}") from error
    except Exception as error:  # SkyPilot's schema, YAML's parser, or a type in between
        raise FleetError(f"SkyPilot rejects {path.name}: {sentence(error)}") from error
    if problem := unusable(task, path.name):
        raise FleetError(problem)
    return reading_of(task, text)


def recorded_text(text: str) -> str:
    """Return the text as the ledger may hold it: values of secrets, and of variables named like one, are left out."""
    config = private_names.parse_yaml(text)
    if not isinstance(config, dict):
        return text
    hidden = dict(config)
    if isinstance(config.get("secrets"), dict):
        hidden["secrets"] = {name: value and NOT_RECORDED for name, value in config["secrets"].items()}
    if isinstance(config.get("envs"), dict):
        hidden["envs"] = {
            name: NOT_RECORDED if value and is_secret(str(name)) else value for name, value in config["envs"].items()
        }
    return text if hidden == config else private_names.yaml_text(hidden)


def _with_secrets(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a recorded task with the values that were left out, as the file has them now. Raises ValueError."""
    if not any(NOT_RECORDED in (config.get(field) or {}).values() for field in HIDING if _is_dict(config, field)):
        return config
    now = private_names.parse_yaml(read_file(path))
    filled = dict(config)
    for field in HIDING:
        if _is_dict(config, field):
            known = now.get(field) or {}
            filled[field] = {
                name: known.get(name) if value == NOT_RECORDED else value for name, value in config[field].items()
            }
    return filled


def _is_dict(config: dict[str, Any], field: str) -> bool:
    return isinstance(config.get(field), dict)


def changed_fields(before: str, after: str) -> tuple[str, ...]:
    """Return the top-level fields in which two texts of a task differ."""
    old, new = private_names.parse_yaml(before), private_names.parse_yaml(after)
    return tuple(sorted(name for name in {*old, *new} if old.get(name) != new.get(name)))


def unusable(task: Any, name: str) -> str:
    """Return why a task that SkyPilot takes cannot be run here, in a sentence; empty if it can."""
    if task.service is not None:
        return f"{name} has a `service` or `pool`, which Cockpit cannot run: remove it"
    if not task.run:
        return f"{name} has no `run`: it says how train.py is started"
    return ""


def reading_of(task: Any, text: str) -> TaskReading:
    numbers = numbers_of(task.resources)
    # SkyPilot's alternatives are a set: only the file has an order.
    order = list(_nodes_in_order(private_names.parse_yaml(text).get("resources")))
    nodes = [(name, count) for name, counts in numbers.items() for count in counts]
    nodes.sort(key=lambda one: (order.index(key) if (key := (one[0].lower(), one[1])) in order else len(order), one))
    gpus = {class_of({name: count}, numbers): task.num_nodes * max(1, int(count)) for name, count in nodes}
    return TaskReading(gpus, task.num_nodes, tuple(_words(task, nodes)))


def _nodes_in_order(resources: Any) -> Iterator[tuple[str, float]]:
    """Yield the accelerators that a task file's resources name, in lower case, with the number of each, in the order of
    the file."""
    if not isinstance(resources, dict):
        return
    named = resources.get("accelerators")
    for one in [named] if isinstance(named, str) else named or ():
        name, _, count = str(one).partition(":")  # also of a key: `{H100:8}` without a space is one with no value
        number = named[one] if isinstance(named, dict) and named[one] is not None else count
        yield name.strip().lower(), float(number or 1)
    for alternatives in ("any_of", "ordered"):
        for one in resources.get(alternatives) or ():
            yield from _nodes_in_order(one)


def _words(task: Any, nodes: list[tuple[str, float]]) -> Iterable[str]:
    """Yield what SkyPilot understood and what Cockpit adds, a sentence each. `nodes` are accelerators with the number
    that a node has of each."""
    alternatives = list(task.resources)
    if not nodes:
        yield "it names no accelerator: clusters have no GPU"
    for name, numbers in numbers_of(alternatives).items():
        if len(numbers) > 1:
            listed = " or ".join(f"{count:g}" for count in sorted(numbers))
            yield f"a node may have {listed} {name}: each number is a class of its own"
    for name, count in nodes:
        if count < 1:
            yield f"a run gets {count:g} {name}, which counts as one GPU and is a class of its own"
        elif task.num_nodes > 1:
            total = task.num_nodes * int(count)
            yield f"a cluster has {total} {name} on {task.num_nodes} nodes, and each run gets all of them"
        elif count > 1:
            yield f"a cluster has {count:g} {name}: each run gets all of them, unless gpus_per_run is less"
    if any(one.use_spot for one in alternatives):
        yield "it may run on spot machines: a preempted run is retried elsewhere"
    if isinstance(task.workdir, dict):
        yield f"its workdir, the repository {task.workdir.get('url')}, is not used: a run gets its own variant instead"
    if any(one.autostop_config for one in alternatives):
        yield "its `autostop` is replaced: a cluster goes down after 30 minutes without a run"
    if any(one.job_recovery for one in alternatives):
        yield "its `job_recovery` is for managed jobs, and is not used: a lost run is retried on another cluster"
    if task.event_callback:
        yield "its `event_callback` is for managed jobs, and is not used: `on_event` in cockpit.toml runs a command"
    if refs := sorted({ref.name for ref in task.managed_secret_refs}):
        yield f"the secret {', '.join(refs)} has no value here: the API server must have a provider for it"
    if task.volumes:
        yield f"runs of all variants share its volumes: {', '.join(sorted(task.volumes))}"
    if task.file_mounts or task.storage_mounts:
        yield "its file_mounts are copied when a cluster is launched"
