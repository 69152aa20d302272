"""Names of variables that hold secrets."""

import re

_SECRET = re.compile(r"KEY|TOKEN(?!IZERS_)|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH|COOKIE|SESSION", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Return True if a variable's name looks like a secret's. Such a variable never reaches a run."""
    return bool(_SECRET.search(name))
