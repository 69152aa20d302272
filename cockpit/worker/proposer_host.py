"""Host the proposers, each in a thread of its own, which reads the state through the worker's thread."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from cockpit.agent.proposer_api import AgentProposer, ProposalRequest, Proposer, ProposerTrouble, Receipt
from cockpit.core.agent_events import ApiReserved
from cockpit.core.events import AskEnded, Event
from cockpit.core.hosted_agents import HostedAgent
from cockpit.core.intents import Draft
from cockpit.core.model import Edit
from cockpit.core.state import State
from cockpit.decide.budget import left_usd
from cockpit.session.paths import SessionFolder
from cockpit.session.small_files import end_of_file
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore

T = TypeVar("T")

log = logging.getLogger("cockpit.proposer_host")

FINAL_REPORT_S = 2.0
"""Seconds that a stopping worker waits for its proposers to report their costs."""
LONGEST_RETRY_S = 900.0
"""The longest wait before a proposer that failed is asked again. Waits double; a person's message ends them."""
FAULT_RETRY_S = 60.0
HANG_S = 1_800.0
"""Seconds without a call of a proposer, after which its turn counts as hung. Its thread is left behind, since a thread
cannot be ended. A proposer that waits for its model calls far more often."""
QUIET_S = 60.0
"""Seconds before a proposer that proposed nothing is asked again: asks cost, and little has changed."""


class WorkerApi(Protocol):
    """The methods of the worker that proposers need."""

    @property
    def state(self) -> State: ...
    @property
    def store(self) -> VariantStore: ...
    @property
    def folder(self) -> SessionFolder: ...
    def now(self) -> float: ...
    def apply(self, *events: Event) -> None: ...
    def ingest(self, draft: Draft, ask: int) -> Receipt: ...


class HostedProposerApi:
    """Implements ProposerApi for one ask."""

    def __init__(self, worker: WorkerApi, on_worker: Callable[[Callable[[], Any]], Any], ask: int) -> None:
        self._worker = worker
        self._on_worker = on_worker
        self._ask = ask
        self.interrupt = threading.Event()
        self.seen_at = time.monotonic()
        """The proposer's last call."""
        self.left_behind = False
        self.waves_before = len(worker.state.waves)
        self.waves: list[str] = []
        """The waves that were proposed through this api."""
        self.words_answered = 0

    def read(self, question: Callable[[State], T]) -> T:
        answer: T = self._call(lambda: question(self._worker.state))
        return answer

    def _call(self, call: Callable[[], Any]) -> Any:
        """Carry a call out on the worker's thread. Raises ProposerTrouble for a turn that has been given up."""
        self.seen_at = time.monotonic()
        if self.left_behind:
            raise ProposerTrouble("the turn counts as hung and was given up")
        answer = self._on_worker(call)
        self.seen_at = time.monotonic()
        return answer

    def propose(self, draft: Draft) -> Receipt:
        receipt: Receipt = self._call(lambda: self._worker.ingest(draft, self._ask))
        if receipt.wave:
            self.waves.append(receipt.wave)
        return receipt

    def record(self, *events: Event) -> None:
        self._call(lambda: self._worker.apply(*events))

    def reserve(self, wanted: Callable[[float], ApiReserved | None]) -> ApiReserved | None:
        def reserved() -> ApiReserved | None:
            event = wanted(left_usd(self._worker.state, self._worker.now()))
            if event is not None:
                self._worker.apply(event)
            return event

        event: ApiReserved | None = self._call(reserved)
        return event

    def source(self, experiment: str, path: str = "") -> str:
        try:
            return self.read(lambda state: self._worker.store.source(state.experiments[experiment].commit, path))
        except VariantError as error:
            raise KeyError(str(error)) from error

    def diff(self, experiment: str, against: str = "") -> str:
        def made(state: State) -> str:
            one = state.experiments[experiment]
            other = against or one.base or experiment
            return self._worker.store.diff(state.experiments[other].commit, one.commit)

        return self.read(made)

    def log_tail(self, attempt: str, max_bytes: int = 65_536) -> str:
        path = self.read(lambda state: self._worker.folder.log(state.attempts[attempt].id))
        return end_of_file(path, max_bytes)

    def scratch_edits(self) -> tuple[str, tuple[Edit, ...]]:
        raise KeyError("only a hosted agent has a scratch checkout")

    def now(self) -> float:
        self.seen_at = time.monotonic()
        return self._worker.now()

    def answered(self, messages: int) -> None:
        self.words_answered += messages

    def interrupted(self) -> bool:
        self.seen_at = time.monotonic()
        return self.interrupt.is_set()


