"""What a turn pays from: each request's worst case is reserved in the ledger, then what it really took replaces it.

A worker that dies in between leaves the reservation, and the fold counts the whole of it as spent when the session's
next worker starts: a request nobody heard the end of may have been billed in full.
"""

import time

import anthropic
import httpx2
from anthropic.types import Message

from cockpit.agent.claude.prices import most_tokens_for, used, used_unseen, worst_usd, written_tokens
from cockpit.agent.claude.transcript import Transcript
from cockpit.agent.proposer_api import ProposerApi, ProposerTrouble
from cockpit.core.events import ApiReleased, ApiReserved, ApiUsed
from cockpit.session.settings import AgentSettings

FEWEST_TOKENS = 1_500
"""With less than this for an answer, the budget counts as spent."""
UNPAID_RETRY_S = 3_600.0


class Reservation:
    """One request, from its reservation to what it cost; ended once, by what the request came to."""

    def __init__(self, budget: "ApiBudget", reserved: ApiReserved, prompt_bytes: int) -> None:
        self._budget = budget
        self._reserved = reserved
        self._prompt_bytes = prompt_bytes
        self._began = time.monotonic()

    @property
    def tokens(self) -> int:
        """The longest answer it may have."""
        return self._reserved.tokens

    def whole(self, message: Message) -> None:
        self._budget.put_down(self._reserved, message)

    def cut(self, message: Message, written_chars: int) -> None:
        """Of an answer that broke off, what was written of it, and what may have been thought."""
        usage, lasted_s = message.usage, time.monotonic() - self._began
        usage.output_tokens = written_tokens(usage.output_tokens, written_chars, lasted_s, self.tokens)
        self._budget.put_down(self._reserved, message)

    def unanswered(self, error: BaseException | None) -> None:
        """No answer began: nothing to pay where the API said no or was never reached, else the prompt at least."""
        cause = error.__cause__ or error if error else None
        if isinstance(error, anthropic.APIStatusError) or isinstance(
            cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout
        ):
            self._budget.api.record(ApiReleased(at=self._budget.api.now(), request=self._reserved.request))
            return
        price = self._budget.settings.price(self._reserved.model)
        self._budget.write(used_unseen(self._budget.api.now(), self._reserved, price, self._prompt_bytes))


class ApiBudget:
    def __init__(self, name: str, settings: AgentSettings, api: ProposerApi, transcript: Transcript, ask: int) -> None:
        self.settings = settings
        self.api = api
        self._name = name
        self._transcript = transcript
        self._ask = ask
        self._requests = 0

    def reserve(self, model: str, prompt_bytes: int, wanted: int, fewest: int = FEWEST_TOKENS) -> Reservation:
        """Reserve for an answer of `wanted` tokens, or of fewer where the budget has no more.

        Raises ProposerTrouble where it allows fewer than `fewest`.
        """
        price = self.settings.price(model)
        self._requests += 1
        lefts: list[float] = []

        def worst(left: float) -> ApiReserved | None:
            lefts.append(left)
            tokens = most_tokens_for(price, left, prompt_bytes, wanted)
            if tokens < min(fewest, wanted):
                return None
            return ApiReserved(
                at=self.api.now(),
                request=f"{self._ask}.{self._requests}",
                proposer=self._name,
                model=model,
                usd=worst_usd(price, prompt_bytes, tokens),
                tokens=tokens,
            )

        reserved = self.api.reserve(worst)
        if reserved is None:
            left = max(0.0, lefts[-1])
            raise ProposerTrouble(
                f"the budget has ${left:.2f} left, too little to ask {self._name} again: raise it to go on",
                retry_in_s=UNPAID_RETRY_S,
            )
        return Reservation(self, reserved, prompt_bytes)

    def put_down(self, reserved: ApiReserved, message: Message) -> None:
        """What a message used, priced as the model that it says wrote it."""
        model = reserved.model if message.model.startswith(reserved.model) else message.model
        price = self.settings.price(model)
        self.write(used(self.api.now(), self._name, model, price, message.usage, reserved.request))

    def write(self, event: ApiUsed) -> None:
        self.api.record(event)
        self._transcript.write(
            "used",
            event.at,
            model=event.model,
            input_tokens=event.input_tokens,
            output_tokens=event.output_tokens,
            cache_read_tokens=event.cache_read_tokens,
            cache_write_tokens=event.cache_write_tokens,
            usd=round(event.usd, 6),
        )
