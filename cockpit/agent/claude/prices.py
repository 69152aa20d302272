"""What a request to the Messages API costs, and how long an answer the budget allows."""

from typing import Protocol

from cockpit.core.events import ApiReserved, ApiUsed
from cockpit.session.settings import Price

BYTES_PER_TOKEN = 2.0
"""Of UTF-8. Fewer than any text takes, whatever its script: an estimate from it is never too low."""
FASTEST_TOKENS_PER_S = 200.0
"""Faster than a model of this class writes: what a cut answer is taken to have had of thinking nobody saw."""


class Usage(Protocol):
    """The token counts of a response, as the SDK gives them; `input_tokens` leaves out what the cache served."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None
    cache_creation_input_tokens: int | None


def cost_usd(price: Price, usage: Usage) -> float:
    """Dollars of one response. Cache writes without a stated lifetime count as five-minute ones."""
    written = usage.cache_creation_input_tokens or 0
    detail = getattr(usage, "cache_creation", None)
    written_1h = min(written, getattr(detail, "ephemeral_1h_input_tokens", 0) or 0)
    return (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + (usage.cache_read_input_tokens or 0) * price.cache_read
        + (written - written_1h) * price.cache_write_5m
        + written_1h * price.cache_write_1h
    ) / 1e6


def used(at: float, proposer: str, model: str, price: Price, usage: Usage, request: str = "") -> ApiUsed:
    """The ledger's word for what a response used, in place of what was reserved for `request`."""
    return ApiUsed(
        at=at,
        proposer=proposer,
        model=model,
        usd=cost_usd(price, usage),
        request=request,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_input_tokens or 0,
        cache_write_tokens=usage.cache_creation_input_tokens or 0,
    )


def used_unseen(at: float, reserved: ApiReserved, price: Price, prompt_bytes: int) -> ApiUsed:
    """Of a request that was sent, and went unanswered: its prompt may have been billed, and is taken to have been."""
    tokens = round(prompt_bytes / BYTES_PER_TOKEN)
    usd = min(reserved.usd, tokens * price.input / 1e6)
    return ApiUsed(
        at=at, proposer=reserved.proposer, model=reserved.model, usd=usd, request=reserved.request, input_tokens=tokens
    )


def written_tokens(counted: int, chars: int, seconds: float, most: int) -> int:
    """How many tokens of an answer that was cut are taken to be billed: never fewer than were.

    Of thinking only a summary is sent, or nothing; that is what the `seconds` it lasted stand for.
    """
    return max(counted, min(most, round(max(chars / BYTES_PER_TOKEN, seconds * FASTEST_TOKENS_PER_S))))


def prompt_usd(price: Price, size: int) -> float:
    """The most that a prompt of `size` bytes can cost, whatever of it the cache holds."""
    return size / BYTES_PER_TOKEN * max(price.input, price.cache_write_1h) / 1e6


def most_tokens_for(price: Price, usd: float, prompt_bytes: int, wanted: int) -> int:
    """How long an answer may be so that the request cannot cost more than `usd`; at most `wanted`, 0 for none.

    `usd` may be infinite, for no limit.
    """
    left = usd - prompt_usd(price, prompt_bytes)
    if left < 0 or not price.output:
        return 0 if left < 0 else wanted
    return int(min(float(wanted), left / price.output * 1e6))


def worst_usd(price: Price, prompt_bytes: int, tokens: int) -> float:
    """The most that a request with an answer of at most `tokens` can cost."""
    return prompt_usd(price, prompt_bytes) + tokens * price.output / 1e6
