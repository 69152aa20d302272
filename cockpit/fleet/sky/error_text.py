"""The message of an error, as one line."""

import re

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def sentence(error: BaseException) -> str:
    """Return the message of an error, as one line without colours."""
    text = " ".join(_ESCAPES.sub("", str(error)).split()).partition(" Hint: ")[0]
    if text.startswith("Invalid payload string"):
        return "its node gave no answer"  # SkyPilot's word for a connection that ended in the middle
    return text[:400] or type(error).__name__
