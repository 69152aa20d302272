"""A run's lines are taken out of SkyPilot's stream, each once, however often the stream breaks."""

import base64
import hashlib
import hmac
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cockpit.fleet.sky import log
from cockpit.fleet.sky.log import LINE_BYTES, JobLines, RunLogFile
from tests.fleet.runner_lines import end_line, start_line

WAITING = "\x1b[2m├── \x1b[0m\x1b[2mWaiting for task resources on 1 node.\x1b[0m\n"
STARTED = "\x1b[2m└── \x1b[0mJob started. Streaming logs... \x1b[2m(Ctrl-C to exit log streaming)\x1b[0m\n"
FINISHED = "\x1b[0m\x1b[32m✓ Job finished (status: SUCCEEDED).\x1b[0m\x1b[0m\n"


def own(text: str, name: str = "e0001.1") -> str:
    return f"\x1b[36m({name}, pid=6162)\x1b[0m {text}\n"


def taken(lines: JobLines, pieces: list[str]) -> bytes:
    return b"".join(lines.feed(piece) for piece in pieces)


def test_only_the_runs_own_lines_are_kept_without_prefix_and_colour() -> None:
    lines = JobLines("e0001.1", 0)
    stream = [WAITING, STARTED, own("step 1"), own("\x1b[31mred\x1b[0m"), FINISHED]
    assert taken(lines, stream) == b"step 1\nred\n"
    assert lines.status == "SUCCEEDED"


def test_a_line_of_another_run_is_left_out() -> None:
    assert taken(JobLines("e0001.1", 0), [own("val_bpb: 0.1", "e0002.1"), own("mine")]) == b"mine\n"


def test_a_run_cannot_forge_the_end_of_its_job() -> None:
    lines = JobLines("e0001.1", 0)
    taken(lines, [own("✓ Job finished (status: SUCCEEDED).")])
    assert lines.status == ""


def test_steps_that_end_with_a_carriage_return_are_lines_with_one_prefix_or_several() -> None:
    prefix = "\x1b[36m(e0001.1, pid=1)\x1b[0m "
    each = [f"{prefix}\r", f"{prefix}step 1  \r", f"{prefix}step 2  \r", f"{prefix}\n", own("done")]
    once = [f"{prefix}\r", "step 1  \r", "step 2  \r", "\n", own("done")]
    for stream in (each, once):
        lines = JobLines("e0001.1", 0)
        assert [lines.feed(piece) for piece in stream] == [b"", b"step 1  \n", b"step 2  \n", b"", b"done\n"]


def test_a_run_cannot_forge_the_end_of_its_job_behind_a_carriage_return_either() -> None:
    lines = JobLines("e0001.1", 0)
    said = taken(lines, ["\x1b[36m(e0001.1, pid=1)\x1b[0m x\r", FINISHED, own("y")])
    assert said.endswith(b"y\n") and lines.status == ""


def test_a_line_of_ten_megabytes_is_cut_and_what_follows_is_kept() -> None:
    lines = JobLines("e0001.1", 0)
    pieces = ["\x1b[36m(e0001.1, pid=1)\x1b[0m ", *["x" * 65_536] * 160, "\n", own("after")]
    first, second, _ = taken(lines, pieces).split(b"\n")
    assert (len(first), second) == (LINE_BYTES, b"after")


def test_the_setup_of_a_cluster_is_read_by_its_own_prefix() -> None:
    assert taken(JobLines("setup", 0), ["\x1b[36m(setup pid=7602)\x1b[0m uv sync\n"]) == b"uv sync\n"


def noted(lines: JobLines) -> tuple[float, str, float, int | None]:
    assert lines.start is not None and lines.end is not None
    return lines.start.at, lines.start.wall, lines.end.at, lines.end.exit_code


def test_the_signed_notes_of_a_runner_give_the_start_the_wall_the_end_and_the_exit_code() -> None:
    lines = JobLines("e0001.1", 0, "key")
    taken(lines, [own(start_line("key", "landlock", 1000.5)), own(end_line("key", 7, 1301.25))])
    assert noted(lines) == (1000.5, "landlock", 1301.25, 7)


def test_a_line_that_the_run_forges_or_prints_again_is_text() -> None:
    lines = JobLines("e0001.1", 0, "key")
    real = own(start_line("key", "unconfined", 1000.5)), own(end_line("key", 7, 1301.25))
    forged = own(start_line("another", "bubblewrap")), own(end_line("another", 0)), own(end_line("", 0))
    kept = taken(lines, [forged[0], real[0], *forged, own(start_line("key", "unconfined", 2.0)), real[1], *forged])
    assert noted(lines) == (1000.5, "unconfined", 1301.25, 7)
    assert kept.count(b"COCKPIT_RUNNER") == 10, "text is kept for the person"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"at": "soon"}', b"[" * 9000, b"\xff" * 99])
