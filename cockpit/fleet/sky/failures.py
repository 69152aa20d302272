"""Tell what a failed call to SkyPilot means, and repeat the questions that its API server did not answer."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cockpit.fleet.sky.error_text import sentence
from cockpit.fleet.sky.parts import SkyError

BLIPS_S = (0.5, 1.0, 2.0)
"""Seconds before a question is repeated to which the API server gave no answer."""
TOO_MANY, SERVER_ERROR = 429, 500
"""The HTTP status of too many requests, and the first of a server's own errors."""
T = TypeVar("T")

_KINDS = {
    "ClusterDoesNotExist": "gone",
    "ClusterNotUpError": "gone",
    "ClusterOwnerIdentityMismatchError": "invalid",
    "PermissionDeniedError": "invalid",
    "UserRequestRejectedByPolicy": "invalid",
    "ApiServerAuthenticationError": "server",
    "APIVersionMismatchError": "server",
    "APINotSupportedError": "server",
    "ExecutionPoolFullError": "server",
    "ConcurrentWorkerExhaustedError": "server",
    "ResourcesMismatchError": "invalid",
    "NotSupportedError": "invalid",
    "InvalidSkyPilotConfigError": "invalid",
    "NoCloudAccessError": "invalid",
    "RequestCancelled": "cancelled",
    "ApiServerConnectionError": "server",
    "ServerTemporarilyUnavailableError": "server",
    "KubeAPIUnreachableError": "server",
    "ClusterStatusFetchingError": "server",
    "RequestInterruptedError": "server",
    "ConnectionError": "server",
    "ChunkedEncodingError": "server",
    "ReadTimeout": "server",
    "JSONDecodeError": "server",
    "ValidationError": "server",
    "ConnectTimeout": "server",
}
_OTHER_VERSION = (
    "this SkyPilot and the API server do not fit: install the server's version, then restart the worker; runs are kept"
    " ({})"
)
_REMEDIES = {
    "ApiServerAuthenticationError": "the login to the API server has expired: run `sky api login`; runs are kept ({})",
    "ValidationError": _OTHER_VERSION,
    "APIVersionMismatchError": _OTHER_VERSION,
}
_FAILING = re.compile(r"^Failed to (?:get request|start SkyPilot API server)\b")
"""The words of SkyPilot where its API server gives no answer, or its proxy's page, or does not start."""
_ABSENT = re.compile(r"Catalog does not contain")
_NEVER = re.compile(r"not enabled|is not supported", re.IGNORECASE)


def understood(error: Exception) -> SkyError:
    """Return the error with its remedy, found by the name of its class, because SkyPilot is not loaded here."""
    text = sentence(error)
    kind = next((_KINDS[c.__name__] for c in type(error).__mro__ if c.__name__ in _KINDS), "other")
    if text.startswith("No value available for secret"):
        kind = "invalid"
    if kind == "other" and _server_failed(error):
        kind = "server"
    if type(error).__name__ == "ResourcesUnavailableError":
        kind = "absent" if _ABSENT.search(text) else "invalid" if _NEVER.search(text) else "refused"
    return SkyError(kind, _REMEDIES.get(type(error).__name__, "{}").format(text))


@contextmanager
def understood_errors() -> Iterator[None]:
    """Raise each error of SkyPilot as a SkyError. All are caught: its SDK lists none, and its server passes on any."""
    try:
        yield
    except SkyError:
        raise
    except Exception as error:
        raise understood(error) from error


def repeated(ask: Callable[[], T]) -> T:
    """Return the answer to a question. It is asked again, a few times, where the API server failed."""
    for wait_s in BLIPS_S:
        try:
            return ask()
        except Exception as error:  # a server that fails is known by its status and words, not by a class
            if not _server_failed(error):
                raise
        time.sleep(wait_s)
    return ask()


def _server_failed(error: Exception) -> bool:
    """Return True where the API server failed, or its proxy answered in its place."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return status == TOO_MANY or status >= SERVER_ERROR or bool(_FAILING.search(sentence(error)))


def read(parse: Callable[[], T]) -> T:
    """Return what is read from an answer. Raises SkyError for one of another shape: its cluster may be as it was."""
    try:
        return parse()
    except SkyError:
        raise
    except Exception as error:  # an answer of another shape fails at any access
        why = f"{type(error).__name__}: {sentence(error)}"
        raise SkyError("server", _OTHER_VERSION.format(why)) from error
