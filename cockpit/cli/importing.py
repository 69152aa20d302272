"""`cockpit import`: make a session from trials of elsewhere, to show, report, replay and export it."""

import time
from pathlib import Path

from cockpit.audit.trials import read_night
from cockpit.cli.errors import CommandError
from cockpit.cli.locate import sessions_folder
from cockpit.core.metric import Direction, Metric, check_name, direction_of
from cockpit.create.imported import import_session
from cockpit.read.wording import count
from cockpit.session.paths import SessionFolder


def import_night(file: str, name: str, night: str, metric: str, direction: str, hardware: str) -> None:
    """Make an ended session of a table. Raises AuditError, CreateError, MetricError or CommandError."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise CommandError(f"there is no file {path}: give a results.tsv, or a table of trials as .json or .csv")
    found = read_night(path, metric, night)
    measured = Metric(name=check_name(metric), direction=Direction(direction) if direction else direction_of(metric))
    folder = SessionFolder(sessions_folder() / name)
    import_session(folder, found, path, measured, hardware, time.time())
    scored = sum(trial.value is not None for trial in found.trials)
    print(f"session {name}: {count(len(found.trials), 'trial')}, {scored:,} with a score; imported, unchecked")
    print(f"`cockpit watch {name}` shows it, `cockpit report {name}` sums it up")
