"""Short histories that together make every transition, the rare ones included."""

from collections.abc import Callable

from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterSeen,
    ClusterStopping,
    ClusterUp,
    Launching,
)
from cockpit.core.events import (
    ArmDropped,
    Decided,
    Ended,
    Queued,
    Started,
    Submitted,
    Submitting,
    Unsubmitted,
    WaveCancelled,
)
from cockpit.core.model import (
    AttemptKind,
    Cluster,
    ClusterState,
    ExperimentStatus,
    Metrics,
    Outcome,
)
from tests.core.histories import Histories

WrittenHistory = Callable[[Histories], None]
"""Continues a session with two H100s that are up, and an approved baseline with two waiting attempts."""


def _submit(history: Histories, attempt: str, cluster: str = "gpu-01") -> None:
    history.tell(Submitting(at=history.now, attempt=attempt, cluster=cluster, hardware="H100"))


def _start(history: Histories, attempt: str, cluster: str = "gpu-01") -> None:
    _submit(history, attempt, cluster)
    history.tell(Submitted(at=history.now, attempt=attempt))
    history.tell(Started(at=history.now, attempt=attempt))


def _end(history: Histories, attempt: str, outcome: Outcome) -> None:
    metrics = Metrics(1.0) if outcome is Outcome.VALID else None
    history.tell(Ended(at=history.now, attempt=attempt, outcome=outcome, metrics=metrics))


def _decide(history: Histories, experiment: str, status: ExperimentStatus) -> None:
    history.tell(Decided(at=history.now, experiment=experiment, status=status, reason="my word", author="me"))


def _queue(history: Histories, experiment: str) -> None:
    again = history.attempt(experiment, AttemptKind.REPLICATE)
    history.tell(Queued(at=history.now, attempt=again, reason="once more"))


def _arm(history: Histories) -> str:
    """Propose and approve a wave of one arm. Returns the arm's attempt."""
    arm = history.state.next_experiment_id()
    history.propose(arms=1, replicates=1, filler=False)
    history.approve(0)
    return f"{arm}.1"


def an_arm_is_ended_early(history: Histories) -> None:
    attempt = _arm(history)
    _start(history, attempt)
    _end(history, attempt, Outcome.HOPELESS)


def an_arm_crashes(history: Histories) -> None:
    attempt = _arm(history)
    _start(history, attempt)
    _end(history, attempt, Outcome.CRASH)


def a_control_of_a_crashed_baseline_gives_a_result(history: Histories) -> None:
    for attempt, outcome in (("e0000.1", Outcome.CRASH), ("e0000.2", Outcome.CRASH), ("e0000.3", Outcome.VALID)):
        if attempt == "e0000.3":
            control = history.attempt("e0000", AttemptKind.CONTROL)
            history.tell(Queued(at=history.now, attempt=control, reason="a control"))
        _start(history, attempt)
        _end(history, attempt, outcome)


def an_arm_is_rerun_while_it_runs_and_the_first_run_gives_a_result(history: Histories) -> None:
    attempt = _arm(history)
    experiment = attempt.partition(".")[0]
    _start(history, attempt)
    history.tell(ArmDropped(at=history.now, experiment=experiment, author="me"))
    _queue(history, experiment)
    _end(history, attempt, Outcome.VALID)


def a_person_discards_a_crashed_experiment(history: Histories) -> None:
    an_arm_crashes(history)
    _decide(history, "e0001", ExperimentStatus.DISCARDED)


def a_person_keeps_a_discarded_experiment(history: Histories) -> None:
    _start(history, "e0000.1")
    _end(history, "e0000.1", Outcome.VALID)
    for status in (ExperimentStatus.DISCARDED, ExperimentStatus.KEPT):
        _decide(history, "e0000", status)


def a_person_discards_the_only_arm_while_its_wave_is_open(history: Histories) -> None:
    attempt = _arm(history)
    _start(history, attempt)
    _end(history, attempt, Outcome.VALID)
    _decide(history, "e0001", ExperimentStatus.DISCARDED)


def a_measured_arm_is_discarded_and_run_again(history: Histories) -> None:
    attempt = _arm(history)
    _start(history, attempt)
    _end(history, attempt, Outcome.VALID)
    _decide(history, "e0001", ExperimentStatus.KEPT)
    _decide(history, "e0001", ExperimentStatus.DISCARDED)
    _queue(history, "e0001")


def a_crashed_arm_is_run_again(history: Histories) -> None:
    an_arm_crashes(history)
    _queue(history, "e0001")


def a_dropped_arm_is_discarded_and_run_again(history: Histories) -> None:
    _arm(history)
    history.tell(ArmDropped(at=history.now, experiment="e0001", author="me"))
    _decide(history, "e0001", ExperimentStatus.DISCARDED)
    _queue(history, "e0001")


