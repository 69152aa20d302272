"""Join bodies of events into one text, each after its length."""

from collections.abc import Sequence


def joined(bodies: Sequence[bytes]) -> bytes:
    """Return bodies as one text, each with its length before it."""
    return b"".join(len(body).to_bytes(4, "little") + body for body in bodies)


def split(text: bytes) -> list[bytes]:
    """Return the bodies of a joined text. Raises ValueError if the lengths do not add up."""
    bodies, at = [], 0
    while at < len(text):
        size = int.from_bytes(text[at : at + 4], "little")
        body = text[at + 4 : at + 4 + size]
        if len(body) != size:
            raise ValueError("a body is cut")
        bodies.append(body)
        at += 4 + size
    return bodies
