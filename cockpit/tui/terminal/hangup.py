"""End the screen when its terminal has gone."""

import os
import select
import signal
import sys
import threading


def end_with_terminal() -> None:
    """End this process once its terminal is gone.

    The kernel's SIGHUP reaches only processes whose controlling terminal it is, and Textual reads a closed
    terminal in a loop: such a screen took 40% of a core. Waiting costs nothing.
    """
    terminals = {
        stream.fileno() for stream in (sys.__stdin__, sys.__stdout__) if stream is not None and _is_tty(stream)
    }
    if terminals:
        threading.Thread(target=_wait, args=(terminals,), daemon=True, name="hangup").start()


def _is_tty(stream: object) -> bool:
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except ValueError:  # it is closed
        return False


def _wait(terminals: set[int]) -> None:
    poll = select.poll()
    for terminal in terminals:
        poll.register(terminal, 0)  # hang-ups are reported without being asked for
    if any(found & select.POLLHUP for _, found in poll.poll()):
        os.kill(os.getpid(), signal.SIGHUP)