class ProposerHost:
    """Runs proposers. With `inline` they answer at once in the worker's own thread, as a clock that jumps needs."""

    def __init__(
        self,
        worker: WorkerApi,
        proposers: dict[str, Proposer],
        make_agent: Callable[[HostedAgent], AgentProposer],
        wake: threading.Event,
        inline: bool,
        hang_s: float = HANG_S,
    ) -> None:
        self._worker = worker
        self._proposers = dict(proposers)
        self._make_agent = make_agent
        self._agents: dict[str, tuple[HostedAgent, AgentProposer]] = {}
        self._wake = wake
        self._inline = inline
        self._hang_s = hang_s
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[AskEnded] = queue.SimpleQueue()
        self._apis: dict[str, HostedProposerApi] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._asked: dict[str, int] = {}
        """The unfinished ask of each proposer's thread, by proposer."""
        self._thread = threading.get_ident()
        self._closed = False

    def knows(self, proposer: str) -> bool:
        return proposer in self._proposers

    def host(self, agent: HostedAgent) -> None:
        """Host an agent. One that runs by another command is ended first."""
        known = self._agents.get(agent.name)
        if known is not None and known[0] == agent:
            return
        if known is not None:
            known[1].close()
        made = self._make_agent(agent)
        self._agents[agent.name] = (agent, made)
        self._proposers[agent.name] = made

    def start(self, name: str, request: ProposalRequest) -> None:
        """Ask a proposer. It proposes through its API; `finished` returns the end of its turn."""
        api = HostedProposerApi(self._worker, self._on_worker, request.ask)
        self._apis[name] = api
        failures = self._worker.state.ask_failures.get(name, 0)
        if self._inline:
            self._work(name, api, request, failures)
        else:
            task = partial(self._work, name, api, request, failures)
            thread = threading.Thread(target=task, daemon=True, name=f"ask-{name}")
            self._threads[name], self._asked[name] = thread, request.ask
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:
                log.error(
                    "%s cannot be started: %s", thread.name, error
                )  # `finished` reports it, and it is asked again

    def drain_calls(self) -> None:
        """Carry out the calls that proposers wait for. Called by the worker, between its own steps."""
        self._thread = threading.get_ident()
        while True:
            try:
                call, answer = self._calls.get_nowait()
            except queue.Empty:
                return
            try:
                answer.set_result(call())
            except Exception as error:  # it is raised in the proposer that called
                answer.set_exception(error)

    def finished(self) -> list[AskEnded]:
        dead = [name for name, thread in self._threads.items() if not thread.is_alive()]
        ended = []
        while not self._done.empty():
            ended.append(self._done.get_nowait())
        ended = [one for one in ended if self._inline or self._asked.get(one.proposer) == one.ask]
        for one in ended:
            self._asked.pop(one.proposer, None)
        # A thread that died without a report: it was out of memory, or could not be started.
        ended += [self._given_up(name, "died without an answer") for name in dead if name in self._asked]
        moment = time.monotonic()
        for name in [name for name in self._asked if moment - self._apis[name].seen_at > self._hang_s]:
            self._apis[name].left_behind = True
            self._apis[name].interrupt.set()
            if name in self._agents:
                self._agents.pop(name)[1].close()  # the next ask starts it again
            ended.append(self._given_up(name, f"has hung: no sign of it for {self._hang_s / 60:.3g} min"))
        return ended

    def _given_up(self, name: str, how: str) -> AskEnded:
        """End the ask of a proposer that cannot end it. It is asked again after a wait that doubles with each time."""
        ask = self._asked.pop(name)
        failures = self._worker.state.ask_failures.get(name, 0)
        now = self._worker.now()
        retry_at = now + min(LONGEST_RETRY_S, FAULT_RETRY_S * 2 ** min(failures, 10))
        api = self._apis[name]
        trouble = f"the thread of {name} {how}"
        return AskEnded(at=now, ask=ask, proposer=name, waves=api.waves, trouble=trouble, retry_at=retry_at)

    def mend(self) -> list[str]:
        """Start threads of the agents that died again. Returns a sentence about each."""
        return [word for _, agent in self._agents.values() if (word := agent.mend())]

    def interrupt(self) -> None:
        for api in self._apis.values():
            api.interrupt.set()

    def stop_all(self) -> None:
        """End every turn, and let each proposer report its costs."""
        self.interrupt()
        until = time.monotonic() + FINAL_REPORT_S
        while any(thread.is_alive() for thread in self._threads.values()) and time.monotonic() < until:
            self.drain_calls()
            time.sleep(0.01)

    def close(self) -> None:
        self._closed = True
        self.interrupt()
        for _, agent in self._agents.values():
            agent.close()
        while True:
            try:
                _, answer = self._calls.get_nowait()
            except queue.Empty:
                return
            answer.cancel()

    def _on_worker(self, call: Callable[[], Any]) -> Any:
        if threading.get_ident() == self._thread:
            return call()
        if self._closed:
            raise ProposerTrouble("the worker stops")
        answer: Future[Any] = Future()
        self._calls.put((call, answer))
        self._wake.set()
        return answer.result()

    def _work(self, name: str, api: HostedProposerApi, request: ProposalRequest, failures: int) -> None:
        """Run one turn. `failures` counts the consecutive failed asks before it."""
        trouble, retry_in_s = "", 0.0
        try:
            self._proposers[name].propose(api, request)
            if name in self._agents:
                api.waves = api.read(lambda state: _waves_of(state, name, api.waves_before))
        except ProposerTrouble as error:
            trouble, retry_in_s = str(error), error.retry_in_s
        except Exception as error:  # a proposer may raise anything, and is asked again later
            log.exception("%s failed", name)
            trouble, retry_in_s = f"{name} failed: {error or type(error).__name__}", FAULT_RETRY_S
        if trouble:
            retry_in_s = max(retry_in_s, min(LONGEST_RETRY_S, retry_in_s * 2 ** min(failures, 10)))
        elif not api.waves and (request.reason != "said" or api.interrupted()):
            retry_in_s = QUIET_S
        now = self._worker.now()
        ended = AskEnded(at=now, ask=request.ask, proposer=name, waves=api.waves, trouble=trouble)
        ended.retry_at, ended.words_answered = now + retry_in_s, api.words_answered
        self._done.put(ended)
        self._wake.set()


def _waves_of(state: State, name: str, before: int) -> list[str]:
    """Return the waves that an agent proposed by its tools since there were `before`."""
    return [wave.id for wave in list(state.waves.values())[before:] if wave.proposer == name]
