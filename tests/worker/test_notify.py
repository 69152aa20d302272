"""When a person is needed, the command of cockpit.toml runs once, and never delays the worker."""

import json
import time
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Draft, Propose, SetBudget
from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.worker.notify import Notifier
from tests.worker.sessions import SCRIPT, local_session, sim_session, state_of, wait_for

TELL = "cat >> told.jsonl"


def told(repo: Path) -> list[dict[str, object]]:
    path = repo / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Return a simulated session without any need."""
    return state_of(sim_session(tmp_path, speed=1.0))


def notifier(tmp_path: Path, command: str, limit_s: float = 10.0) -> Notifier:
    return Notifier(command, tmp_path, tmp_path / "sessions" / "night", limit_s)


def given_up(state: State, name: str) -> None:
    state.clusters[name].state = ClusterState.GIVEN_UP
    state.clusters[name].message = "no quota"


def test_a_need_is_notified_once_while_it_lasts_and_again_when_it_returns(state: State, tmp_path: Path) -> None:
    teller = notifier(tmp_path, TELL)
    given_up(state, "gpu-03")
    teller.notify_needs(state, 10.0)
    teller.notify_needs(state, 11.0)
    state.clusters["gpu-03"].state = ClusterState.IDLE
    teller.notify_needs(state, 12.0)
    given_up(state, "gpu-03")
    teller.notify_needs(state, 13.0)
    teller.close()
    assert [(one["event"], one["about"], one["at"]) for one in told(tmp_path)] == [
        ("cluster", "gpu-03", 10.0), ("cluster", "gpu-03", 13.0),
    ]  # fmt: skip
    assert told(tmp_path)[0]["text"] == "gpu-03 was given up: no quota"
    assert told(tmp_path)[0]["simulated"] is True


def test_a_hanging_command_delays_nothing_and_is_killed(state: State, tmp_path: Path) -> None:
    teller = notifier(tmp_path, "sleep 600", limit_s=0.5)
    given_up(state, "gpu-01")
    began = time.monotonic()
    teller.notify_needs(state, 10.0)
    assert time.monotonic() - began < 0.4
    wait_for(lambda: not teller._troubles.empty(), 20, "the command to be ended")
    assert "took longer than 0.5 s" in teller.troubles()[0]
    teller.close()


@pytest.mark.parametrize(
    ("command", "said"),
    [("echo no route >&2; exit 3", "ended with status 3: no route"), ("no-such-program", "ended with status 127")],
)
def test_a_failing_command_is_reported_in_one_sentence(state: State, tmp_path: Path, command: str, said: str) -> None:
    teller = notifier(tmp_path, command)
    teller.notify_end(state, "its 8 hours are over", 10.0)
    teller.close()
    (trouble,) = teller.troubles()
    assert said in trouble and "its 8 hours are over" in trouble


def test_the_command_inherits_no_key(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-very-secret")
    teller = notifier(tmp_path, "env > environment.txt")
    teller.notify_end(state, "enough", 10.0)
    teller.close()
    assert "PATH=" in (tmp_path / "environment.txt").read_text()
    assert "secret" not in (tmp_path / "environment.txt").read_text()


def test_a_command_may_ignore_its_input(state: State, tmp_path: Path) -> None:
    teller = notifier(tmp_path, "exec <&-; true")
    for number in range(5):
        teller.notify_end(state, "x" * 100_000, float(number))
    teller.close()
    assert teller.troubles() == []


@pytest.mark.timeout(120)
def test_a_real_worker_notifies_of_approvals_the_baseline_and_the_end(tmp_path: Path) -> None:
    broken = SCRIPT.replace('print("---")', 'raise ValueError("no such layer")')
    folder = local_session(tmp_path, clusters=1, script=broken.replace("SECONDS = 0.6", "SECONDS = 6.0"), mode="manual")
    repo = tmp_path / "repo"
    (repo / "cockpit.toml").write_text(f"on_event = '{TELL}'\n")
    worker_process.start(folder)
    try:
        send_and_await(folder, Propose(Draft("ann", "which rate?", factors={"MATRIX_LR": [0.02, 0.05]})))
        send_and_await(folder, SetBudget(5.0))
        wait_for(lambda: any(one["event"] == "ended" for one in told(repo)), 60, "the end to be told")
    finally:
        worker_process.terminate(folder)
    by_event = {str(one["event"]): one for one in told(repo)}
    assert by_event["approval"]["text"] == "w001 waits for approval: which rate?"
    assert by_event["approval"]["session"] == "night"
    assert "baseline" in by_event and "budget" not in by_event
    assert "no such layer" in str(by_event["ended"]["text"])
