"""Read Python's own syntax, in one thread at a time.

Python 3.11 counts the depth of a tree once for all threads. It raises SystemError if the garbage collector, at work
while one tree is made, lets another thread make its own (CPython issue 106905).
"""

import ast
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.RLock()


@contextmanager
def making_trees() -> Iterator[None]:
    """Keep other threads from making trees, and a source's own warnings from being shown."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def literal(text: str) -> object:
    """Return the value of a Python literal. Raises ValueError for any other text."""
    try:
        with making_trees():
            found: object = ast.literal_eval(text)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text[:100]!r} is not a literal") from error
    return found
