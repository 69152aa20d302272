"""The estimate, made before the session started, of the built-in researcher's requests, tokens and dollars."""

import msgspec

RECENT_REQUESTS = 64
"""Number of the newest requests from which the present rate of spending is computed."""


class ModelEstimate(msgspec.Struct, frozen=True):
    hours: float
    """The hours that it covers: the session's, or 1 for a session without a limit."""
    effort: str
    turns: int
    requests: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    """Without the thinking."""
    thinking_tokens: int
    usd: float
    thinking_usd: float
    """The part of `usd` for the thinking."""
    at_most: bool = False
    """True if the estimate is an upper bound: the researcher waits for a person between its turns."""
