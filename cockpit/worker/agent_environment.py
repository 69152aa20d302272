"""Choose the variables that a hosted agent inherits from the worker: a short list without keys."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from cockpit.core.hosted_agents import HostedAgent, known_agent
from cockpit.session import api_key

ALWAYS = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "COLORTERM", "NO_COLOR",
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
"""Variables of paths, language, terminal and network that every agent inherits."""


def agent_environment(agent: HostedAgent, wanted: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the agent inherits: the usual ones, its own, and those that a person named.

    `wanted` holds names and patterns such as `AWS_*`. Cockpit's key is passed only if `wanted` has its full name.
    """
    wanted = tuple(wanted)
    known = known_agent(agent)
    patterns = (*ALWAYS, *(known.inherits if known else ()), *wanted)
    found = {
        name: value
        for name, value in environment.items()
        if name not in api_key.KEY_VARIABLES and any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    if api_key.KEY_VARIABLE in wanted and (key := api_key.held()):
        found[api_key.KEY_VARIABLE] = key
    return found
