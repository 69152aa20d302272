"""Signed lines, which a runner prints among the lines of its run and the run cannot forge.

Each line carries a code made with a key that only the runner and the session have.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib

START, END = "start", "end"
BODY_BYTES = 1 << 22
"""Bytes of a body that are unpacked."""
_WORD = "COCKPIT_RUNNER"


def signed_line(key: str, kind: str, body: dict[str, object]) -> str:
    """Return the line of a kind with its body."""
    packed = base64.b64encode(zlib.compress(json.dumps(body).encode(), 9)).decode()
    return f"{_WORD} {kind} {_code(key, kind, packed)} {packed}"


def read_line(key: str, line: bytes) -> tuple[str, bytes] | None:
    """Return the kind and the JSON body of a line that was signed with the key; None for any other line."""
    if not key or not line.startswith(_WORD.encode() + b" "):
        return None
    words = line.decode("ascii", "replace").split(" ")
    if len(words) != 4 or not hmac.compare_digest(_code(key, words[1], words[3]), words[2]):
        return None
    try:
        return words[1], zlib.decompressobj().decompress(base64.b64decode(words[3]), BODY_BYTES)
    except (ValueError, zlib.error):
        return None


def _code(key: str, kind: str, packed: str) -> str:
    return hmac.new(key.encode(), f"{kind} {packed}".encode(), hashlib.sha256).hexdigest()
