"""Work that the worker failed on for an unforeseen reason: kept in a file for a person, and told once in the ledger."""

import logging
import traceback
from pathlib import Path

import msgspec

from cockpit.core.events import Ended, Event, Trouble
from cockpit.core.model import Outcome
from cockpit.core.state import State
from cockpit.fleet.base import JobEnded, JobRefused, JobStarted, JobSubmitted, Report

FILE_MODE = 0o640
FILE_BYTES_AT_MOST = 16 << 20

log = logging.getLogger("cockpit.worker")


class SetAside:
    """The reports that were set aside. `file` gets each with the trace of its error, one a line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: set[tuple[str, str]] = set()
        """The sentence and the object of each report that is in the file."""

    def report(self, state: State, report: Report, error: Exception, at: float) -> list[Event]:
        """Keep a report that cannot be handled. Returns the word about it, and the end of the run that it would end.

        A run whose end was set aside counts as lost. It is tried again, a bounded number of times.
        """
        kind = type(report).__name__
        about = report.job if isinstance(report, JobSubmitted | JobStarted | JobRefused | JobEnded) else ""
        about = about or getattr(report, "cluster", "")
        fault = f"{type(error).__name__}: {error}"[:200]
        text = f"cockpit failed on a report of the fleet ({kind}; {fault}) and set it aside: see {self._file}"
        if (text, about) not in self._known:
            self._known.add((text, about))
            self._keep(kind, report, error)
        events: list[Event] = []
        if isinstance(report, JobEnded | JobRefused) and report.job in state.in_flight:
            message = f"cockpit failed on the report of its end ({fault}): see {self._file}"
            events.append(Ended(at=at, attempt=report.job, outcome=Outcome.LOST, message=message))
        if all(message.text != text for message in state.messages):
            events.append(Trouble(at=at, text=text, about=about))
        return events

    def _keep(self, kind: str, report: Report, error: Exception) -> None:
        """Append the report and its trace. A file that cannot take them leaves them to the worker's log."""
        trace = "".join(traceback.format_exception(error, limit=100))
        log.error("a report was set aside: %.2000r\n%s", report, trace)
        line = msgspec.json.encode({"kind": kind, "report": repr(report), "error": trace}) + b"\n"
        try:
            if not self._file.exists() or self._file.stat().st_size + len(line) <= FILE_BYTES_AT_MOST:
                with self._file.open("ab") as kept:
                    kept.write(line)
                self._file.chmod(FILE_MODE)
        except OSError as problem:
            log.error("%s cannot be written: %s", self._file, problem)
