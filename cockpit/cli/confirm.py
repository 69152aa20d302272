"""Questions a command puts to whoever sits there; where nobody does, the command line must have answered them."""

import sys

from cockpit.cli.locate import CommandError

_WAYS = {"d": "drain", "c": "cancel", "l": "leave"}


def confirm(cost: str, yes: bool) -> None:
    """Go on only on a yes. Raises CommandError where it is refused, or where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{cost.rstrip('.')}: give --yes to do it unasked")
    print(cost)
    if input("Do it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was done")


def ask_how(leave: bool = True) -> str:
    """`drain`, `cancel` or `leave`, as whoever sits there says. Raises CommandError where nobody does."""
    if not sys.stdin.isatty():
        raise CommandError("say how it ends: --drain, --cancel" + (" or --leave" if leave else ""))
    goes_on = "   [l] goes on by itself" if leave else ""
    print(f"What runs now:  [d] finishes first   [c] is cancelled, its time lost{goes_on}   [Enter] back")
    answer = input("d, c, l: " if leave else "d, c: ").strip().lower()[:1]
    if answer not in _WAYS or (answer == "l" and not leave):
        raise CommandError("nothing was stopped")
    return _WAYS[answer]
