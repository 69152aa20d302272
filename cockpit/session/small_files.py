"""Replace a small file as a whole, and read the end of a long one."""

import os
import shutil
from pathlib import Path

from cockpit.session.plain_file import make_way, open_plain


def replace_file(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file: a reader finds the old content or the new one. Without a mode the old file's stays.

    Raises OSError. The file is not synced, so a crash of the machine may lose it.
    """
    new_path = path.with_name(f"{path.name}.new")
    make_way(new_path)
    new_path.write_bytes(data)
    if mode is not None:
        new_path.chmod(mode)
    elif path.exists():
        shutil.copymode(path, new_path)
    new_path.replace(path)


def end_of_file(path: Path, most_bytes: int) -> str:
    """Return the last bytes of a file as text; empty if it cannot be read."""
    try:
        with open_plain(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most_bytes))
            return file.read(most_bytes).decode("utf-8", "replace")
    except OSError:
        return ""
