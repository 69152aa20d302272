"""Checks of a new session's settings against its fleet and its repository."""

import ast
import importlib.util
import os
from contextlib import closing
from pathlib import Path, PurePosixPath

import msgspec

from cockpit.core.editable_files import script_among
from cockpit.core.installation import install_command
from cockpit.core.metric import DEFAULT_NAME, VAL_BPB, Metric
from cockpit.core.session import FleetSpec
from cockpit.create.error import CreateError
from cockpit.session.research_settings import files_of
from cockpit.session.settings import Settings
from cockpit.variant.store import VariantStore
from cockpit.variant.syntax import tree_of

LOCAL_MODULES = ("torch", "tiktoken", "rustbpe", "pyarrow", "requests")
"""Modules that the extra `local` brings."""


def is_val_bpb(metric: Metric) -> bool:
    """Return True if the metric is autoresearch's, as autoresearch prints it, with or without limits beside it."""
    return msgspec.structs.replace(metric, progress="", loss="", constraints=(), tie_breaks=()) == VAL_BPB


def check_repository(session: str, repo: Path) -> None:
    """Raise the VariantError of a repository that cannot hold a session's variants. Nothing is written."""
    with closing(VariantStore(repo, session)) as store:
        store.check_place()


def check_start(settings: Settings) -> None:
    """Refuse files that nothing starts, and a command that the fleet would ignore."""
    files, command = files_of(settings.research), settings.research.command
    match settings.session.fleet:
        case "local":
            if not command and not script_among(files).endswith(".py"):
                raise CreateError(
                    f"[research] files: none of {', '.join(files)} is a Python file: give the command of a run"
                )
        case "sky":
            if command:
                raise CreateError("[research] command has no effect: `run` in experiment.yaml starts each run")
        case "sim":
            if command:
                raise CreateError("[research] command has no effect: a simulated fleet starts nothing")


def check_limits(settings: Settings) -> None:
    """Refuse a time limit that ends every run within its budget."""
    research = settings.research
    if 0 < research.time_limit_s <= research.time_budget_s:
        raise CreateError(
            f"[research] time_limit_s: {research.time_limit_s:g} s would end every run within its budget of"
            f" {research.time_budget_s:g} s: expected more"
        )


def check_command(setting: str, store: VariantStore, words: tuple[str, ...], links: tuple[str, ...]) -> None:
    """Refuse a command whose Python file git does not store, and no link holds.

    The command may run in a folder that it names itself, so a file of this path in any folder is accepted.
    """
    at = next((at for at, word in enumerate(words) if PurePosixPath(word).name.startswith("python")), len(words))
    script = next((word for word in words[at + 1 :] if not word.startswith("-")), "")
    given = [word for word in words[at + 1 :] if word in ("-m", "-c")]
    is_own = script.endswith(".py") and not given and not script.startswith(("/", "~", "..", "$", *links))
    if is_own and not store.tracked.holds_in_any_folder(script):
        raise CreateError(f"[research] {setting}: git stores no {script}, so no run would have it")


def check_metric(metric: Metric, spec: FleetSpec) -> None:
    """Refuse settings of the metric that the fleet does not support."""
    if spec.simulated and not is_val_bpb(metric):
        raise CreateError(f"a simulated fleet measures {DEFAULT_NAME} alone: leave the settings of the metric out")
    if metric.score_command and spec.kind != "local":
        raise CreateError("[research] score_command scores runs on this machine alone: use --fleet local")


def check_score_command(store: VariantStore, repo: Path, words: tuple[str, ...]) -> None:
    """Refuse a score command whose files experiments may edit, or git does not store."""
    for word in words:
        if os.path.normpath(word) in store.files:
            raise CreateError(f"[research] score_command runs {word}, which experiments edit: name another file")
        if (repo / word).is_file() and not Path(word).is_absolute() and not store.tracked.holds(word):
            raise CreateError(f"[research] score_command: git does not store {word}: `git add {word}`, then commit")


def check_local_modules(script: str, text: str) -> None:
    """Refuse a script that imports a module of the extra `local` which Cockpit's own Python lacks."""
    tree = tree_of(text)
    if tree is None:
        return  # the first run shows it
    found = tree.body
    named = [name.name for one in found if isinstance(one, ast.Import) for name in one.names]
    named += [one.module or "" for one in found if isinstance(one, ast.ImportFrom) and not one.level]
    for name in dict.fromkeys(name.partition(".")[0] for name in named):
        if name in LOCAL_MODULES and importlib.util.find_spec(name) is None:
            raise CreateError(f"{script} imports {name}, which is not installed: `{install_command('local')}`")