def an_arm_dropped_in_its_run_gives_a_result_and_is_run_again(history: Histories) -> None:
    attempt = _arm(history)
    _start(history, attempt)
    history.tell(ArmDropped(at=history.now, experiment="e0001", author="me"))
    _end(history, attempt, Outcome.VALID)
    _queue(history, "e0001")


def a_queued_arm_is_discarded(history: Histories) -> None:
    _arm(history)
    _decide(history, "e0001", ExperimentStatus.DISCARDED)


def a_running_arm_is_discarded(history: Histories) -> None:
    _start(history, _arm(history))
    _decide(history, "e0001", ExperimentStatus.DISCARDED)


def a_lost_arm_is_given_up(history: Histories) -> None:
    attempt = _arm(history)
    _submit(history, attempt)
    _end(history, attempt, Outcome.LOST)
    _decide(history, "e0001", ExperimentStatus.CRASHED)


def an_arm_is_cancelled_before_it_starts(history: Histories) -> None:
    attempt = _arm(history)
    _submit(history, attempt)
    history.tell(Submitted(at=history.now, attempt=attempt))
    _end(history, attempt, Outcome.CANCELLED)


def a_job_starts_before_its_submission_is_reported(history: Histories) -> None:
    _submit(history, "e0000.1")
    history.tell(Started(at=history.now, attempt="e0000.1"))


def a_submission_is_refused(history: Histories) -> None:
    attempt = _arm(history)
    _submit(history, attempt)
    history.tell(Unsubmitted(at=history.now, attempt=attempt, reason="the cluster is gone"))


def a_submitted_job_never_begins(history: Histories) -> None:
    attempt = _arm(history)
    _submit(history, attempt)
    history.tell(Submitted(at=history.now, attempt=attempt))
    history.tell(Unsubmitted(at=history.now, attempt=attempt, reason="its cluster did not begin it"))


def a_submitted_job_of_a_dropped_arm_never_begins(history: Histories) -> None:
    attempt = _arm(history)
    _submit(history, attempt)
    history.tell(Submitted(at=history.now, attempt=attempt))
    history.tell(ArmDropped(at=history.now, experiment="e0001", author="me"))
    history.tell(Unsubmitted(at=history.now, attempt=attempt, reason="its cluster did not begin it"))


def a_submission_of_a_dropped_arm_is_refused(history: Histories) -> None:
    attempt = _arm(history)
    _submit(history, attempt)
    history.tell(ArmDropped(at=history.now, experiment="e0001", author="me"))
    history.tell(Unsubmitted(at=history.now, attempt=attempt, reason="the cluster is gone"))


def a_wave_is_cancelled_while_an_arm_runs(history: Histories) -> None:
    history.propose(arms=2, replicates=1, filler=False)
    history.approve(0)
    _start(history, "e0001.1")
    history.tell(WaveCancelled(at=history.now, wave="w001", author="me"))


def a_proposal_is_edited_and_rejected(history: Histories) -> None:
    history.propose(arms=2, replicates=1, filler=False)
    history.edit_a_proposal(0, dropped=1, added=1)
    history.reject(0)


def a_proposal_is_cancelled(history: Histories) -> None:
    history.propose(arms=1, replicates=1, filler=False)
    history.cancel_a_wave(1)


def a_proposal_without_arms_is_approved(history: Histories) -> None:
    history.propose(arms=1, replicates=1, filler=False)
    history.tell(ArmDropped(at=history.now, experiment="e0001", author="me"))
    history.approve(0)


def a_launch_fails_and_is_tried_again(history: Histories) -> None:
    history.tell(Launching(at=history.now, cluster="gpu-03"))
    history.tell(ClusterFailed(at=history.now, cluster="gpu-03", message="no capacity"))
    history.tell(Launching(at=history.now, cluster="gpu-03"))


def a_lost_cluster_comes_back_idle(history: Histories) -> None:
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))
    history.tell(ClusterUp(at=history.now, cluster="gpu-01", hardware="H100"))


def a_lost_cluster_is_relaunched_by_a_person(history: Histories) -> None:
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))
    history.a_person_relaunches_a_cluster(0)


def a_cluster_that_was_given_up_is_relaunched_by_a_person(history: Histories) -> None:
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))
    history.tell(ClusterGivenUp(at=history.now, cluster="gpu-01", message="unreachable three times"))
    history.a_person_relaunches_a_cluster(0)


def a_cluster_that_was_given_up_and_may_be_billed_is_relaunched_by_a_person(history: Histories) -> None:
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable", billed=True))
    history.tell(ClusterGivenUp(at=history.now, cluster="gpu-01", message="unreachable three times"))
    history.a_person_relaunches_a_cluster(0)


def a_lost_cluster_is_launched_and_comes_back_with_its_run(history: Histories) -> None:
    _start(history, "e0000.1")
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))
    history.tell(Launching(at=history.now, cluster="gpu-01"))
    history.tell(ClusterUp(at=history.now, cluster="gpu-01", hardware="H100"))


