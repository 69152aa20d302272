"""The api of an agent outside the worker: it reads the ledger and sends intents to the inbox.

A proposal is an intent like any other: the worker takes it, the decisions and the person approve or reject it, and the
ledger records the result under the agent's own name. The ledger also holds the last event that the agent has seen, so
that it misses nothing between two calls, two processes or two commands.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from cockpit.agent.proposer_api import Receipt
from cockpit.agent.scratch import Scratch, edits_between
from cockpit.agent.tools.tool import ToolError
from cockpit.agent.views.quoting import line
from cockpit.core.agent_events import ApiReserved
from cockpit.core.events import Event, FindingRecorded, IntentTaken, PhaseSet, Said
from cockpit.core.hosted_agents import RESERVED_NAMES
from cockpit.core.intents import Draft, Intent, Look, Note, Propose, Say, SetKnob
from cockpit.core.knob_events import KnobSet
from cockpit.core.model import Edit, WaveStatus
from cockpit.core.state import State
from cockpit.session.client import NoAnswer, SessionClient
from cockpit.session.folding import fold_read
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.small_files import end_of_file
from cockpit.variant.errors import VariantError

if TYPE_CHECKING:
    from cockpit.variant.store import VariantStore

T = TypeVar("T")

ANSWER_TIMEOUT_S = 30.0
"""The longest wait for the worker's answer. After it the worker counts as not running."""


def own_name(wanted: str, state: State) -> str:
    """Return the agent's name in this session: its own, with a prefix if that is taken or reserved."""
    name = line(wanted, 40) or "agent"
    people = {state.session.created_by, state.worker_user}
    return f"agent-{name}" if name.lower() in RESERVED_NAMES or name in people else name


class OutsideProposerApi:
    """Implements ProposerApi over a session's folder. Raises LedgerError if the folder is not readable or writable."""

    def __init__(self, folder: SessionFolder, name: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._folder = folder
        self._ledger = LedgerReader(folder)
        self._state = self._ledger.state()
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._store: VariantStore | None = None
        self.closed = False
        self.reported_dry = False
        """True from the report that clusters will run dry until the next proposal."""
        self.name = own_name(name, self._state)
        self._client = SessionClient(folder, self.name)
        sent = [intent.seq for intent in self._client.waiting(self._state.intent) if isinstance(intent, Look)]
        self._seen_seq = max(self._state.looked.get(self.name, -1), *sent, -1)

    def close(self) -> None:
        with self._lock:
            self.closed = True
            self._ledger.close()
            self._client.close()

    def read(self, question: Callable[[State], T]) -> T:
        with self._lock:
            folder = self._ledger.folder
            self._state = fold_read(self._state, self._ledger.since(self._state.seq), folder.name) or self._state
            return question(self._ledger.fold_live(self._state))

    @property
    def seen_seq(self) -> int:
        """The number of the last event that the agent has seen. A new agent begins at the present."""
        with self._lock:
            self._seen_seq = max(self._seen_seq, self._state.looked.get(self.name, -1))
            if self._seen_seq < 0:
                self.mark_seen(self._state.seq)
            return self._seen_seq

    def mark_seen(self, seq: int) -> None:
        """Record, in the ledger too, that the agent has seen all events up to `seq`."""
        with self._lock:
            if seq > self._seen_seq:
                self._seen_seq = seq
                self._client.send(Look(seq))

    def propose(self, draft: Draft) -> Receipt:
        self.reported_dry = False
        taken = self._ask(Propose(draft))
        if taken.refused:
            return Receipt("", (), (taken.refused,), "refused")

        def receipt(state: State) -> Receipt:
            wave = state.waves[taken.wave]
            status = "approved" if wave.status is WaveStatus.APPROVED else "proposed"
            return Receipt(wave.id, (*wave.arms, *wave.again), tuple(taken.problems), status)

        return self.read(receipt)

    def record(self, *events: Event) -> None:
        for event in events:
            match event:
                case Said(text=text):
                    intent: Intent = Say(text)
                case FindingRecorded(claim=claim, experiments=experiments):
                    intent = Note(claim, tuple(experiments))
                case PhaseSet(phase=phase):
                    intent = Note(phase, phase=True)
                case KnobSet(knob=knob, range=wanted):
                    intent = SetKnob(knob, wanted)
                case _:
                    raise TypeError(f"an outside agent does not record {type(event).__name__}")
            taken = self._ask(intent)
            if taken.refused:
                raise ToolError(taken.refused)

    def reserve(self, wanted: Callable[[float], ApiReserved | None]) -> ApiReserved | None:
        raise TypeError("an outside agent's model is paid for elsewhere")

    def source(self, experiment: str, path: str = "") -> str:
        with self._lock:
            commit = self.read(lambda state: state.experiments[experiment].commit)
            try:
                return self._variants().source(commit, path)
            except VariantError as error:
                raise KeyError(str(error)) from None

    def diff(self, experiment: str, against: str = "") -> str:
        def commits(state: State) -> tuple[str, str]:
            one = state.experiments[experiment]
            return state.experiments[against or one.base or experiment].commit, one.commit

        with self._lock:
            return self._variants().diff(*self.read(commits))

    def log_tail(self, attempt: str, max_bytes: int = 65_536) -> str:
        path = self.read(lambda state: self._folder.log(state.attempts[attempt].id))
        return end_of_file(path, max_bytes)

    def scratch_edits(self) -> tuple[str, tuple[Edit, ...]]:
        scratch = Scratch(self._folder, self.name)
        if not scratch.base:
            raise KeyError("you have no scratch checkout: give edits instead")
        files = self.read(lambda state: state.session.editable)
        edits: list[Edit] = []
        for path in files:
            try:
                new = scratch.text(f"{self._variants().subfolder}/{path}".lstrip("/"))
            except (OSError, UnicodeDecodeError) as error:
                raise KeyError(f"{path} in your scratch checkout cannot be read: {error}") from None
            edits += edits_between(self.source(scratch.base, path), new, path)
        return scratch.base, tuple(edits)

    def now(self) -> float:
        return self.read(lambda state: state.now)

    def answered(self, messages: int) -> None:
        pass  # the worker does not ask an outside agent

    def interrupted(self) -> bool:
        return False

    def _variants(self) -> "VariantStore":
        from cockpit.variant.store import VariantStore  # imported here: git loads for a tenth of a second

        if self._store is None:
            self._store = VariantStore.of(self.read(lambda state: state.session))
        return self._store

    def _ask(self, intent: Intent) -> IntentTaken:
        """Send an intent and await the worker's answer. Raises ToolError without an answer in time."""
        _ = self.seen_seq  # sets a new agent's `seen_seq` before its first intent
        try:
            return self._client.ask(intent, self._timeout_s, lambda: self.closed)
        except NoAnswer:
            raise ToolError(
                f"The worker of session {self._folder.name} has not answered for {self._timeout_s:.0f} s: it is not"
                f" running (`cockpit start {self._folder.name}` starts it), or busy. The request stays in its inbox and"
                " is taken later; do not ask again."
            ) from None
