"""Hold the API key in the memory of one process, and keep it out of every other process.

The session's runs on this machine belong to the same Unix user, so they could inspect other processes of that user. A
process started with the key therefore removes it from its environment and from what the kernel shows of that
(`/proc/PID/environ`), and asks the kernel to let only root read its memory. A worker receives the key through a pipe.
"""

import os
import stat
import sys
from pathlib import Path

from cockpit.core.errors import CockpitError

KEY_VARIABLE = "ANTHROPIC_API_KEY"
KEY_VARIABLES = (KEY_VARIABLE, "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS")
"""Variables that are removed from an experiment's environment."""
PIPE_VARIABLE = "COCKPIT_KEY_PIPE"
"""The variable with the descriptor that a worker reads its key from."""
_PR_SET_DUMPABLE = 4
"""https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html"""

_held = ""


def hide() -> None:
    """Move the key from this process's environment into its memory; `held` returns it from then on."""
    global _held
    had = any(name in os.environ for name in KEY_VARIABLES)
    _held = _taken() or _held
    if had:
        forbid_tracing()


def held() -> str:
    """Return the key that this process was started with; empty for none."""
    return os.environ.get(KEY_VARIABLE, "") or _held


def forbid_tracing() -> None:
    """Ask the kernel to let no other process of this user read or trace this one. Child processes are not affected."""
    if sys.platform == "linux":
        import ctypes  # imported here: most commands start without a key

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def pipe() -> int:
    """Return a descriptor from which a new worker reads the held key; the caller closes it."""
    reading, writing = os.pipe()
    os.write(writing, os.fsencode(held())[:4096])  # a pipe's atomic limit
    os.close(writing)
    return reading


def receive() -> None:
    """Hold the key from the pipe that this process was started with, if there is one."""
    global _held
    descriptor = os.environ.pop(PIPE_VARIABLE, "")
    if descriptor.isdigit():
        with os.fdopen(int(descriptor), "rb") as handed:
            _held = os.fsdecode(handed.read()) or _held


def _taken() -> str:
    """Remove the key from the environment and return it."""
    found = os.environ.get(KEY_VARIABLE, "")
    for name in KEY_VARIABLES:
        if name in os.environ:
            _wipe(name)
            del os.environ[name]
    return found


def _wipe(name: str) -> None:
    """Overwrite the value in place: unsetting a variable leaves it where the kernel shows it."""
    import ctypes

    get = ctypes.CDLL(None).getenv
    get.restype = ctypes.c_void_p
    at = get(os.fsencode(name))
    if at:
        ctypes.memset(at, 0, len(ctypes.string_at(at)))


class NoKey(CockpitError):
    """There is no usable key; the message is one sentence that says how to add one."""


class KeyHolder:
    """The API key, reachable only by the code that needs it: it is not printed, compared, copied or serialised."""

    def __init__(self, key_file: str) -> None:
        """Take the key out of this process's environment: later child processes do not inherit it."""
        self._file = Path(key_file).expanduser() if key_file else None
        self._from_environment = _taken() or _held

    def __repr__(self) -> str:
        return "KeyHolder()"

    def __reduce__(self) -> str:
        raise TypeError("a key is not serialised")

    def present(self) -> bool:
        """Return True if a key exists, usable or not."""
        return bool(self._from_environment) or (self._file is not None and self._file.exists())

    def remedy(self) -> str:
        """Return what to do about a key that the API refuses."""
        if self._from_environment:
            return f"`cockpit stop --leave`, then `cockpit open` with one that works in {KEY_VARIABLE}"
        return f"put one that works into {self._file}"

    def read(self) -> str:
        """Read the key again, so that an added or changed key is found. Raises NoKey."""
        if self._from_environment:
            return _checked(self._from_environment, KEY_VARIABLE)
        if self._file is None or not self._file.exists():
            where = f", or write it to {self._file} with mode 600" if self._file else ""
            raise NoKey(f"There is no API key: set {KEY_VARIABLE} before starting the worker{where}.")
        mode = stat.S_IMODE(self._file.stat().st_mode)
        if mode & 0o077:
            raise NoKey(
                f"{self._file} can be read by others (mode {mode:03o}), so its key is not used: run"
                f" `chmod 600 {self._file}`."
            )
        try:
            return _checked(self._file.read_text(encoding="ascii").strip(), str(self._file))
        except (OSError, UnicodeDecodeError):
            raise NoKey(f"{self._file} cannot be read as a key: it must hold the API key and nothing else.") from None


def _checked(key: str, where: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise NoKey(f"{where} does not hold an API key: it must be one word of plain characters.")
    return key
