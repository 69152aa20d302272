"""A log is read by line with any line ends and growth, and is not held in memory."""

import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cockpit.tui.log_index import LogIndex

text = st.text(st.sampled_from("ab\r\n"), max_size=40)


def lines_of(data: str) -> list[str]:
    lines = re.split(r"\r\n|\n|\r", data)
    return lines[:-1] if lines and not lines[-1] else lines


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(text, min_size=1, max_size=6))
def test_lines_are_read_in_any_growth_of_the_file(tmp_path: Path, parts: list[str]) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"")
    log = LogIndex(path)
    whole = ""
    for part in parts:
        whole += part
        with path.open("ab") as file:
            file.write(part.encode())
        log.grow()
        log.line(0)
    assert [log.line(number) for number in range(log.lines)] == lines_of(whole)


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    log = LogIndex(tmp_path / "later.log")
    assert not log.grow()
    assert log.lines == 0
    (tmp_path / "later.log").write_text("one\n")
    assert log.grow()
    assert log.line(0) == "one"


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("old\n" * 100)
    log = LogIndex(path)
    log.grow()
    path.write_text("new\n")
    log.grow()
    assert (log.lines, log.line(0)) == (1, "new")


def test_a_very_long_line_is_cut_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"x" * 100_000)
    log = LogIndex(path)
    log.grow()
    assert log.line(0).endswith("(cut)")
    assert len(log.line(0)) < 5_000


def test_only_lines_that_arrived_while_watching_have_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("before\n")
    log = LogIndex(path)
    log.grow()
    log.mark(100.0)
    with path.open("a") as file:
        file.write("after\n")
    log.grow()
    log.mark(101.0)
    assert log.came_at(0) is None
    assert log.came_at(1) == 101.0


@pytest.mark.timeout(60)
def test_a_million_lines_are_indexed_in_a_few_hundred_kilobytes(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    block = "".join(f"step {n:05d} loss 2.34\n" for n in range(10_000)).encode()
    with path.open("wb") as file:
        for _ in range(100):
            file.write(block)
    log = LogIndex(path)
    while log.grow():
        pass
    assert log.lines == 1_000_000
    assert log.line(999_999) == "step 09999 loss 2.34"
    tracemalloc.start()
    for number in range(0, 1_000_000, 5_000):
        log.line(number)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3_000_000
