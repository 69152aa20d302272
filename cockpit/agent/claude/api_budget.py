"""Reservations for requests to a model: the worst case is reserved in the ledger, then replaced by the actual cost.

If the worker dies in between, the reservation stays in the ledger. The fold counts all of it as spent when the
session's next worker starts: a request with an unknown outcome may have been billed in full.
"""

import time

import anthropic
import httpx2
from anthropic.types import Message

from cockpit.agent.claude.prices import (
    affordable_tokens,
    billed_output_tokens,
    is_counted,
    unknown_usage,
    usage_event,
    usage_without_answer,
    worst_usd,
)
from cockpit.agent.claude.transcript import Transcript
from cockpit.agent.proposer_api import ProposerApi, ProposerTrouble
from cockpit.core.agent_events import ApiReleased, ApiReserved, ApiUsed
from cockpit.session.settings import AgentSettings

MIN_ANSWER_TOKENS = 1_500
"""The budget counts as spent if it pays for a shorter answer only."""
BUDGET_SPENT_RETRY_S = 3_600.0


class Reservation:
    """The money reserved for one request. Exactly one of its `settle` methods is called, once."""

    def __init__(self, budget: "ApiBudget", reserved: ApiReserved, prompt_bytes: int) -> None:
        self._budget = budget
        self._reserved = reserved
        self._prompt_bytes = prompt_bytes
        self._began = time.monotonic()

    @property
    def answer_tokens(self) -> int:
        """The longest answer that the reservation pays for."""
        return self._reserved.tokens

    def settle(self, message: Message) -> None:
        """Charge a complete answer."""
        self._budget.charge(self._reserved, message)

    def settle_partial(self, message: Message, written_chars: int) -> None:
        """Charge an answer that broke off: the characters received, and the thinking that may have gone before."""
        usage, lasted_s = message.usage, time.monotonic() - self._began
        if is_counted(usage):
            usage.output_tokens = billed_output_tokens(usage.output_tokens, written_chars, lasted_s, self.answer_tokens)
        self._budget.charge(self._reserved, message)

    def settle_unanswered(self, error: BaseException | None) -> None:
        """Release the reservation if the API refused or was not reached. Otherwise charge the prompt."""
        cause = error.__cause__ or error if error else None
        if isinstance(error, anthropic.APIStatusError) or isinstance(
            cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout
        ):
            self._budget.release(self._reserved)
        else:
            self._budget.charge_prompt(self._reserved, self._prompt_bytes)


class ApiBudget:
    """The part of the session's budget that one turn of a model reserves and spends."""

    def __init__(self, name: str, settings: AgentSettings, api: ProposerApi, transcript: Transcript, ask: int) -> None:
        self._name = name
        self._settings = settings
        self._api = api
        self._transcript = transcript
        self._ask = ask
        self._requests = 0

    def reserve(
        self, model: str, prompt_bytes: int, wanted_tokens: int, min_tokens: int = MIN_ANSWER_TOKENS
    ) -> Reservation:
        """Reserve an answer of `wanted_tokens`, or of as many as the budget pays for.

        Raises ProposerTrouble if the budget pays for fewer than `min_tokens`.
        """
        price = self._settings.price(model)
        self._requests += 1
        seen_usd_left: list[float] = []

        def worst_case(usd_left: float) -> ApiReserved | None:
            seen_usd_left.append(usd_left)
            tokens = affordable_tokens(price, usd_left, prompt_bytes, wanted_tokens)
            if tokens < min(min_tokens, wanted_tokens):
                return None
            return ApiReserved(
                at=self._api.now(),
                request=f"{self._ask}.{self._requests}",
                proposer=self._name,
                model=model,
                usd=worst_usd(price, prompt_bytes, tokens),
                tokens=tokens,
            )

        reserved = self._api.reserve(worst_case)
        if reserved is None:
            raise ProposerTrouble(
                f"${max(0.0, seen_usd_left[-1]):.2f} of the budget is left, too little to ask {self._name}:"
                " raise the budget to continue",
                retry_in_s=BUDGET_SPENT_RETRY_S,
            )
        return Reservation(self, reserved, prompt_bytes)

    def charge(self, reserved: ApiReserved, message: Message) -> None:
        """Record the usage of a message, at the price of the model that the message names.

        If its counts are implausible, the full reservation is charged.
        """
        model = reserved.model if message.model.startswith(reserved.model) else message.model
        if not is_counted(message.usage):
            self._record(unknown_usage(self._api.now(), reserved))
            return
        price = self._settings.price(model)
        self._record(usage_event(self._api.now(), self._name, model, price, message.usage, reserved.request))

    def charge_prompt(self, reserved: ApiReserved, prompt_bytes: int) -> None:
        """Record the cost of a prompt whose answer never began."""
        price = self._settings.price(reserved.model)
        self._record(usage_without_answer(self._api.now(), reserved, price, prompt_bytes))

    def release(self, reserved: ApiReserved) -> None:
        """Release a reservation that cost nothing."""
        self._api.record(ApiReleased(at=self._api.now(), request=reserved.request))

    def _record(self, event: ApiUsed) -> None:
        self._api.record(event)
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
