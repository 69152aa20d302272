"""Ignore unused signals whose default action ends a process. Only the standard library is imported."""

import signal

UNUSED = {
    *(
        getattr(signal, f"SIG{name}")
        for name in ("USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT", "XCPU")
        if hasattr(signal, f"SIG{name}")
    ),
    *(range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()),
}


def survive_unused_signals(*more: int) -> None:
    """Make this process ignore the unused signals and those given. Programs that it starts do not inherit this."""
    for number in UNUSED.union(more):
        signal.signal(number, lambda received, frame: None)
