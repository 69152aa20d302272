"""A hosted agent as a proposer: each ask is one turn of its session, which Cockpit begins and may end."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial

import msgspec
from acp.schema import PromptResponse

from cockpit.agent.acp.agent_process import AgentProcess
from cockpit.agent.acp.client import AgentClient, TurnRecord
from cockpit.agent.acp.wall import AgentWall
from cockpit.agent.claude import turn_memory
from cockpit.agent.claude.opening import Opening, opening_of
from cockpit.agent.claude.role import ROLE_HOSTED
from cockpit.agent.claude.transcript import Transcript
from cockpit.agent.claude.turn_status import TurnStatusFile
from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.agent.scratch import Scratch
from cockpit.agent.views import briefing
from cockpit.core.agent_events import AgentStarted, ApiReserved, ApiUsed, Looked, TurnUnmetered
from cockpit.core.hosted_agents import HostedAgent
from cockpit.core.running_time import running_h
from cockpit.core.session import Session
from cockpit.core.state import State, is_answered
from cockpit.session.paths import SessionFolder
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore

LOOK_EVERY_S = 0.2
CANCEL_WITHIN_S = 10.0
"""Seconds for an agent to end a turn that was cancelled. Then its process is ended."""
SHORT_CHARS = 400
_LOGIN_WORDS = ("/login", "not logged in", "please log in", "authenticate", "api key")


class AgentLimits(msgspec.Struct, frozen=True):
    silence_s: float = 600.0
    """Seconds of silence after which the agent counts as hung."""
    turn_s: float = 3_600.0
    """The longest turn."""
    ask_s: float = 0.0
    """Seconds that a person has to allow a request that the policy does not; 0 to refuse it at once."""


class AcpProposer:
    """Asks one agent for proposals. Its turns run one after another; `close` may come from another thread."""

    def __init__(
        self,
        agent: HostedAgent,
        folder: SessionFolder,
        wall: AgentWall,
        environment: Mapping[str, str],
        limits: AgentLimits | None = None,
    ) -> None:
        """Prepare an agent. `environment` are the variables that its process inherits."""
        self.name = agent.name
        self._folder = folder
        self._limits = limits or AgentLimits()
        self._scratch = Scratch(folder, agent.name)
        self._client = AgentClient(self._scratch, self._limits.ask_s)
        self._process = AgentProcess(agent, folder, self._client, self._scratch.path.resolve(), wall, environment)
        self._wall = wall
        self._loop = asyncio.new_event_loop()
        self._written_digests: set[str] = set()

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        _check_budget(api, self.name)
        transcript = Transcript(self._folder.transcript, self._written_digests)
        status = TurnStatusFile(self._folder.agent_live(self.name), self.name, api.now)
        turn = TurnRecord(self.name, request.ask, api, status, transcript)
        began_at = api.read(lambda state: state.seq)
        hour = api.read(lambda state: running_h(state, state.now))
        transcript.write(
            "turn", api.now(), ask=request.ask, reason=request.reason, arms=request.arms, model=self.name,
            hour=round(hour, 2),
        )  # fmt: skip
        try:
            status.show("starts")
            self._loop.run_until_complete(self._turn(turn, request))
            transcript.write("end", api.now(), text="interrupted" if api.interrupted() else "done")
        except ProposerTrouble as error:
            transcript.write("trouble", api.now(), text=str(error))
            raise
        finally:
            status.clear()
            self._client.turn = None
        api.answered(api.read(lambda state: _messages_heard(state, self.name, began_at)))

    def mend(self) -> str:
        return self._process.mend()

    def close(self) -> None:
        """End the agent's process."""
        self._process.kill()

    async def _turn(self, turn: TurnRecord, request: ProposalRequest) -> None:
        process, api = self._process, turn.api
        memory_path = self._folder.agent_files(self.name) / "reported.json"
        self._check_out(api)
        if await process.start():
            wall = self._wall
            api.record(AgentStarted(at=api.now(), agent=self.name, wall=wall.name, reason=wall.reason))
        memory = turn_memory.load(memory_path)
        brief = opening_of(api, self.name, memory)
        text = self._prompt(brief, request)
        turn.transcript.given(api.now(), "the prompt", text)
        api.record(Looked(at=api.now(), agent=self.name, seq=api.read(lambda state: state.seq)))
        self._client.turn = turn
        turn.status.show("reads the session")
        process.memory.introduced = brief.incumbent
        process.save()
        try:
            answer = await self._answer(turn, text)
        except ProposerTrouble:
            process.memory.introduced = ""  # it may not have read the prompt
            process.save()
            raise
        finally:
            turn.flush()
            self._charge(turn)
        if answer is None:
            return
        self._check_answer(turn, answer)
        if brief.crashes or brief.finished_waves:
            api.read(lambda state: memory.mark_reported(state, brief.crashes, brief.finished_waves))
            turn_memory.save(memory_path, memory)

    async def _answer(self, turn: TurnRecord, text: str) -> PromptResponse | None:
        """Prompt and await the answer; None if a person ended the turn. Raises ProposerTrouble."""
        process, limits = self._process, self._limits
        prompt = asyncio.ensure_future(process.prompt(text))
        began = process.heard_at = time.monotonic()
        while not prompt.done():
            await asyncio.wait({prompt}, timeout=LOOK_EVERY_S)
            moment = time.monotonic()
            if turn.waits_for_person:
                process.heard_at = moment
            if turn.api.interrupted():
                await self._cancel(prompt)
                return None
            hung = moment - process.heard_at > limits.silence_s
            if hung or moment - began > limits.turn_s:
                await self._cancel(prompt)
                await process.stop()
                minutes = (limits.silence_s if hung else limits.turn_s) / 60
                what = f"was silent for {minutes:.3g} min" if hung else f"did not end its turn within {minutes:.3g} min"
                raise ProposerTrouble(f"{self.name} {what}: its process was ended, and starts again")
        try:
            return prompt.result()
        except Exception as error:  # an agent may fail in ways that neither ACP nor its library lists
            trouble = process.refusal(error, "its prompt")
            if isinstance(error, ConnectionError):
                await process.stop()
            raise trouble from None

    async def _cancel(self, prompt: "asyncio.Future[PromptResponse]") -> None:
        """Cancel the turn. End the process if the agent does not end its turn in time."""
        try:
            await self._process.cancel()
            await asyncio.wait({prompt}, timeout=CANCEL_WITHIN_S)
        except ConnectionError:
            pass
        if not prompt.done():
            await self._process.stop()
            prompt.cancel()
        elif not prompt.cancelled():
            prompt.exception()  # an agent may end a cancelled turn with an error

    def _prompt(self, brief: Opening, request: ProposalRequest) -> str:
        """Return the whole brief at the start of the agent's session, later only the changes."""
        introduced = self._process.memory.introduced
        program = f"# program.md, the person's instructions\n{briefing.program(brief.program)}" if brief.program else ""
        parts = [] if introduced else [ROLE_HOSTED, program]
        if introduced != brief.incumbent:
            parts.append(brief.source)
        return "\n\n".join(part for part in (*parts, brief.changing(request)) if part)

    def _check_answer(self, turn: TurnRecord, answer: PromptResponse) -> None:
        """Raise ProposerTrouble if the turn ended with a refusal or a request to log in."""
        if answer.stop_reason == "refusal":
            raise ProposerTrouble(f"the model of {self.name} refused the turn")
        said = turn.last_message.lower()
        if not turn.calls and len(said) < SHORT_CHARS and any(words in said for words in _LOGIN_WORDS):
            raise self._process.login()

    def _charge(self, turn: TurnRecord) -> None:
        """Record the cost of the turn, or that the agent does not report it."""
        api, memory = turn.api, self._process.memory
        if turn.cost_usd is None:
            api.record(TurnUnmetered(at=api.now(), agent=self.name))
            return
        usd = max(0.0, turn.cost_usd - memory.cost_usd)
        memory.cost_usd = turn.cost_usd
        self._process.save()
        api.record(ApiUsed(at=api.now(), proposer=self.name, model=self.name, usd=usd))

    def _check_out(self, api: ProposerApi) -> None:
        """Put the incumbent's files into the scratch checkout, unless they are there."""
        incumbent, commit, session = api.read(_incumbent_of)
        if self._scratch.base == incumbent and self._scratch.path.is_dir():
            return
        try:
            with closing(VariantStore.of(session)) as store:
                self._scratch.fill(incumbent, partial(store.export, commit))
        except (OSError, VariantError) as error:
            raise ProposerTrouble(f"the scratch checkout of {self.name} cannot be written: {error}") from None


def _incumbent_of(state: State) -> tuple[str, str, Session]:
    incumbent = state.incumbent or state.baseline
    return incumbent, state.experiments[incumbent].commit, state.session


def _messages_heard(state: State, name: str, began_at: int) -> int:
    """Count the messages of persons that came during the turn and reached the agent with the result of a tool."""
    until = state.looked.get(name, 0)
    return sum(
        began_at < message.seq <= until and message.kind == "say" and is_answered(state, message.author)
        for message in state.messages[-200:]
    )


def _check_budget(api: ProposerApi, name: str) -> None:
    left: list[float] = []

    def look(usd: float) -> ApiReserved | None:
        left.append(usd)
        return None

    api.reserve(look)
    if left and left[-1] <= 0:
        raise ProposerTrouble(f"the budget is spent, so {name} is not asked: raise the budget to continue", 3_600.0)
