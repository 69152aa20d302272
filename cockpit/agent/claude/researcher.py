"""The proposer `claude`: turns of the Messages API with tools, streamed, which a person can end at any moment.

The API remembers nothing between turns. The ledger keeps what matters of a turn.
"""

import asyncio

import anthropic
import httpx2

from cockpit.agent.claude.api_budget import ApiBudget
from cockpit.agent.claude.errors import Interrupted, KeyRefused
from cockpit.agent.claude.messages_client import MessagesClient, TurnContext
from cockpit.agent.claude.transcript import Transcript
from cockpit.agent.claude.turn import Turn
from cockpit.agent.claude.turn_status import TurnStatusFile
from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.agent.views.quoting import line
from cockpit.session.api_key import KeyHolder, NoKey
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import AgentSettings

NO_KEY_RETRY_S = 300.0
CONNECT_TIMEOUT_S = 10.0


class Claude:
    """Asks Claude for proposals. Writes the exchange to the session's folder; holds the key only during a turn."""

    def __init__(
        self,
        settings: AgentSettings,
        folder: SessionFolder,
        key: KeyHolder,
        name: str = "claude",
        backoff_s: float = 1.0,
        asked_as: str = "",
    ) -> None:
        """Prepare a researcher. `backoff_s` is the wait before the first retry; it doubles.

        `asked_as` is the name of the proposer that the worker asks, if that is another: `hybrid`.
        """
        self.name = name
        self._asked_as = asked_as or name
        self._settings = settings
        self._folder = folder
        self._key = key
        self._backoff_s = backoff_s
        self._written_digests: set[str] = set()

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        try:
            key = self._key.read()
        except NoKey as error:
            raise ProposerTrouble(str(error), retry_in_s=NO_KEY_RETRY_S) from None
        context = self._context(api, key, request.ask)
        try:
            asyncio.run(self._turn(context, key, request))
            context.transcript.write("end", api.now(), text="done")
        except Interrupted:
            context.transcript.write("end", api.now(), text="interrupted")
        except ProposerTrouble as error:
            remedy = f": {self._key.remedy()}" if isinstance(error, KeyRefused) else ""
            sentence = line((str(error) + remedy).replace(key, "[key]"), 400)
            context.transcript.write("trouble", api.now(), text=sentence)
            raise ProposerTrouble(sentence, error.retry_in_s) from None
        finally:
            context.status.clear()

    def _context(self, api: ProposerApi, key: str, ask: int) -> TurnContext:
        transcript = Transcript(self._folder.transcript, self._written_digests, secret=key)
        return TurnContext(
            name=self.name,
            settings=self._settings,
            api=api,
            status=TurnStatusFile(self._folder.agent_live(self._asked_as), self._asked_as, api.now),
            transcript=transcript,
            budget=ApiBudget(self.name, self._settings, api, transcript, ask),
            backoff_s=self._backoff_s,
        )

    async def _turn(self, context: TurnContext, key: str, request: ProposalRequest) -> None:
        read_timeout_s = self._settings.timeout_s
        async with anthropic.AsyncAnthropic(
            api_key=key,
            base_url=self._settings.base_url or None,
            timeout=httpx2.Timeout(read_timeout_s, connect=min(CONNECT_TIMEOUT_S, read_timeout_s)),
            max_retries=0,  # MessagesClient retries, where a person can see it and end it.
            open_telemetry=False,
        ) as sdk:
            client = MessagesClient(sdk, context)
            await Turn(context, client, self._folder.root / "agent.json").run(request)
