"""A person ablates each kept change once before the report. A change that still helps stays."""

from pathlib import Path

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Approve, Arm, Draft, MakeBase, Propose
from cockpit.core.model import Change, ExperimentStatus, Value
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit, refusal
from tests.worker.sessions import SCRIPT, local_session, state_of, wait_for


def keep(folder: SessionFolder, name: str, constants: dict[str, Value]) -> None:
    """Measure a change of the incumbent, and make it the base on a person's word."""
    taken = send_and_await(folder, Propose(Draft("ann", "which?", arms=(Arm(Change(constants=constants)),))))
    assert taken is not None
    send_and_await(folder, Approve(taken.wave))
    wait_for(lambda: state_of(folder).experiments[name].scores, 30, f"{name} to be measured")
    send_and_await(folder, MakeBase(name))


def test_a_person_ablates_each_kept_change_once_and_the_report_names_the_rest(tmp_path: Path) -> None:
    folder = local_session(tmp_path, script=SCRIPT.replace("SECONDS = 0.6", "SECONDS = 0.1"), mode="manual")
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 30, "the baseline")
        assert "no kept change is left to drop" in refusal(cockpit(tmp_path, "ablate", "night"))
        keep(folder, "e0001", {"MATRIX_LR": 0.05})
        keep(folder, "e0002", {"DEPTH": 5})
        told = cockpit(tmp_path, "report", "night", "-o", "night.html")
        assert "! kept and not ablated since: e0001" in told.stdout and "`cockpit ablate night`" in told.stdout
        done = cockpit(tmp_path, "ablate", "night", "--approve")
        assert done.returncode == 0 and "is approved" in done.stdout, done.stderr
        wait_for(lambda: state_of(folder).experiments["e0003"].estimate, 60, "the change to be judged again")
        assert "no kept change is left to drop" in refusal(cockpit(tmp_path, "ablate", "night"))
        assert "!" not in cockpit(tmp_path, "report", "night", "-o", "night.html").stdout
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    without = state.experiments["e0003"]
    assert without.change.constants == {"MATRIX_LR": 0.04} and without.base == "e0002"
    assert without.status is ExperimentStatus.DISCARDED
    assert "the change of e0001 still helps" in without.reason
    assert state.incumbent == "e0002"
