"""Set aside reports and effects that raise an unforeseen error: keep them in a file and report each once in the
ledger."""

import logging
import os
import traceback
from pathlib import Path

import msgspec

from cockpit.core.cluster_events import ClusterFailed, Launching
from cockpit.core.events import Asked, AskEnded, Ended, Event, Submitting, Trouble
from cockpit.core.model import Outcome
from cockpit.core.state import State
from cockpit.fleet.base import JobEnded, JobRefused, JobStarted, JobSubmitted, Report
from cockpit.session.plain_file import make_way, open_to_append

FILE_MODE = 0o640
FILE_BYTES_AT_MOST = 16 << 20
EFFECT_RETRY_S = 600.0

log = logging.getLogger("cockpit.worker")


class SetAside:
    """The reports and effects that were set aside. `file` gets each with the trace of its error, one a line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: set[tuple[str, str]] = set()
        """The sentence and the object of each report that is in the file."""

    def report(self, state: State, report: Report, error: Exception, at: float) -> list[Event]:
        """Keep a report that cannot be handled. Returns a sentence about it, and the end of the run that it would end.

        A run whose end was set aside counts as lost. It is tried again, a bounded number of times.
        """
        about = report.job if isinstance(report, JobSubmitted | JobStarted | JobRefused | JobEnded) else ""
        about = about or getattr(report, "cluster", "")
        fault = _fault(error)
        text = f"cockpit failed on a report of the fleet ({type(report).__name__}; {fault}) and set it aside"
        events: list[Event] = []
        if isinstance(report, JobEnded | JobRefused) and report.job in state.in_flight:
            message = f"cockpit failed on the report of its end ({fault}): see {self._file}"
            events.append(Ended(at=at, attempt=report.job, outcome=Outcome.LOST, message=message))
        return [*events, *self._told(state, report, error, text, about, at)]

    def effect(self, state: State, event: Event, error: Exception, at: float) -> list[Event]:
        """Keep an event whose effect failed. Returns a sentence about it, and the consequence for the run, launch or
        ask that it began.

        A run that was being submitted counts as lost. A launch and an ask are tried again later.
        """
        about = str(getattr(event, "attempt", "") or getattr(event, "cluster", ""))
        fault = _fault(error)
        text = f"cockpit failed to carry out {type(event).__name__} ({fault})"
        message = f"{text}: see {self._file}"
        events: list[Event] = []
        if isinstance(event, Submitting) and event.attempt in state.in_flight:
            events.append(Ended(at=at, attempt=event.attempt, outcome=Outcome.LOST, message=message))
        elif isinstance(event, Launching):
            retry_at = at + EFFECT_RETRY_S
            events.append(ClusterFailed(at=at, cluster=event.cluster, message=message, retry_at=retry_at))
        elif isinstance(event, Asked):
            retry_at = at + EFFECT_RETRY_S
            events.append(AskEnded(at=at, ask=event.ask, proposer=event.proposer, trouble=message, retry_at=retry_at))
        return [*events, *self._told(state, event, error, text, about, at)]

    def _told(
        self, state: State, item: Report | Event, error: Exception, text: str, about: str, at: float
    ) -> list[Event]:
        """Keep the item in the file. Returns the sentence about it; empty if it was reported before."""
        if (text, about) not in self._known:
            self._known.add((text, about))
            self._keep(item, error)
        sentence = f"{text}: see {self._file}"
        is_new = all(message.text != sentence for message in state.messages)
        return [Trouble(at=at, text=sentence, about=about)] if is_new else []

    def _keep(self, item: Report | Event, error: Exception) -> None:
        """Append the item and its trace. A file that cannot take them leaves them to the worker's log."""
        trace = "".join(traceback.format_exception(error, limit=100))
        log.error("set aside: %.2000r\n%s", item, trace)
        line = msgspec.json.encode({"kind": type(item).__name__, "item": repr(item), "error": trace}) + b"\n"
        try:
            make_way(self._file)
            with open_to_append(self._file, FILE_MODE) as kept:
                if os.fstat(kept.fileno()).st_size + len(line) <= FILE_BYTES_AT_MOST:
                    kept.write(line)
        except OSError as problem:
            log.error("%s cannot be written: %s", self._file, problem)


def _fault(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
