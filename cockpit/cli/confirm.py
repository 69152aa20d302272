"""Questions that a command asks on its terminal. Without a terminal, a flag must answer them."""

import sys

from cockpit.cli.errors import CommandError

_WAYS = {"d": "drain", "c": "cancel", "l": "leave"}


def confirm(cost: str, yes: bool) -> None:
    """Return if the person says yes, or said --yes. Raises CommandError on a no, or without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{cost.rstrip('.')}: add --yes to confirm")
    print(cost)
    if input("Do it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was done")


def ask_how(leave: bool = True) -> str:
    """Ask for `drain`, `cancel` or `leave`. Raises CommandError without an answer or a terminal."""
    if not sys.stdin.isatty():
        raise CommandError("say how it ends: --drain, --cancel" + (" or --leave" if leave else ""))
    left = "   [l] leave them running" if leave else ""
    print(f"Running attempts:  [d] let them finish   [c] cancel them, their time is lost{left}   [Enter] back")
    answer = input("d, c, l: " if leave else "d, c: ").strip().lower()[:1]
    if answer not in _WAYS or (answer == "l" and not leave):
        raise CommandError("nothing was stopped")
    return _WAYS[answer]
