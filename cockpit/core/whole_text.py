"""Text that UTF-8 can hold.

The name of a file that is not UTF-8, an argument of a command and an answer in JSON may hold half of a pair of UTF-16.
"""

from typing import TypeVar

import msgspec

Record = TypeVar("Record", bound=msgspec.Struct)


def with_whole_text(record: Record) -> Record:
    """Return a record with a question mark for each character that UTF-8 cannot hold."""
    return msgspec.convert(_whole(msgspec.to_builtins(record)), type(record))


def _whole(found: object) -> object:
    if isinstance(found, str):
        whole = found.encode("utf-8", "replace").decode()
        return found if found == whole else whole  # equal texts stay one object
    if isinstance(found, dict):
        return {_whole(name): _whole(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_whole(value) for value in found]
    return found
