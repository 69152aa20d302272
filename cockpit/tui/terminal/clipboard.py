"""Copies to the terminal's clipboard: by OSC 52, which also works over ssh, and by tmux where it is in between.

tmux ignores OSC 52 from its programs by default, but sends its own to the terminal on `load-buffer -w`.
"""

import base64
import os
import subprocess

MOST_BYTES = 74_994
"""Bytes that terminals accept by OSC 52, before base64."""
TMUX_WITHIN_S = 2.0


def fitting(text: str) -> bytes:
    """Encode as much of the text as a terminal takes, without splitting a character."""
    return text.encode(errors="replace")[:MOST_BYTES].decode(errors="ignore").encode()


def sequence(data: bytes) -> str:
    """Return the escape sequence that makes a terminal copy the data."""
    return f"\x1b]52;c;{base64.b64encode(data).decode()}\x07"


def by_tmux(data: bytes) -> bool:
    """Copy through the tmux around this process. Returns True if that worked."""
    if not os.environ.get("TMUX"):
        return False
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"],
            input=data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TMUX_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
