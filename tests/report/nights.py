"""A simulated night that a real worker has played, for tests that read a whole session."""

import threading
from pathlib import Path

from cockpit.session.paths import SessionFolder
from cockpit.worker.build import build
from tests.worker.sessions import sim_session


def played(place: Path, hours: float = 1.2, clusters: int = 16) -> SessionFolder:
    """Play a night of `grid` to its end as fast as it goes, and return its session."""
    folder = sim_session(
        place, speed=0.0, clusters=clusters, mode="autopilot", proposer="grid", budget_hours=hours
    )  # fmt: skip
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    worker.close(worker.run(threading.Event()))
    return folder
