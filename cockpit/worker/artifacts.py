"""Save the artifacts of runs, such as checkpoints, and remove those of experiments that were not kept."""

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cockpit.core.model import ExperimentStatus
from cockpit.core.state import State
from cockpit.fleet.node.code_evidence import in_one_line
from cockpit.fleet.node.folders import walk
from cockpit.variant.protected import pattern_of
from cockpit.worker.shortage import lacks_room

GONE = frozenset({ExperimentStatus.DISCARDED, ExperimentStatus.CRASHED, ExperimentStatus.DROPPED})


def saving(source: Path, patterns: Sequence[str], into: Path, limit_mb: float) -> Generator[None, None, str]:
    """Move the files below `source` that match a pattern into `into`, a file a step. The pattern of a folder stands for
    all files in it, and `**` crosses folders.

    Returns why some were left; empty for none. Symbolic links, and what they lead to, are left out. Moving again after
    a kill completes what is missing. Raises OSError where the machine lacks room or open files: the folder stays, and
    the files are moved once there are some.
    """
    left = limit_mb * 2**20
    unlisted: list[OSError] = []
    found = yield from _matches(source, patterns, unlisted.append)
    for path in sorted(found):
        yield
        try:
            size = path.stat().st_size
            if size > left:
                name, limit = in_one_line(path.name), f"{limit_mb:,.0f} MB for the artifacts of one run"
                return f"{name} is larger than the rest of the {limit}: artifacts_mb sets it"
            target = into / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            left -= size
        except OSError as error:
            if lacks_room(error):
                raise
            return f"{in_one_line(path.name)} could not be kept: {error.strerror or error}"
    if unlisted:
        name = in_one_line(os.path.relpath(str(unlisted[0].filename), source))
        return f"{name} could not be searched for artifacts: {unlisted[0].strerror}"
    return ""


def _matches(
    source: Path, patterns: Sequence[str], on_error: Callable[[OSError], None]
) -> Generator[None, None, list[Path]]:
    found = []
    anywhere = [f"**/{pattern}" for pattern in patterns]
    for folder, _, names in walk(str(source), on_error):
        yield
        for name in names:
            yield
            path = Path(folder, name)
            fits = any(fnmatchcase(name, pattern) for pattern in patterns)
            fits = fits or bool(pattern_of(path.relative_to(source).as_posix(), anywhere))
            if fits and not path.is_symlink() and path.is_file():
                found.append(path)
    return found


def unneeded(state: State, root: Path) -> list[Path]:
    """Return the artifacts of experiments that were decided against, and all but the best run's of a kept one."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for folder in sorted(root.iterdir()):
            attempt = state.attempts.get(folder.name)
            if attempt is not None and not _stays(state, attempt.experiment, folder.name):
                found.append(folder)
    return found


def _stays(state: State, experiment: str, attempt: str) -> bool:
    known = state.experiments[experiment]
    if known.status in GONE:
        return False
    if known.status is not ExperimentStatus.KEPT:
        return True
    scored = [state.attempts[name] for name in known.attempts if state.attempts[name].metrics is not None]
    best = min(scored, key=lambda one: one.metrics.score if one.metrics else 0.0, default=None)
    return best is None or best.id == attempt
