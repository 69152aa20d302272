"""The chain over the ledger's events: each link is a hash of the link before it and the event's body.

A changed, missing or swapped event breaks every later link.
"""

from _blake2 import blake2b  # the one of hashlib, which would load OpenSSL too
from collections.abc import Iterable

CHAIN_BYTES = 16
GENESIS = bytes(CHAIN_BYTES)
"""The link before the first event."""


def digest(content: bytes | memoryview, size: int) -> bytes:
    """Return the hash of a content in `size` bytes."""
    return blake2b(content, digest_size=size).digest()


def link(previous: bytes, body: bytes) -> bytes:
    """Return the link of an event."""
    return digest(previous + body, CHAIN_BYTES)


def chained(previous: bytes, bodies: Iterable[bytes]) -> bytes:
    """Return the link of the last of several events."""
    for body in bodies:
        previous = link(previous, body)
    return previous
