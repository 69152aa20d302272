"""Locks on the devices of this machine: one file for each device, across sessions and users.

The kernel keeps a lock while the worker or a runner that inherited it lives. It releases the lock when the last of them
dies.
"""

import fcntl
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

FOLDER = Path("/tmp/cockpit-devices")
FOLDER_VARIABLE = "COCKPIT_DEVICE_LOCKS"
EVERYBODY_ADDS, EVERYBODY_WRITES = 0o1777, 0o666
NOTE_BYTES = 4_096
NAME_CHARACTERS = 200


class Holder(msgspec.Struct, frozen=True):
    """The session that holds a device, as it writes itself into the lock's file."""

    session: str
    """The path of its folder."""
    user: str

    @property
    def words(self) -> str:
        return f"session {Path(self.session).name} of {self.user}" if self.session else f"a cockpit of {self.user}"


class DeviceLocks:
    """The locks of one session's worker. A lock that several slots share is taken once."""

    def __init__(self, holder: Holder, folder: Path | None = None) -> None:
        self._holder = holder
        self._folder = folder or Path(os.environ.get(FOLDER_VARIABLE) or FOLDER)
        self._held: dict[str, int] = {}
        """Device to the descriptor of its locked file."""

    def take(self, devices: Iterable[str]) -> str:
        """Lock all the devices, or none. Returns the other holder of one of them; empty if all are locked.

        A runner of this session that outlived an earlier worker counts as this session. Raises OSError if a lock cannot
        be made.
        """
        taken: list[str] = []
        for device in devices:
            if device in self._held:
                continue
            descriptor = self._open(device)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                other = _read(descriptor)
                os.close(descriptor)
                if other is not None and other.session and other.session == self._holder.session:
                    continue
                self.release(taken)
                return f"{device} is used by {other.words if other else 'another program'}"
            self._held[device] = descriptor
            taken.append(device)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(self._holder)[:NOTE_BYTES], 0)
        return ""

    def release(self, devices: Iterable[str]) -> None:
        """Release devices. A runner that inherited a lock keeps it."""
        for device in devices:
            descriptor = self._held.pop(device, None)
            if descriptor is not None:
                os.close(descriptor)

    def close(self) -> None:
        self.release(list(self._held))

    def descriptors(self, devices: Iterable[str]) -> tuple[int, ...]:
        """Return the locked files that a runner on these devices inherits."""
        return tuple(self._held[device] for device in devices if device in self._held)

    def _open(self, device: str) -> int:
        self._make_folder()
        path = self._folder / f"{_file_name(device)}.lock"
        try:
            # Without O_CREAT: a kernel with fs.protected_regular forbids it on another user's file in this folder.
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, EVERYBODY_WRITES)
            os.fchmod(descriptor, EVERYBODY_WRITES)  # the umask took the other users' rights away
            return descriptor

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True)
            self._folder.chmod(EVERYBODY_ADDS)
        except FileExistsError:
            if not stat.S_ISDIR(self._folder.lstat().st_mode):
                raise


def _read(descriptor: int) -> Holder | None:
    """Return the holder named in a lock's file; None for other text, which any user may have written."""
    try:
        found = msgspec.json.decode(os.pread(descriptor, NOTE_BYTES, 0), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if found.words.isprintable() and len(found.words) <= NAME_CHARACTERS else None


def _file_name(device: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in device)[:200]
