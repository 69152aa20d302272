"""Python's own syntax is read alike in one thread and in several."""

import ast
import gc
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.python_syntax import literal, making_trees

SOURCE = "\n".join(
    f"def f{number}(a, b):\n    return [a + {number} * (b - 1) for a in range(b)]" for number in range(60)
)


def test_two_threads_make_trees_at_once() -> None:
    """Let the garbage collector, which works while one tree is made, give another thread the time to make its own."""
    made: list[object] = []
    others: list[threading.Thread] = []

    def other() -> None:
        made.append(literal("[1, (2, [3])]"))

    def collecting(phase: str, _: dict[str, int]) -> None:
        if phase == "start" and not others and sys._getframe(1).f_code is ast.parse.__code__:
            others.append(threading.Thread(target=other))
            others[0].start()
            others[0].join(0.2)

    before = gc.get_threshold()
    gc.callbacks.append(collecting)
    gc.set_threshold(100)
    try:
        with making_trees():
            ast.parse(SOURCE)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(collecting)
    for one in others:
        one.join()
    assert made == [[1, (2, [3])]] * len(others)


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(LITERALS)
def test_a_literal_is_its_value(value: object) -> None:
    assert literal(repr(value)) == value


@given(st.text())
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        literal(text)
    except ValueError:
        return


@pytest.mark.parametrize("text", ["(" * 500, "{[]: 1}", "-" * 100_000 + "1", "1 if", "a b", "\0", "{1: 2}[1]"])
def test_a_text_that_python_cannot_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        literal(text)
