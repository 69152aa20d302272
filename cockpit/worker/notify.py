"""Run the `on_event` command when a person is needed, with the need as a JSON object on its standard input.

Commands run one at a time in a thread of their own, with a time limit and a bare environment. A slow mail server or a
broken script delays nothing else, and no key is passed on.
"""

import contextlib
import os
import queue
import signal
import subprocess
from pathlib import Path

import msgspec

from cockpit.core.state import State
from cockpit.read.needs import NOTIFIED, needs
from cockpit.session.watched_thread import WatchedThread

LIMIT_S = 30.0
"""Seconds after which a command is killed, with all it started."""
QUEUED_AT_MOST = 100
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE")
"""The variables of this process's environment that the command gets."""


class Notice(msgspec.Struct, frozen=True):
    """The JSON object that the command reads."""

    event: str
    """approval, cluster, budget, baseline, held or ended."""
    session: str
    about: str
    """The wave, cluster or experiment it is about; empty for the session."""
    text: str
    """One sentence."""
    at: float
    """Seconds since the epoch, on the session's clock."""
    simulated: bool
    folder: str
    """The session's folder, with its ledger and logs."""


class Notifier:
    """Runs `command` (a line for /bin/sh) in `repo` once for each need, and again when the need comes back."""

    def __init__(self, command: str, repo: Path, folder: Path, limit_s: float = LIMIT_S) -> None:
        self._command = command
        self._repo = repo
        self._folder = folder
        self._limit_s = limit_s
        self._known: set[tuple[str, str]] = set()
        self._notices: queue.Queue[Notice | None] = queue.Queue()
        self._troubles: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = WatchedThread("on_event", self._work)

    def notify_needs(self, state: State, now: float) -> None:
        """Run the command for each need that is new. Returns at once."""
        current = {(need.kind, need.about): need for need in needs(state, now) if need.kind in NOTIFIED}
        for key, need in current.items():
            if key not in self._known:
                self._put(state, need.kind, need.about, need.sentence, now)
        self._known = set(current)

    def notify_end(self, state: State, why: str, now: float) -> None:
        """Run the command for the end of the session."""
        self._put(state, "ended", "", f"the session has ended: {why}", now)

    def troubles(self) -> list[str]:
        """Return the failures of the command, and of its thread, since the last call, a sentence each."""
        found = [word] if (word := self._thread.mend()) else []
        while not self._troubles.empty():
            found.append(self._troubles.get_nowait())
        return found

    def close(self) -> None:
        """Wait until every command has run, for as long as one may take."""
        self._notices.put(None)
        self._thread.join(self._limit_s + 1.0)

    def _put(self, state: State, kind: str, about: str, sentence: str, now: float) -> None:
        session = state.session
        if self._notices.qsize() >= QUEUED_AT_MOST:
            return
        self._notices.put(
            Notice(
                kind, session.name, about, sentence, now, session.fleet.simulated, str(self._folder)
            )
        )  # fmt: skip

    def _work(self) -> None:
        while (notice := self._notices.get()) is not None:
            trouble = self._run(notice)
            if trouble:
                self._troubles.put(f"on_event {trouble} (for: {notice.text})")

    def _run(self, notice: Notice) -> str:
        """Run the command once. Returns what went wrong; empty for nothing."""
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self._command], cwd=self._repo, start_new_session=True,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        try:
            _, said = process.communicate(msgspec.json.encode(notice) + b"\n", timeout=self._limit_s)
        except subprocess.TimeoutExpired:
            return f"took longer than {self._limit_s:g} s and was ended"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            return f"ended with status {process.returncode}" + (f": {lines[-1][:200]}" if lines else "")
        return ""
