"""The chain over the ledger's events: each link is a hash of the link before it and the event's body.

A changed, missing or swapped event breaks every later link.
"""

from collections.abc import Iterable
from hashlib import blake2b

CHAIN_BYTES = 16
GENESIS = bytes(CHAIN_BYTES)
"""The link before the first event."""


def link(previous: bytes, body: bytes) -> bytes:
    """Return the link of an event."""
    return blake2b(previous + body, digest_size=CHAIN_BYTES).digest()


def chained(previous: bytes, bodies: Iterable[bytes]) -> bytes:
    """Return the link of the last of several events."""
    for body in bodies:
        previous = link(previous, body)
    return previous
