"""The files of a session: its folder `sessions/NAME/` holds everything about it."""

import os
import re
from pathlib import Path

from cockpit.core.shares import whole_of

SETTINGS_FILE = "cockpit.toml"
"""The settings of a repository's sessions."""

FILE_NAME_BYTES = 255
"""The longest file name that Linux and macOS take, in bytes."""
NAME_SHOWN = 80
"""Characters of an invalid name that its sentence shows."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SessionFolder:
    """The paths of a session. Creating one touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.db"

    def is_gone(self) -> bool:
        """Return True if the session was removed or moved; a folder that this user may not look into was not."""
        try:
            self.ledger.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def folder_problem(self) -> str:
        """Return one sentence on a folder of runs or logs that cannot be used; empty if both can, or can be made."""
        for path in (self.logs, self.runs):
            if not os.path.lexists(path):
                continue
            if not os.access(path, os.F_OK) or not path.is_dir():
                return f"{path} is not a folder: move it away"
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                return f"{path} is closed to this user: change its mode"
        return ""

    @property
    def events(self) -> Path:
        """The events of the ledger for every reader of the session."""
        return self.root / "events.log"

    @property
    def snapshot(self) -> Path:
        return self.root / "snapshot"

    @property
    def progress(self) -> Path:
        """The newest progress of each running attempt."""
        return self.root / "progress.live"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox.db"

    @property
    def lock(self) -> Path:
        return self.root / "worker.lock"

    @property
    def starting(self) -> Path:
        """The lock of the process that starts the worker, held until the worker runs."""
        return self.root / "worker.start"

    @property
    def heartbeat(self) -> Path:
        return self.root / "worker.json"

    @property
    def worker_log(self) -> Path:
        return self.root / "worker.log"

    @property
    def set_aside(self) -> Path:
        """The reports and effects that the worker failed on, one a line."""
        return self.root / "set-aside.jsonl"

    @property
    def screen_log(self) -> Path:
        """The faults that ended a screen."""
        return self.root / "screen.log"

    def agent_files(self, agent: str) -> Path:
        """Return the folder of a hosted agent: its checkout, its temporary files and its memory."""
        return self.root / "seats" / agent

    def agent_live(self, proposer: str) -> Path:
        """Return the file of a proposer's current words."""
        return self.root / f"agent.{proposer}.live"

    @property
    def transcript(self) -> Path:
        return self.root / "transcript.jsonl"

    @property
    def sim_world(self) -> Path:
        return self.root / "sim.db"

    @property
    def certificate_key(self) -> Path:
        """The key that signs the certificates of this session; its owner alone may read it."""
        return self.root / "certificate.key"

    def certificate(self, experiment: str) -> Path:
        return self.root / "certificates" / f"{experiment}.json"

    @property
    def logs(self) -> Path:
        """The output of the attempts, and of the set-up of clusters."""
        return self.root / "logs"

    def log(self, attempt: str) -> Path:
        return self.logs / f"{attempt}.log"

    def setup_log(self, cluster: str) -> Path:
        """Return the log of a cluster's latest launch and set-up on SkyPilot; shares of a cluster have one."""
        return self.logs / f"{whole_of(cluster)}.setup.log"

    @property
    def runs(self) -> Path:
        """The folders that attempts run in, and those of their runners."""
        return self.root / "runs"

    def source(self, attempt: str) -> Path:
        """Return the folder that an attempt runs in."""
        return self.runs / attempt

    @property
    def mirrored(self) -> Path:
        """The names of the attempts that `cockpit mirror` has written, one a line."""
        return self.root / "mirror.txt"

    @property
    def artifacts(self) -> Path:
        """Return the folder of the files that runs left, a folder for each attempt."""
        return self.root / "artifacts"


def name_problem(name: str) -> str:
    """Return one sentence on why `name` cannot name a session; empty if it can."""
    if _NAME.fullmatch(name):
        return ""
    shown = name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}…"
    return (
        f"{shown!r} cannot name a session: use letters, digits, '-', '_' and '.', at most 64, and no slash"
        if name
        else "a session needs a name"
    )
