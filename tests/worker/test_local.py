"""The worker on this machine, with real processes: the ledger holds what a user's train.py does."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.curves import points_of
from cockpit.core.intents import Approve, Draft, End, Kill, Propose
from cockpit.core.model import EndMode, ExperimentStatus, Outcome
from cockpit.session import lock, worker_process
from cockpit.session.client import SteeringError
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from tests.worker.sessions import SCRIPT, end_baseline, git, local_session, state_of, wait_for

END = 'print(f"val_bpb:'


def run_baseline(place: Path, script: str, **new: Any) -> SessionFolder:
    """Run a session until its baseline has ended, with any outcome."""
    return end_baseline(local_session(place, clusters=1, script=script, mode="manual", **new))


def outcome(folder: SessionFolder) -> tuple[Outcome | None, str]:
    attempt = state_of(folder).attempts["e0000.1"]
    return attempt.outcome, attempt.message


def test_the_unchanged_script_is_measured_and_becomes_the_incumbent(tmp_path: Path) -> None:
    folder = run_baseline(tmp_path, SCRIPT)
    state = state_of(folder)
    assert state.incumbent == state.baseline == "e0000"
    assert state.experiments["e0000"].status is ExperimentStatus.KEPT
    metrics = state.attempts["e0000.1"].metrics
    assert metrics is not None and metrics.num_steps == 4
    assert len(points_of(state.attempts["e0000.1"].curve)) == 4


def test_a_crash_ends_the_session_with_the_end_of_its_traceback(tmp_path: Path) -> None:
    folder = run_baseline(tmp_path, SCRIPT.replace(END, 'raise ValueError("no such layer")\n' + END))
    assert outcome(folder) == (Outcome.CRASH, "it ended with exit code 1: ValueError: no such layer")


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("if SECONDS > 9: " + END, "printed no val_bpb"),
        ('print("val_bpb: nan")  # ', "printed val_bpb nan"),
        ('print("val_bpb: -inf")  # ', "printed val_bpb -inf"),
    ],
)
def test_a_script_that_prints_no_score_has_no_result(tmp_path: Path, printed: str, said: str) -> None:
    folder = run_baseline(tmp_path, SCRIPT.replace(END, printed))
    kind, message = outcome(folder)
    assert kind is Outcome.CRASH
    assert said in message


def test_code_that_is_changed_while_it_runs_gives_no_result(tmp_path: Path) -> None:
    folder = run_baseline(tmp_path, SCRIPT + 'open("train.py", "a").write("# later")\n')
    assert outcome(folder)[0] is Outcome.MISMATCH


def test_a_run_past_its_limit_is_ended_with_all_its_children(tmp_path: Path) -> None:
    script = SCRIPT.replace("SECONDS = 0.6", "SECONDS = 60") + "\n"
    script = script.replace("for step", 'import subprocess; subprocess.Popen(["sleep", "987"])\nfor step')
    folder = run_baseline(tmp_path, script, research=ResearchSettings(time_limit_s=1.0))
    assert outcome(folder)[0] is Outcome.TIMEOUT
    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "987"]]


def started(folder: SessionFolder) -> bool:
    attempt = state_of(folder).attempts.get("e0000.1")
    return attempt is not None and attempt.started_at > 0


def test_a_run_inherits_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-very-secret")
    folder = run_baseline(tmp_path, SCRIPT.replace('print("---")', "print(dict(os.environ))"))
    assert "sk-ant-very-secret" not in folder.log("e0000.1").read_text()
    everything = b"".join(path.read_bytes() for path in folder.root.rglob("*") if path.is_file())
    assert b"sk-ant-very-secret" not in everything


def test_a_wave_from_the_command_line_runs_and_its_winner_is_kept(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=2, mode="manual")
    worker_process.start(folder)
    try:
        taken = send_and_await(folder, Propose(Draft("ann", "which rate?", factors={"MATRIX_LR": [0.02, 0.05]})))
        assert taken is not None and taken.wave == "w001"
        send_and_await(folder, Approve("w001"))
        with pytest.raises(SteeringError, match="w001 is approved already"):
            send_and_await(folder, Approve("w001"))
        wait_for(lambda: state_of(folder).incumbent == "e0002", 40, "the better rate to be kept")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    assert state.waves["w001"].rule.startswith("person:")
    assert state.experiments["e0001"].status is ExperimentStatus.DISCARDED
    kept = state.experiments["e0002"]
    assert len(kept.scores["CPU"]) >= 2, "kept on one run"
    repo = tmp_path / "repo"
    assert git(repo, "rev-parse", "cockpit/night").strip() == kept.commit
    assert git(repo, "status", "--porcelain") == ""


def test_a_run_killed_by_a_person_is_not_repeated(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, script=SCRIPT.replace("SECONDS = 0.6", "SECONDS = 30"), mode="manual")
    worker_process.start(folder)
    try:
        wait_for(lambda: started(folder), 20, "the run to start")
        send_and_await(folder, Kill("e0000.1", "too slow"))
        wait_for(lambda: state_of(folder).outcome_counts.get("cancelled"), 20, "the run to end")
    finally:
        worker_process.terminate(folder)
    assert len(state_of(folder).experiments["e0000"].attempts) == 1


def test_a_second_worker_is_refused_by_name(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    worker_process.start(folder)
    try:
        with pytest.raises(lock.WorkerError, match="a worker already runs session night"):
            lock.WorkerLock.take(folder)
    finally:
        worker_process.terminate(folder)


def workers(folder: SessionFolder) -> list[psutil.Process]:
    root = str(folder.root.absolute())
    return [process for process in psutil.process_iter(["cmdline"]) if root in (process.info["cmdline"] or ())]


def test_simultaneous_starts_of_a_session_give_one_worker(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    try:
        with ThreadPoolExecutor(4) as pool:
            found = [each.result() for each in [pool.submit(worker_process.start, folder) for _ in range(4)]]
        assert {standing.state for standing in found} == {"running"}
        assert {standing.pid for standing in found} == {worker.pid for worker in workers(folder)}
    finally:
        worker_process.terminate(folder)


def test_draining_lets_started_runs_finish(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    worker_process.start(folder)
    wait_for(lambda: started(folder), 20, "the run to start")
    send_and_await(folder, End(EndMode.DRAIN))
    wait_for(lambda: lock.worker_status(folder).state == "stopped", 20, "the worker to stop")
    assert state_of(folder).attempts["e0000.1"].outcome is Outcome.VALID
