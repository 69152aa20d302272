"""The command that opens a session on the screen. It is also what `cockpit` does without a command."""

from argparse import Namespace

from cockpit.cli.arguments import Command, add_no_mouse, add_session


def add(command: Command) -> None:
    it = command("open", open_session, "open a session; start its worker if none runs")
    add_session(it)
    add_no_mouse(it)


def open_session(options: Namespace) -> int:
    """Open the session on the screen, or make one."""
    from cockpit.cli.screen import open_session

    return open_session(options.session, options.repo, not options.no_mouse)
