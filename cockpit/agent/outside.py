"""The api of an agent outside the worker: it reads the ledger and sends intents to the inbox.

A proposal is an intent like any other: the worker takes it, the decisions and the person approve or reject it, and the
ledger records the result under the agent's own name.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from cockpit.agent.arguments import Arguments
from cockpit.agent.proposer_api import ProposerApi, Receipt
from cockpit.agent.tools.registry import TOOLS, call
from cockpit.agent.tools.tool import Answer, Tool, ToolError
from cockpit.agent.views.quoting import clip, line, plain
from cockpit.core.events import ApiReserved, Event, FindingRecorded, IntentTaken, PhaseSet, Said
from cockpit.core.fold import fold
from cockpit.core.intents import Draft, Intent, Note, Propose, Say
from cockpit.core.model import PROPOSERS, WaveKind, WaveStatus
from cockpit.core.state import State, ending_text
from cockpit.decide.schedule import expected_run_s
from cockpit.session.client import NoAnswer, SessionClient
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore

T = TypeVar("T")

POLL_INTERVAL_S = 0.2
ANSWER_TIMEOUT_S = 30.0
"""The longest wait for the worker's answer. After it the worker counts as not running."""
RESERVED_NAMES = (*PROPOSERS, "human", "plan", "cockpit", "baseline", "filler", "ablate")


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
        self.marks = _marks(self._state)
        """The state that was last reported. The next `wait` reports the changes since then."""

    def close(self) -> None:
        with self._lock:
            self.closed = True
            self._ledger.close()
            self._client.close()

    def read(self, question: Callable[[State], T]) -> T:
        with self._lock:
            for event in self._ledger.since(self._state.seq):
                self._state = fold(self._state, event)
            return question(self._ledger.fold_live(self._state))

    def propose(self, draft: Draft) -> Receipt:
        self.reported_dry = False
        taken = self._ask(Propose(draft))
        if taken.refused:
            return Receipt("", (), (taken.refused,), "refused")

        def receipt(state: State) -> Receipt:
            wave = state.waves[taken.wave]
            status = "approved" if wave.status is WaveStatus.APPROVED else "proposed"
            return Receipt(wave.id, (*wave.arms, *wave.again), tuple(taken.problems), status)

        proposed = self.read(receipt)
        self.marks["open" if proposed.status == "approved" else "undecided"].append(proposed.wave)
        return proposed

    def record(self, *events: Event) -> None:
        for event in events:
            match event:
                case Said(text=text):
                    intent: Intent = Say(text)
                case FindingRecorded(claim=claim, experiments=experiments):
                    intent = Note(claim, tuple(experiments))
                case PhaseSet(phase=phase):
                    intent = Note(phase, phase=True)
                case _:
                    raise TypeError(f"an outside agent does not record {type(event).__name__}")
            taken = self._ask(intent)
            if taken.refused:
                raise ToolError(taken.refused)

    def reserve(self, wanted: Callable[[float], ApiReserved | None]) -> ApiReserved | None:
        raise TypeError("an outside agent's model is paid for elsewhere")

    def source(self, experiment: str, path: str = "train.py") -> str:
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
        try:
            with path.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - max_bytes))
                return file.read(max_bytes).decode("utf-8", "replace")
        except OSError:
            return ""

    def now(self) -> float:
        return self.read(lambda state: state.now)

    def answered(self, messages: int) -> None:
        pass  # the worker does not ask an outside agent

    def interrupted(self) -> bool:
        return False

    def _variants(self) -> VariantStore:
        if self._store is None:
            repo, name = self.read(lambda state: (state.session.repo, state.session.name))
            self._store = VariantStore(Path(repo), name)
        return self._store

    def _ask(self, intent: Intent) -> IntentTaken:
        """Send an intent and await the worker's answer. Raises ToolError without an answer in time."""
        try:
            return self._client.ask(intent, self._timeout_s, lambda: self.closed)
        except NoAnswer:
            raise ToolError(
                f"The worker of session {self._folder.name} has not answered for {self._timeout_s:.0f} s: it is not"
                " running, or busy. The request stays in its inbox and is taken later; do not ask again."
            ) from None


