"""Writes the worker's heartbeat while its loop ticks."""

import errno
import os
import threading
import time
from collections.abc import Callable

from cockpit.fleet.node.disk import lacks
from cockpit.session import heartbeat
from cockpit.session.ledger_errors import full_sentence, no_files_sentence
from cockpit.session.paths import SessionFolder
from cockpit.worker.loop import Worker

FULL_BELOW_BYTES = 1 << 20
"""Free bytes below which a disk counts as full, because other programs take and free its last blocks."""


class Pacemaker:
    """Beats while there is a worker that ticks. The heartbeat of a worker that hangs goes stale."""

    def __init__(self, folder: SessionFolder, on_beat: Callable[[], None] = lambda: None) -> None:
        self.note = ""
        self.worker: Worker | None = None
        self._folder = folder
        self._on_beat = on_beat
        self._writing = threading.Lock()
        """Held while a heartbeat is written, so that none overwrites the last one, which says that the worker ends."""

    def follow(self, worker: Worker) -> None:
        self.worker, self.note = worker, ""
        heartbeat.write_heartbeat(self._folder)

    def end(self) -> None:
        """Write that the worker ends, before its last event does: a person who reads that event may start another."""
        with self._writing:
            self.worker, self.note = None, ""
            heartbeat.write_heartbeat(self._folder, stopped=True)

    def run(self) -> None:
        while True:
            with self._writing:
                self._beat()
            time.sleep(heartbeat.BEAT_EVERY_S)

    def _beat(self) -> None:
        worker = self.worker
        note = self.note or (worker.waits_for if worker else "")
        if note or (worker and time.monotonic() - worker.ticked_at < heartbeat.STALE_AFTER_S):
            self._on_beat()
            heartbeat.write_heartbeat(self._folder, note or self._disk())

    def _disk(self) -> str:
        """Note a full disk. Runs that cannot write their logs are silent, so nothing else would show it."""
        try:
            disk = os.statvfs(self._folder.root)
        except OSError:
            return ""
        match lacks(disk, FULL_BELOW_BYTES):
            case "bytes":
                return f"{full_sentence(self._folder.root, errno.ENOSPC)}, and it continues"
            case "files":
                return f"{no_files_sentence(self._folder.root)}, and it continues"
        return ""
