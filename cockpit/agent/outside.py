"""The api of an agent that works on a session from outside its worker: it reads the ledger, and asks by the inbox.

What it proposes goes the way of every intent: the worker takes it, the plan and the person decide, and the ledger says
what became of it, under the agent's own name.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from cockpit.agent.arguments import Arguments
from cockpit.agent.proposer_api import ProposerApi, Receipt
from cockpit.agent.tools.registry import TOOLS, Answer, Tool, ToolError, call
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

LOOK_EVERY_S = 0.2
PATIENCE_S = 30.0
"""How long the worker may take to answer before it counts as not running."""
RESERVED = (*PROPOSERS, "human", "plan", "cockpit", "baseline", "filler", "ablate")


def own_name(wanted: str, state: State) -> str:
    """The name an agent goes by: its own, unless that is somebody else's here."""
    name = line(wanted, 40) or "agent"
    people = {state.session.created_by, state.worker_user}
    return f"agent-{name}" if name.lower() in RESERVED or name in people else name


class OutsideProposerApi:
    """The ProposerApi protocol over a session's folder. Raises LedgerError where it cannot be read or written to."""

    def __init__(self, folder: SessionFolder, name: str, patience_s: float = PATIENCE_S) -> None:
        self._folder = folder
        self._ledger = LedgerReader(folder)
        self._state = self._ledger.state()
        self._patience_s = patience_s
        self._lock = threading.RLock()
        self._store: VariantStore | None = None
        self.closed = False
        self.told_dry = False
        """Whether its agent knows that clusters will run dry, and has not proposed since."""
        self.name = own_name(name, self._state)
        self._client = SessionClient(folder, self.name)
        self.marks = _marks(self._state)
        """What its agent has been told of: what happens between two calls of `wait` is news for the later one."""

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
        self.told_dry = False
        taken = self._ask(Propose(draft))
        if taken.refused:
            return Receipt("", (), (taken.refused,), "refused")

        def receipt(state: State) -> Receipt:
            wave = state.waves[taken.wave]
            status = "approved" if wave.status is WaveStatus.APPROVED else "proposed"
            return Receipt(wave.id, (*wave.arms, *wave.again), tuple(taken.problems), status)

        told = self.read(receipt)
        self.marks["open" if told.status == "approved" else "undecided"].append(told.wave)
        return told

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
        pass  # nobody asked it

    def interrupted(self) -> bool:
        return False

    def _variants(self) -> VariantStore:
        if self._store is None:
            repo, name = self.read(lambda state: (state.session.repo, state.session.name))
            self._store = VariantStore(Path(repo), name)
        return self._store

    def _ask(self, intent: Intent) -> IntentTaken:
        """Leave an intent and await the worker's answer. Raises ToolError where it does not answer."""
        try:
            return self._client.ask(intent, self._patience_s, lambda: self.closed)
        except NoAnswer:
            raise ToolError(
                f"The worker of session {self._folder.name} has not answered for {self._patience_s:.0f} s: it is not"
                " running, or busy. The request waits in its inbox and is taken once it runs; do not ask again."
            ) from None


class Wait(Arguments):
    """Wait until the session needs you: clusters will run dry, a wave has told its story, a proposal was decided on,
    somebody spoke, there is another incumbent. Returns at once with what it is, or after `seconds` with nothing. That
    clusters will run dry is said at once only the first time, until you have proposed something.
    """

    seconds: Annotated[
        int, Field(ge=1, le=600, description="The longer the better, but less than your client gives a tool.")
    ] = 50


def _since(before: dict[str, Any], state: State, name: str) -> list[str]:
    """What has happened since `before` (see _marks), one sentence each."""
    now = _marks(state)
    news = []
    for wave in (state.waves[name] for name in (*before["undecided"], *before["open"])):
        if wave.status is WaveStatus.DONE:
            news.append(f"{wave.id} has told its story: {line(wave.question, 200)}")
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
        if not news and not api.told_dry:
            news = api.read(_dry)
            api.told_dry = bool(news)
        if not news:
            time.sleep(LOOK_EVERY_S)
    if not news and not api.closed:
        news = api.read(_dry)
    return {"news": news or ["Nothing happened."]}


OUTSIDE_TOOLS: dict[str, Tool] = {**TOOLS, "wait": Tool("wait", Wait, _wait)}
"""The tools of an agent that is not asked by the worker: all of them, and one to wait with."""


def call_outside(api: OutsideProposerApi, name: str, arguments: object) -> Answer:
    """Carry out a tool of OUTSIDE_TOOLS under the api's name."""
    return call(api, api.name, name, arguments, OUTSIDE_TOOLS)