class Wait(Arguments):
    """Wait until the session needs you: clusters will run dry, a wave has finished, a proposal was decided on, a
    message arrived, or the incumbent changed. Returns the news as soon as there is any, at the latest after `seconds`.
    Clusters that will run dry end the wait at once only the first time, until your next proposal.
    """

    seconds: Annotated[
        int,
        Field(ge=1, le=600, description="As long as possible, but shorter than your client's time limit for a tool."),
    ] = 50


def _since(before: dict[str, Any], state: State, name: str) -> list[str]:
    """Return the changes since `before` (see _marks), one sentence each."""
    now = _marks(state)
    news = []
    for wave in (state.waves[name] for name in (*before["undecided"], *before["open"])):
        if wave.status is WaveStatus.DONE:
            news.append(f"{wave.id} has finished: {line(wave.question, 200)}")
        elif wave.status is not WaveStatus.PROPOSED and wave.id in before["undecided"]:
            why = f": {line(wave.reason)}" if wave.reason else ""
            news.append(f"{wave.id} was {wave.status} by {line(wave.decided_by, 40)}{why}.")
    spoken = [message for message in state.messages if message.kind == "say" and message.author != name]
    for message in [message for message in spoken if message.at >= before["spoken_at"]][-5:]:
        if (message.at, message.text) not in before["spoken"]:
            news.append(f"{line(message.author, 40)} says: {clip(plain(message.text), 2_000)}")
    if now["incumbent"] != before["incumbent"]:
        news.append(f"{now['incumbent']} is the incumbent.")
    if state.ending:
        news.append(f"The session ends ({ending_text(state)}): {line(state.end_reason)}")
    return news


def _marks(state: State) -> dict[str, Any]:
    """Return the parts of the state that `wait` compares."""
    last = [(message.at, message.text) for message in state.messages[-60:]]
    return {
        "undecided": [name for name in state.proposals if state.waves[name].kind is not WaveKind.FILLER],
        "open": [name for name in state.open_waves if state.waves[name].kind is not WaveKind.FILLER],
        "spoken": set(last),
        "spoken_at": state.now,
        "incumbent": state.incumbent,
    }


def _dry(state: State) -> list[str]:
    clusters = max(1, len(state.clusters))
    if state.ending or state.held or len(state.waiting) >= clusters or state.proposals:
        return []
    minutes = expected_run_s(state) / 60
    return [
        f"Clusters will run dry: {len(state.waiting)} runs wait for {clusters} clusters, one takes {minutes:.1f} min."
    ]


def _wait(api: ProposerApi, author: str, wanted: Wait) -> dict[str, Any]:
    assert isinstance(api, OutsideProposerApi)
    before = api.marks
    until = time.monotonic() + wanted.seconds
    news: list[str] = []
    while not news and not api.closed and time.monotonic() < until:
        news, api.marks = api.read(lambda state: (_since(before, state, author), _marks(state)))
        if not news and not api.reported_dry:
            news = api.read(_dry)
            api.reported_dry = bool(news)
        if not news:
            time.sleep(POLL_INTERVAL_S)
    if not news and not api.closed:
        news = api.read(_dry)
    return {"news": news or ["Nothing has changed."]}


OUTSIDE_TOOLS: dict[str, Tool] = {**TOOLS, "wait": Tool("wait", Wait, _wait)}
"""The tools of an agent that the worker does not ask: all of TOOLS, and `wait`."""


def call_outside(api: OutsideProposerApi, name: str, arguments: object) -> Answer:
    """Run a tool of OUTSIDE_TOOLS under the api's name."""
    return call(api, api.name, name, arguments, OUTSIDE_TOOLS)
