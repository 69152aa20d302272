"""Asks a registry for a docker image, before a cluster is launched that would pull it."""

import base64
import json
import re
import urllib.error
import urllib.parse
import urllib.request

from cockpit.core.errors import CockpitError

ASK_S = 15.0
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)  # fmt: skip
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
DOCKER_HUB = "registry-1.docker.io"


class RegistryError(CockpitError):
    """The registry gave no answer about the image; the message is one sentence."""


def reference(image: str) -> tuple[str, str, str]:
    """Return an image's registry, repository and tag or digest, as docker reads them."""
    first, slash, rest = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, name = (first, rest) if is_host else (DOCKER_HUB, image)
    name, at, digest = name.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon:
        repository, tag = name, "latest"
    if host in ("docker.io", "index.docker.io"):
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return host, repository, digest if at else tag


def is_there(image: str, login: tuple[str, str] | None = None) -> bool:
    """Return True if the registry has the image, and False if it has not. Raises RegistryError."""
    host, repository, tag = reference(image)
    scheme = "http" if host.partition(":")[0] in ("localhost", "127.0.0.1") else "https"
    url = f"{scheme}://{host}/v2/{repository}/manifests/{tag}"
    try:
        try:
            _get(url, "")
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            _get(url, _authorization(error.headers.get("WWW-Authenticate", ""), login))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        if error.code in (401, 403):
            raise RegistryError(f"{host} shows no {repository} without a login, or has none") from error
        raise RegistryError(f"{host} answered with {error.code}") from error
    except (OSError, ValueError, KeyError) as error:
        raise RegistryError(f"{host} cannot be asked from here: {getattr(error, 'reason', error)}") from error
    return True


def _get(url: str, authorization: str) -> bytes:
    headers = {"Accept": _MANIFESTS} | ({"Authorization": authorization} if authorization else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=ASK_S) as answer:
        return bytes(answer.read(1 << 20))


def _authorization(challenge: str, login: tuple[str, str] | None) -> str:
    """Return the header that answers a registry's challenge, with an anonymous token where there is no login."""
    basic = "Basic " + base64.b64encode(":".join(login).encode()).decode() if login else ""
    if not challenge.lower().startswith("bearer"):
        return basic
    asked = dict(_CHALLENGE.findall(challenge))
    query = urllib.parse.urlencode({name: asked[name] for name in ("service", "scope") if name in asked})
    answer = json.loads(_get(f"{asked['realm']}?{query}", basic))
    return f"Bearer {answer.get('token') or answer['access_token']}"
