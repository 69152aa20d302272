"""The cost of a request to the Messages API, and the longest answer that a budget pays for."""

from typing import Protocol

from cockpit.core.agent_events import ApiReserved, ApiUsed
from cockpit.session.settings import Price

BYTES_PER_TOKEN = 2.0
"""Bytes of UTF-8 per token. Text of any script has more, so an estimate of tokens from bytes is never too low."""
TOKENS_AT_MOST = 1 << 30
"""The largest count of a response that is believed."""
MAX_TOKENS_PER_S = 200.0
"""Faster than a model of this class writes. Bounds the unseen thinking in an answer that broke off."""


class Usage(Protocol):
    """The token counts of a response, as in the SDK. `input_tokens` excludes tokens from the cache."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None
    cache_creation_input_tokens: int | None


def cost_usd(price: Price, usage: Usage) -> float:
    """Return the dollars of one response. Cache writes without a stated lifetime count as five-minute ones."""
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


def is_counted(usage: Usage) -> bool:
    """Return True if the counts of a response are plausible: a proxy may send anything."""
    cached = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    counts = usage.input_tokens, usage.output_tokens, *cached
    return all(isinstance(count, int) and 0 <= count <= TOKENS_AT_MOST for count in counts)


def unknown_usage(at: float, reserved: ApiReserved) -> ApiUsed:
    """Return the event for a request whose cost is not known."""
    return ApiUsed(at=at, proposer=reserved.proposer, model=reserved.model, usd=reserved.usd, request=reserved.request)


def usage_event(at: float, proposer: str, model: str, price: Price, usage: Usage, request: str = "") -> ApiUsed:
    """Return the ledger's event for a response. It replaces the reservation of `request`."""
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


def usage_without_answer(at: float, reserved: ApiReserved, price: Price, prompt_bytes: int) -> ApiUsed:
    """Return the event for a request that was sent and not answered. Its prompt may have been billed, so it counts."""
    tokens = round(prompt_bytes / BYTES_PER_TOKEN)
    usd = min(reserved.usd, tokens * price.input / 1e6)
    return ApiUsed(
        at=at, proposer=reserved.proposer, model=reserved.model, usd=usd, request=reserved.request, input_tokens=tokens
    )


def billed_output_tokens(counted: int, chars: int, seconds: float, max_tokens: int) -> int:
    """Bound from above the output tokens billed for an answer that broke off.

    The API streams a summary of the thinking, or nothing. The duration, `seconds`, bounds the thinking instead.
    """
    return max(counted, min(max_tokens, round(max(chars / BYTES_PER_TOKEN, seconds * MAX_TOKENS_PER_S))))


def prompt_usd(price: Price, prompt_bytes: int) -> float:
    """Return the highest cost of a prompt, whatever part of it the cache holds."""
    return prompt_bytes / BYTES_PER_TOKEN * max(price.input, price.cache_write_1h) / 1e6


def affordable_tokens(price: Price, usd: float, prompt_bytes: int, wanted_tokens: int) -> int:
    """Return the longest answer with which a request costs at most `usd`; at most `wanted_tokens`, 0 for none.

    `usd` may be infinite: no limit.
    """
    left = usd - prompt_usd(price, prompt_bytes)
    if left < 0 or not price.output:
        return 0 if left < 0 else wanted_tokens
    return int(min(float(wanted_tokens), left / price.output * 1e6))


def worst_usd(price: Price, prompt_bytes: int, answer_tokens: int) -> float:
    """Return the highest cost of a request whose answer has at most `answer_tokens`."""
    return prompt_usd(price, prompt_bytes) + answer_tokens * price.output / 1e6
