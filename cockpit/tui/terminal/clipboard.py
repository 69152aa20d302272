"""To the clipboard of whoever looks: by OSC 52, which reaches it over ssh too, and by tmux where it is in between.

tmux as it comes takes no OSC 52 from the programs in it, but sends its own on for `load-buffer -w`.
"""

import base64
import os
import subprocess

MOST_BYTES = 74_994
"""What terminals take by OSC 52, in bytes before base64."""
TMUX_WITHIN_S = 2.0


def fitting(text: str) -> bytes:
    """As much of the text as a terminal takes, never half a character."""
    return text.encode(errors="replace")[:MOST_BYTES].decode(errors="ignore").encode()


def sequence(data: bytes) -> str:
    """What tells a terminal to copy."""
    return f"\x1b]52;c;{base64.b64encode(data).decode()}\x07"


def by_tmux(data: bytes) -> bool:
    """Leave it to the tmux around this process. Returns whether there is one and it did."""
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
