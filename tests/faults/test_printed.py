"""A run prints anything: its output is read in bounded memory, and only a plain number becomes its score."""

import math
import tracemalloc

import pytest

from cockpit.core.metric import VAL_BPB
from cockpit.fleet.run_log import RunLog

SCORES: dict[bytes, float | None] = {
    b"1e-400": 0.0,
    b"-0": 0.0,
    b"0x1.8p3": None,
    b"0x10": None,
    b"1_000.5": 1_000.5,
    b"NaN": None,
    b"+inf": None,
    b"1j": None,
    b"(1+2j)": None,
    b"1.5e": None,
    b"1.5e-": None,
    b"1.0.0": None,
    b"1,5": None,
    b"1e5e5": None,
    b"\x001.0": None,
    b"1.0\xed\xa0\x80": None,
    "\u0661.\u0665".encode(): None,
    "\uff11.\uff15".encode(): None,
    "1.5\u00b2".encode(): None,
    "\u00bd".encode(): None,
    "\u202e5.1".encode(): None,
    "\u200b1.5".encode(): None,
    "\u22121.5".encode(): -1.5,
    "\u00a01.5".encode(): 1.5,
}


def read(data: bytes) -> RunLog:
    log = RunLog(VAL_BPB)
    for start in range(0, len(data), 1 << 16):
        log.feed(data[start : start + (1 << 16)], 1.0)
    log.finish(1.0)
    return log


@pytest.mark.parametrize("printed", SCORES)
def test_only_a_plain_number_is_a_score(printed: bytes) -> None:
    found = read(b"val_bpb: " + printed + b"\n").values.number("val_bpb", math.inf)
    assert (found.value if found else None) == SCORES[printed]


HEADS = [b"\xef\xbb\xbf", b"\x00" * 1_000, b"\x1b[" * 10_000 + b"m\n", b"a\r", b"\xff\xfe\n"]


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_a_score_behind_other_bytes_is_read(head: bytes) -> None:
    found = read(head + b"val_bpb: 1.5\n").values.number("val_bpb", math.inf)
    assert found is not None and found.value == 1.5


ENDS = {
    "exit=-0": 0, "exit=0x0": None, "exit=\u0660": None, "exit=0\x00": None, "exit=99999": None, "exit=": None,
    "exit=1e3": None, "exit=0 exit=1": None,
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_only_a_small_whole_number_is_an_exit_code(end: str) -> None:
    marks = f"train_sha256={'a' * 64} prepare_sha256={'a' * 64}"
    log = read(f"COCKPIT_START {marks}\nCOCKPIT_END {marks} {end}\n".encode())
    assert log.exit_code == ENDS[end]


LONG = {
    "10 MB without a line end": b"x" * (10 << 20),
    "a number of 10 MB": b"val_bpb: " + b"1" * (10 << 20),
    "10 MB of spaces": b"val_bpb:" + b" " * (10 << 20) + b"1",
    "100,000 names": b"".join(b"m%d: 1.0 " % number for number in range(100_000)),
    "lists in lists": b"[" * (1 << 20),
    "a record in records": b"{'val_bpb': 1.0, " + b"'a': {" * 100_000,
    "an escape without end": b"\x1b]0;" + b"a" * (4 << 20),
    "ratios": b"1/" * (1 << 20),
    "half a million words": b"loss " * (1 << 19),
    "a power of powers": b"val_bpb: 1" + b"e1" * (1 << 20),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LONG)
def test_a_line_of_any_length_is_read_in_bounded_memory(name: str) -> None:
    data = LONG[name]
    tracemalloc.start()
    try:
        log = read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20
    log.feed(b"\nval_bpb: 0.5\n", 2.0)
    found = log.values.number("val_bpb", math.inf)
    assert found is not None and found.value == 0.5