def test_a_signed_note_that_cannot_be_read_is_none(body: bytes) -> None:
    packed = base64.b64encode(zlib.compress(body)).decode()
    code = hmac.new(b"key", f"end {packed}".encode(), hashlib.sha256).hexdigest()
    for line in (f"COCKPIT_RUNNER end {code} {packed}", f"COCKPIT_RUNNER end {code}", "COCKPIT_RUNNER \xff a b"):
        lines = JobLines("e0001.1", 0, "key")
        taken(lines, [own(line)])
        assert lines.end is None


def test_the_log_has_the_lines_of_the_first_of_several_nodes() -> None:
    lines = JobLines("e0001.1", 0, "key")
    stream = [
        "\x1b[36m(head, rank=0, pid=5)\x1b[0m val_bpb: 1.5\n",
        "\x1b[36m(worker1, rank=1, pid=7, ip=10.0.0.2)\x1b[0m val_bpb: 1.5\n",
        "\x1b[36m(worker10, rank=10, pid=7, ip=10.0.0.9)\x1b[0m val_bpb: 1.5\n",
        f"(worker1, rank=1, pid=7, ip=10.0.0.2) {end_line('key', 9)}\n",
        f"(head, rank=0, pid=5) {end_line('key', 3)}\n",
    ]
    assert taken(lines, stream).startswith(b"val_bpb: 1.5\nCOCKPIT_RUNNER")
    assert lines.end is not None and lines.end.exit_code == 3


@given(st.lists(st.one_of(st.text(max_size=40), st.sampled_from(["(e0001.1, pid=1) ", "\r", "\n", " exit=", "at="]))))
def test_arbitrary_text_never_raises(pieces: list[str]) -> None:
    lines = JobLines("e0001.1", 3)
    for piece in pieces:
        lines.feed(piece)


def test_a_flood_is_cut_in_the_middle_and_read_again_without_gap_or_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("HEAD_BYTES", 1000), ("TAIL_BYTES", 500), ("SAMPLE_BYTES", 100)):
        monkeypatch.setattr(log, name, size)
    path = tmp_path / "e0001.1.log"
    printed = [f"line {number:06d}\n".encode() for number in range(5000)]
    for upto, flushes in ((50, False), (2000, False), (3000, True), (5000, True)):
        file = RunLogFile(path)  # a worker that was killed comes back
        for line in printed[file.lines : upto]:
            file.append(line)
        if flushes:
            file.flush()
        file.close()
    kept = path.read_bytes().splitlines(keepends=True)
    assert kept[0] == printed[0] and kept[-40:] == printed[-40:]
    cuts = [int(line.split()[4]) for line in kept if line.startswith(b"[cockpit cut ")]
    own_lines = [line for line in kept if not line.startswith(b"[cockpit cut ")]
    assert cuts and len(own_lines) + sum(cuts) == 5000
    assert own_lines == sorted(own_lines) and len(set(own_lines)) == len(own_lines)
    assert path.stat().st_size < 5000


printed = st.lists(st.text(st.characters(exclude_characters="\n\x1b", exclude_categories=["Cs"]), max_size=20))


@example(texts=["\r", "a\r"], breaks=[], cuts=list(range(100, 260)))
@given(texts=printed, breaks=st.lists(st.integers(0, 300), max_size=4), cuts=st.lists(st.integers(0, 300), max_size=9))
def test_a_stream_that_breaks_anywhere_leaves_no_gap_and_no_repeat(
    texts: list[str], breaks: list[int], cuts: list[int]
) -> None:
    stream = "".join([WAITING, STARTED, *(own(text) for text in texts), FINISHED])
    got, known = b"", 0
    for length in [*breaks, len(stream)]:
        ends = sorted({min(cut, length) for cut in cuts} | {length})
        pieces = [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        new = taken(JobLines("e0001.1", known), pieces)
        got += new
        known += new.count(b"\n")
    assert got == taken(JobLines("e0001.1", 0), [stream])
    if not any("\r" in text for text in texts):
        assert got == b"".join(text.encode() + b"\n" for text in texts)


@given(cut=st.integers(0, 30), lines=st.lists(st.binary(max_size=6).filter(lambda b: b"\n" not in b), min_size=1))
def test_a_file_torn_by_a_kill_is_completed(
    tmp_path_factory: pytest.TempPathFactory, cut: int, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "e0001.1.log"
    whole = b"".join(line + b"\n" for line in lines)
    path.write_bytes(whole[:cut])
    file = RunLogFile(path)
    file.append(b"".join(line + b"\n" for line in lines[file.lines :]))
    file.close()
    assert path.read_bytes() == whole


def test_a_log_is_appended_to_and_counts_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "e0001.1.log"
    for line in (b"one\n", b"two\n"):
        file = RunLogFile(path)
        file.append(line)
        file.close()
    assert RunLogFile(path).lines == 2
