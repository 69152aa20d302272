"""After any history the indexes equal a recount, a snapshot equals a fold of all events, and no second counts twice."""

import pytest
from hypothesis import HealthCheck, settings

from cockpit.core.cluster_events import ClusterFailed, ClusterSeen, ClusterStopping, ClusterUp
from cockpit.core.event_codec import encode_event
from cockpit.core.events import (
    ArmDropped,
    AskEnded,
    Decided,
    Ended,
    Queued,
    Started,
    Submitting,
    Unsubmitted,
    WaveCancelled,
)
from cockpit.core.fold import fold
from cockpit.core.model import (
    AttemptKind,
    AttemptStatus,
    Cluster,
    ClusterState,
    ExperimentStatus,
    Metrics,
    Outcome,
    WaveStatus,
)
from cockpit.core.state import State
from tests.core.histories import SESSION, Histories
from tests.core.invariants import CREATED

Histories.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestHistories = Histories.TestCase


def test_an_event_about_something_unknown_is_an_error() -> None:
    with pytest.raises(KeyError):
        fold(State(SESSION), Started(at=1.0, attempt="e0042.1"))


def test_a_session_begins_with_session_created() -> None:
    with pytest.raises(ValueError, match="SessionCreated"):
        fold(None, Started(at=1.0, attempt="e0042.1"))


def test_progress_does_not_count_in_seq() -> None:
    machine = Histories()
    machine.create()
    before = machine.state.seq
    machine.submit(0, 0, 1.0)
    machine.a_run_starts(0, 0.0)
    machine.a_run_gets_on(0, 0.5)
    assert machine.state.seq == before + 2
    assert machine.state.attempts["e0000.1"].progress is not None


def test_an_adopted_cluster_joins_the_state() -> None:
    machine = Histories()
    machine.create()
    machine.tell(ClusterSeen(at=CREATED, cluster=Cluster("mine", "A100", ClusterState.IDLE)))
    assert machine.state.clusters["mine"].hardware == "A100"


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_an_event_with_a_number_json_cannot_hold_is_not_stored(number: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        encode_event(AskEnded(at=1.0, ask=1, proposer="grid", retry_at=number))


# Cases that the histories found


@pytest.fixture
def history() -> Histories:
    """Two H100s that are up, and an approved baseline with two waiting attempts."""
    made = Histories()
    made.create()
    return made


def begin(history: Histories, attempt: str, cluster: str) -> None:
    history.tell(Submitting(at=history.now, attempt=attempt, cluster=cluster, hardware="H100", reserved_usd=1.0))
    history.tell(Started(at=history.now, attempt=attempt))


def test_a_wave_whose_arms_were_all_dropped_is_done_when_it_is_approved(history: Histories) -> None:
    history.propose(arms=1, replicates=1, filler=False)
    history.tell(ArmDropped(at=history.now, experiment="e0001", author="me"))
    history.approve(0)
    assert history.state.waves["w001"].status is WaveStatus.DONE
    assert "w001" not in history.state.open_waves


def test_a_lost_cluster_that_comes_back_with_its_run_is_busy(history: Histories) -> None:
    begin(history, "e0000.1", "gpu-01")
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="cut off"))
    history.tell(ClusterUp(at=history.now + 60, cluster="gpu-01", hardware="H100"))
    assert history.state.clusters["gpu-01"].state is ClusterState.BUSY


def test_a_dropped_arm_whose_submission_was_refused_does_not_wait(history: Histories) -> None:
    history.tell(Submitting(at=history.now, attempt="e0000.1", cluster="gpu-01", hardware="H100"))
    history.tell(ArmDropped(at=history.now, experiment="e0000", author="me"))
    history.tell(Unsubmitted(at=history.now, attempt="e0000.1", reason="the cluster is gone"))
    assert history.state.attempts["e0000.1"].status is AttemptStatus.ENDED
    assert not history.state.waiting


def test_a_decision_ends_a_stranded_experiment(history: Histories) -> None:
    for attempt in ("e0000.1", "e0000.2"):
        begin(history, attempt, "gpu-01")
        history.tell(Ended(at=history.now + 9, attempt=attempt, outcome=Outcome.LOST))
    assert "e0000" in history.state.stranded
    history.tell(Decided(at=history.now, experiment="e0000", status=ExperimentStatus.CRASHED, reason="twice"))
    assert not history.state.stranded


def test_a_measured_arm_of_a_cancelled_wave_is_decided_on_with_its_results(history: Histories) -> None:
    begin(history, "e0000.1", "gpu-01")
    history.tell(Ended(at=history.now + 9, attempt="e0000.1", outcome=Outcome.VALID, metrics=Metrics(1.0)))
    history.tell(Decided(at=history.now, experiment="e0000", status=ExperimentStatus.VALID, reason="once more"))
    assert not history.state.contenders
    history.tell(WaveCancelled(at=history.now, wave="w000", author="me"))
    assert list(history.state.contenders) == ["e0000"]


def test_a_discarded_experiment_drops_its_waiting_attempts(history: Histories) -> None:
    history.tell(
        Decided(at=history.now, experiment="e0000", status=ExperimentStatus.DISCARDED, reason="no", author="me")
    )
    assert not history.state.waiting
    assert not history.state.open_waves


def test_an_arm_edited_out_and_run_later_does_not_count_for_its_wave(history: Histories) -> None:
    history.propose(arms=2, replicates=1, filler=False)
    history.edit_a_proposal(0, dropped=1, added=0)
    history.approve(0)
    history.tell(Queued(at=history.now, attempt=history.attempt("e0001", AttemptKind.REPLICATE), reason="still"))
    assert history.state.waves["w001"].open_arms == 1


def test_dropped_code_that_runs_later_is_a_known_fingerprint_again(history: Histories) -> None:
    history.tell(ArmDropped(at=history.now, experiment="e0000", author="me"))
    assert not history.state.by_fingerprint
    history.tell(Queued(at=history.now, attempt=history.attempt("e0000", AttemptKind.REPLICATE), reason="still"))
    assert list(history.state.by_fingerprint.values()) == ["e0000"]


def test_a_late_report_counts_no_second_twice(history: Histories) -> None:
    cluster = history.state.clusters["gpu-01"]
    up_at = cluster.since
    begin(history, "e0000.1", "gpu-01")
    started = history.now
    history.tell(ClusterUp(at=started + 300, cluster="gpu-01", hardware="H100"))
    history.tell(ClusterFailed(at=started + 300, cluster="gpu-01", message="cut off"))
    history.tell(Ended(at=started + 100, attempt="e0000.1", outcome=Outcome.LOST))
    history.tell(ClusterUp(at=started + 200, cluster="gpu-01", hardware="H100"))
    history.tell(ClusterStopping(at=started + 400, cluster="gpu-01"))
    assert cluster.training_s + cluster.idle_s == pytest.approx(started + 400 - up_at)
