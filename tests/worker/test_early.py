"""A real run that cannot reach the incumbent any more is ended while it runs, and its slot used again."""

from pathlib import Path

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Approve, Arm, Draft, Propose
from cockpit.core.model import Change, ExperimentStatus, Outcome, Value
from cockpit.decide.early_stopping import is_checked
from cockpit.report.results import results_tsv
from cockpit.science.forecast import CURVES_NEEDED
from cockpit.session import worker_process
from tests.worker.sessions import SCRIPT, local_session, state_of, wait_for

TOLD = (
    SCRIPT.replace("SECONDS = 0.6", "SECONDS = 0.2").replace("range(4)", "range(10)").replace("step * 25", "step * 10")
)
TOLD = TOLD.replace("SECONDS / 4", "SECONDS / 10")
"""A script of ten steps, each with the loss that its MATRIX_LR leads to."""
HOPELESS: dict[str, Value] = {"MATRIX_LR": 0.9, "SECONDS": 40.0}
GOOD: dict[str, Value] = {"MATRIX_LR": 0.05}


def draft(*arms: dict[str, Value]) -> Draft:
    return Draft("ann", "which rate?", arms=tuple(Arm(Change(constants=arm)) for arm in arms))


def test_a_hopeless_run_is_ended_frees_its_slot_and_is_not_a_crash(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, script=TOLD, mode="manual")
    worker_process.start(folder)
    try:
        worse: list[dict[str, Value]] = [{"MATRIX_LR": 0.06 + 0.02 * i} for i in range(CURVES_NEEDED)]
        taken = send_and_await(folder, Propose(draft(*worse, HOPELESS, GOOD)))
        assert taken is not None
        send_and_await(folder, Approve(taken.wave))
        wait_for(lambda: state_of(folder).early_stops.ended, 60, "the hopeless run to be ended")
        wait_for(lambda: state_of(folder).experiments["e0014"].scores, 30, "the arm behind it to be measured")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    experiment, (attempt,) = state.experiments["e0013"], state.experiments["e0013"].attempts
    assert not is_checked(state, attempt)
    assert state.attempts[attempt].outcome is Outcome.HOPELESS
    assert experiment.status is ExperimentStatus.DISCARDED
    assert "its curve leads to" in experiment.reason
    ran_s = state.attempts[attempt].ended_at - state.attempts[attempt].started_at
    assert ran_s < 40 * 0.9, "it was not ended"
    (line,) = (line.split("\t") for line in results_tsv(state) if "e0013 " in line)
    assert (line[1], line[3]) == ("0.000000", "crash"), "an empty score would count as the best"
    assert "no score: its curve leads to" in line[4]
    behind = state.attempts["e0014.1"]
    assert behind.cluster == state.attempts[attempt].cluster
    assert behind.outcome is Outcome.VALID
    assert not state.outcome_counts.get(Outcome.CRASH) and not state.status_counts.get(ExperimentStatus.CRASHED)
