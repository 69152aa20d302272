"""A long log delays nothing: it is read a bounded piece a tick, and its run is judged when all of it is read."""

from pathlib import Path

import pytest

from cockpit.core.cluster_events import ClusterFailed
from cockpit.core.events import Ended, Event, Progressed, Started
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Change, Cluster, Experiment, Outcome
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.fleet.base import ClusterTrouble, JobEnded, JobStarted, Report
from cockpit.worker import reports
from cockpit.worker.reports import READ_BYTES, Reports

MARKS = b"COCKPIT_%s train_sha256=t prepare_sha256=p%s\n"
PRINTED = b"nothing of interest\n" * 1000


class Following:
    """Runs that print to files, one a cluster, and the reports about them."""

    def __init__(self, place: Path, clusters: int = 2) -> None:
        self.place = place
        specs = tuple(ClusterSpec(f"gpu-{number}", "H100") for number in range(clusters))
        self.state = State(Session("s", "/repo", "c0", FleetSpec("sky", specs, depth=2), 0.0, "ann"))
        self.state.experiments["e0"] = Experiment("e0", "w0", "", Change(), "c", "t", "p", "f")
        for number, spec in enumerate(specs):
            self.state.clusters[spec.name] = Cluster(spec.name, "H100")
            self.add(f"e0.{number}", spec.name, AttemptStatus.RUNNING)
        self.reports = Reports(self.path)

    def path(self, attempt: str) -> Path:
        return self.place / f"{attempt}.log"

    def add(self, name: str, cluster: str, status: AttemptStatus) -> None:
        attempt = Attempt(name, "e0", AttemptKind.ARM, 1, status=status, cluster=cluster)
        self.state.attempts[name], self.state.in_flight[name] = attempt, None

    def prints(self, name: str, size: int, end: bytes = b"") -> None:
        with self.path(name).open("ab") as log:
            log.write(MARKS % (b"START", b""))
            while log.tell() < size:
                log.write(PRINTED)
            log.write(end)

    def tick(self, now: float, *new: Report) -> list[Event]:
        events = []
        for report in [*self.reports.due(), *new]:
            for event in self.reports.events(self.state, report):
                events.append(event)
                if isinstance(event, Ended):
                    self.state.in_flight.pop(event.attempt)
        return events + self.reports.progress(self.state, now)


ENDS = b"val_bpb: 1.25\n" + MARKS % (b"END", b" exit=0")
STEP = b"step 1 (1.0%) | loss: 5.5\n"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the pieces that were read since it was last emptied."""
    sizes: list[int] = []
    whole = reports.LogReader.read

    def counted(reader: reports.LogReader, at: float, most_bytes: int = READ_BYTES) -> int:
        size = whole(reader, at, most_bytes)
        sizes.append(size)
        return size

    monkeypatch.setattr(reports.LogReader, "read", counted)
    return sizes


def test_the_verdict_on_a_long_log_comes_when_it_is_read_and_another_run_is_judged_meanwhile(
    tmp_path: Path, reads: list[int]
) -> None:
    following = Following(tmp_path)
    following.prints("e0.0", 20 * READ_BYTES, ENDS)
    following.prints("e0.1", 1000, ENDS)
    events = following.tick(0.0, JobEnded(5.0, "e0.0", "exited", 0), JobEnded(6.0, "e0.1", "exited", 0))
    assert [event.attempt for event in events if isinstance(event, Ended)] == ["e0.1"]
    ticks = 1
    while following.reports.has_work:
        assert sum(reads) <= 2 * READ_BYTES
        reads.clear()
        events = following.tick(float(ticks))
        ticks += 1
    assert 20 <= ticks <= 23
    (ended,) = (event for event in events if isinstance(event, Ended))
    assert (ended.attempt, ended.outcome, ended.at) == ("e0.0", Outcome.VALID, 5.0)
    assert ended.metrics is not None and ended.metrics.score == 1.25


def test_later_reports_about_the_cluster_wait_for_the_verdict(tmp_path: Path) -> None:
    following = Following(tmp_path)
    following.add("e0.9", "gpu-0", AttemptStatus.SUBMITTED)
    following.prints("e0.0", 3 * READ_BYTES, ENDS)
    first = following.tick(0.0, JobEnded(5.0, "e0.0", "exited", 0), JobStarted(6.0, "e0.9"))
    assert first == []
    assert following.tick(1.0, ClusterTrouble(7.0, "gpu-0", "lost", lost=True), JobEnded(8.0, "e0.1", "lost")) != []
    found: list[Event] = []
    for now in range(2, 6):
        found += following.tick(float(now))
    assert [type(event) for event in found] == [Ended, Started, ClusterFailed]


def test_no_tick_reads_more_than_its_share_and_each_flood_gets_its_turn(
    tmp_path: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "TICK_BYTES", 2 * READ_BYTES)
    following = Following(tmp_path, clusters=6)
    for number in range(6):
        following.prints(f"e0.{number}", 3 * READ_BYTES, STEP)
    heard: set[str] = set()
    for now in range(24):
        reads.clear()
        heard |= {event.attempt for event in following.tick(float(now)) if isinstance(event, Progressed)}
        assert sum(reads) <= 2 * READ_BYTES
    assert len(heard) == 6


def test_several_long_logs_of_ended_runs_are_all_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "TICK_BYTES", 2 * READ_BYTES)
    following = Following(tmp_path, clusters=5)
    for number in range(5):
        following.prints(f"e0.{number}", 4 * READ_BYTES, ENDS)
    ended = [JobEnded(5.0, f"e0.{number}", "exited", 0) for number in range(5)]
    found = following.tick(0.0, *ended)
    for now in range(1, 30):
        found += following.tick(float(now))
    assert {event.attempt for event in found if isinstance(event, Ended)} == {f"e0.{number}" for number in range(5)}


def test_a_run_without_a_log_is_judged_at_once(tmp_path: Path) -> None:
    following = Following(tmp_path)
    (ended,) = following.tick(0.0, JobEnded(5.0, "e0.0", "exited", 1))
    assert isinstance(ended, Ended) and ended.outcome is Outcome.CRASH


def test_a_log_with_a_hole_of_a_terabyte_holds_up_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "LOG_BYTES_AT_MOST", 4 * READ_BYTES)
    following = Following(tmp_path)
    following.prints("e0.0", 1000, ENDS)
    with following.path("e0.0").open("ab") as log:
        log.truncate(1 << 40)
    found = following.tick(0.0, JobEnded(5.0, "e0.0", "exited", 0))
    for now in range(1, 6):
        found += following.tick(float(now))
    (ended,) = (event for event in found if isinstance(event, Ended))
    assert ended.outcome is Outcome.LOST and "lengthened by another program to 1099.5 GB" in ended.message
