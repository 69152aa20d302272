"""The requests, tokens and dollars that the built-in researcher was estimated to need, before the session started."""

import msgspec

RECENT_REQUESTS = 64
"""The last requests to models whose costs tell the present rate."""


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
    """True where the researcher waits for a person between its turns, and so needs no more than this."""
