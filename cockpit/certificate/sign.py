"""Sign, write and read certificates with the session's key."""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cockpit.core.errors import CockpitError
from cockpit.session.plain_file import open_plain, read_plain

FIELDS = (b'"body"', b'"digest"', b'"signature"')
"""Fields of a certificate's file. Fewer of them in a file mean that it was changed."""
KEY_BYTES = 32
FILE_BYTES = 1 << 22
"""The largest file that is read as a certificate."""


class CertificateError(CockpitError):
    """A certificate does not hold; the message is one sentence."""


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed statement about a keep."""

    body: dict[str, Any]
    digest: str
    """sha256 of the body's canonical text."""
    signature: str
    """Ed25519 over the same text, in base64, by the key that the body names."""


def session_key(path: Path) -> Ed25519PrivateKey:
    """Return the session's key, made the first time; its owner alone may read it. Raises OSError."""
    try:
        data = bytes.fromhex(read_plain(path, FILE_BYTES).decode("ascii"))
        if len(data) == KEY_BYTES:
            return Ed25519PrivateKey.from_private_bytes(data)
    except (FileNotFoundError, ValueError):
        pass
    data = os.urandom(KEY_BYTES)
    _write(path, data.hex().encode(), 0o600)
    return Ed25519PrivateKey.from_private_bytes(data)


def public_text(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(body: dict[str, Any], key: Ed25519PrivateKey) -> Certificate:
    text = canonical(body)
    signature = base64.b64encode(key.sign(text)).decode()
    return Certificate(body, hashlib.sha256(text).hexdigest(), signature)


def write(path: Path, certificate: Certificate) -> None:
    """Write a certificate as a whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, _text(certificate), 0o640)


def read(path: Path) -> Certificate:
    """Return the certificate in a file, signed by the key it names. Raises CertificateError if any byte differs."""
    try:
        with open_plain(path) as file:
            data = file.read(FILE_BYTES)
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from error
    if not any(name in data for name in FIELDS):
        raise CertificateError(f"{path} is not a certificate: those of a session lie in its folder certificates")
    changed = CertificateError(f"{path} is not as it was signed: at least one byte was changed")
    try:
        found = msgspec.convert(json.loads(data), Certificate)
        text = canonical(found.body)
        key = Ed25519PublicKey.from_public_bytes(_decoded(found.body["key"]))
        key.verify(_decoded(found.signature), text)
    except (ValueError, TypeError, KeyError, RecursionError, msgspec.MsgspecError, InvalidSignature):
        raise changed from None
    if found.digest != hashlib.sha256(text).hexdigest() or data != _text(found):
        raise changed
    return found


def _decoded(text: str) -> bytes:
    """Return the bytes of a text in base64. Raises ValueError for one of their other spellings.

    The last character has bits that decoders leave out, so several spellings have the same bytes.
    """
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError(text)
    return data


def canonical(body: dict[str, Any]) -> bytes:
    """Return the text that is hashed and signed: JSON with sorted keys and no blank space."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _text(certificate: Certificate) -> bytes:
    return json.dumps(msgspec.structs.asdict(certificate), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