def a_cluster_is_stopped_below_its_run(history: Histories) -> None:
    _start(history, "e0000.1")
    history.tell(ClusterStopping(at=history.now, cluster="gpu-01", reason="enough"))


def a_lost_cluster_comes_back_with_its_run(history: Histories) -> None:
    _start(history, "e0000.1")
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))
    history.tell(ClusterUp(at=history.now, cluster="gpu-01", hardware="H100"))


def an_idle_cluster_goes_down_and_is_launched_again(history: Histories) -> None:
    history.tell(ClusterDown(at=history.now, cluster="gpu-01"))
    history.tell(Launching(at=history.now, cluster="gpu-01"))


def a_lost_cluster_turns_out_to_be_down(history: Histories) -> None:
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))
    history.tell(ClusterDown(at=history.now, cluster="gpu-01"))


def a_busy_cluster_turns_out_to_be_down(history: Histories) -> None:
    _start(history, "e0000.1")
    history.tell(ClusterDown(at=history.now, cluster="gpu-01"))


def a_lost_cluster_is_taken_down_at_the_cap(history: Histories) -> None:
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))
    history.tell(ClusterStopping(at=history.now, cluster="gpu-01", reason="the budget is spent"))


def a_session_ends_while_a_cluster_is_launched(history: Histories) -> None:
    history.tell(Launching(at=history.now, cluster="gpu-03"))
    history.tell(ClusterStopping(at=history.now, cluster="gpu-03", reason="the session ends"))


def a_session_ends_with_a_cluster_that_may_be_billing(history: Histories) -> None:
    history.tell(Launching(at=history.now, cluster="gpu-03"))
    history.tell(ClusterGivenUp(at=history.now, cluster="gpu-03", message="the credentials have expired"))
    history.tell(ClusterStopping(at=history.now, cluster="gpu-03", reason="the session ends"))
    history.tell(ClusterDown(at=history.now, cluster="gpu-03"))


def a_tear_down_fails(history: Histories) -> None:
    history.tell(ClusterStopping(at=history.now, cluster="gpu-01", reason="enough"))
    history.tell(ClusterFailed(at=history.now, cluster="gpu-01", message="unreachable"))


def a_tear_down_is_given_up(history: Histories) -> None:
    history.tell(ClusterStopping(at=history.now, cluster="gpu-01", reason="enough"))
    history.tell(ClusterGivenUp(at=history.now, cluster="gpu-01", message="it cannot be taken down"))


def a_cluster_launched_by_hand_is_adopted(history: Histories) -> None:
    history.tell(ClusterSeen(at=history.now, cluster=Cluster("mine", "A100", ClusterState.DOWN, adopted=True)))


WRITTEN_HISTORIES: tuple[WrittenHistory, ...] = (
    an_arm_is_ended_early,
    an_arm_crashes,
    a_control_of_a_crashed_baseline_gives_a_result,
    an_arm_is_rerun_while_it_runs_and_the_first_run_gives_a_result,
    a_person_discards_a_crashed_experiment,
    a_person_keeps_a_discarded_experiment,
    a_person_discards_the_only_arm_while_its_wave_is_open,
    a_measured_arm_is_discarded_and_run_again,
    a_crashed_arm_is_run_again,
    a_dropped_arm_is_discarded_and_run_again,
    an_arm_dropped_in_its_run_gives_a_result_and_is_run_again,
    a_queued_arm_is_discarded,
    a_running_arm_is_discarded,
    a_lost_arm_is_given_up,
    an_arm_is_cancelled_before_it_starts,
    a_job_starts_before_its_submission_is_reported,
    a_submission_is_refused,
    a_submission_of_a_dropped_arm_is_refused,
    a_submitted_job_never_begins,
    a_submitted_job_of_a_dropped_arm_never_begins,
    a_wave_is_cancelled_while_an_arm_runs,
    a_proposal_is_edited_and_rejected,
    a_proposal_is_cancelled,
    a_proposal_without_arms_is_approved,
    a_launch_fails_and_is_tried_again,
    a_lost_cluster_comes_back_idle,
    a_lost_cluster_is_relaunched_by_a_person,
    a_cluster_that_was_given_up_is_relaunched_by_a_person,
    a_cluster_that_was_given_up_and_may_be_billed_is_relaunched_by_a_person,
    a_lost_cluster_is_launched_and_comes_back_with_its_run,
    a_cluster_is_stopped_below_its_run,
    a_lost_cluster_comes_back_with_its_run,
    an_idle_cluster_goes_down_and_is_launched_again,
    a_lost_cluster_turns_out_to_be_down,
    a_busy_cluster_turns_out_to_be_down,
    a_lost_cluster_is_taken_down_at_the_cap,
    a_session_ends_while_a_cluster_is_launched,
    a_session_ends_with_a_cluster_that_may_be_billing,
    a_tear_down_fails,
    a_tear_down_is_given_up,
    a_cluster_launched_by_hand_is_adopted,
)
