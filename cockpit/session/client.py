"""The client of a session: send an intent to the worker's inbox and await the result.

The screen, the command line and outside agents all use it.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.events import IntentTaken
from cockpit.core.intents import AnyIntent, Intent, decode_intent, encode_intent
from cockpit.session import lock
from cockpit.session.clock import steady_s
from cockpit.session.heartbeat import ENDING_WITHIN_S, is_ending
from cockpit.session.inbox import Inbox
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.worker_process import SignsOfWork, processor_s

LOOK_EVERY_S = 0.05
WORKING_WITHIN_S = 300.0
"""The longest wait for the answer of a worker whose processor time grows, as on a busy machine."""


class SteeringError(CockpitError):
    """The intent was refused, or this user may not send any; the message is one sentence that says why."""


class NoAnswer(CockpitError):
    """The worker did not answer in time. The intent stays in the inbox until the worker takes it."""


class SessionClient:
    """Sends intents under one author's name. Raises SteeringError if this user may only watch the session, and
    where its inbox cannot be used now."""

    def __init__(self, folder: SessionFolder, author: str) -> None:
        self.folder = folder
        self.author = author
        try:
            self._inbox = Inbox(folder.inbox, last_taken=self._last_taken)
            self._inbox.open()
        except LedgerError as error:
            if isinstance(error.__cause__, PermissionError):
                raise SteeringError(
                    f"you may watch session {folder.name}, not steer it: its inbox is its owner's"
                ) from None
            raise SteeringError(str(error)) from error

    def send(self, intent: Intent) -> int:
        """Send an intent without waiting. Returns its number, which IntentTaken names. Raises LedgerError."""
        return self._inbox.put(self.author, encode_intent(intent))

    def ask(
        self,
        intent: Intent,
        within_s: float,
        cancelled: Callable[[], bool] = lambda: False,
        is_silent: Callable[[], bool] = lambda: True,
    ) -> IntentTaken:
        """Send an intent and await the worker's answer, which may be a refusal. Raises NoAnswer and LedgerError.

        A worker that has written that it ends gets ENDING_WITHIN_S, and one that works WORKING_WITHIN_S.
        """
        ledger = LedgerReader(self.folder)
        try:
            seq = ledger.last_seq()
            number = self.send(intent)
            began = time.monotonic()
            is_over, waited_s = False, 0.0
            while not is_over:
                longest_s = max(within_s, ENDING_WITHIN_S) if is_ending(self.folder) else within_s
                waited_s, silent = time.monotonic() - began, is_silent()
                is_over = cancelled() or waited_s >= (longest_s if silent else max(longest_s, WORKING_WITHIN_S))
                for event in ledger.since(seq):  # once more when it is over: the last thing it did may be the answer
                    seq += 1
                    if isinstance(event, IntentTaken) and event.intent == number:
                        return event
                time.sleep(LOOK_EVERY_S)
        finally:
            ledger.close()
        note = lock.worker_status(self.folder).note
        trouble = f": {note}" if note else ": see `cockpit status`"
        raise NoAnswer(f"the worker of {self.folder.name} has not answered within {waited_s:.0f} s{trouble}")

    def do(self, intent: Intent, within_s: float) -> IntentTaken | None:
        """Send an intent and wait until it is carried out.

        Returns None if no worker runs, or if it ends without taking the intent: the next one takes it. Raises
        SteeringError with the worker's sentence if it was refused.
        """
        if self._has_no_worker():
            self.send(intent)
            return None
        try:
            taken = self.ask(intent, within_s, self._has_no_worker, self._signs_of_work(within_s))
        except NoAnswer:
            if self._has_no_worker():
                return None
            raise
        if taken.refused:
            raise SteeringError(taken.refused)
        return taken

    def waiting(self, after: int) -> list[AnyIntent]:
        """Return this author's intents after that number that the worker has not taken, without unreadable ones."""
        found = []
        for _, author, body in self._inbox.after(after):
            with suppress(msgspec.MsgspecError):
                if author == self.author and body:
                    found.append(decode_intent(body))
        return found

    def waits_after(self, number: int) -> bool:
        """Return True if intents after that number wait in the inbox."""
        return bool(self._inbox.after(number, 1))

    def _signs_of_work(self, silent_s: float) -> Callable[[], bool]:
        """Return a function that returns True once the worker's process has done nothing for that long, or waits.

        A worker that waits, as for room on a disk, has a note. It tries again, but does not work on the intent.
        """
        work, pid = SignsOfWork(steady_s(), silent_s), lock.worker_status(self.folder).pid
        return lambda: (
            bool(lock.worker_status(self.folder).note) or work.is_silent(steady_s(), lambda: processor_s(pid))
        )

    def _has_no_worker(self) -> bool:
        return lock.worker_status(self.folder).state == "stopped"

    def _last_taken(self) -> int:
        ledger = LedgerReader(self.folder)
        try:
            return ledger.glance().intent
        finally:
            ledger.close()

    def close(self) -> None:
        self._inbox.close()
