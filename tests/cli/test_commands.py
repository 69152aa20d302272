"""The commands as a person, a script and a coding agent use them, on a session that runs."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.cli.demo import demonstrated, new_folder
from cockpit.cli.screen import existing
from cockpit.core.model import Outcome, WaveStatus
from cockpit.session import lock, worker_process
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit, refusal, terminal
from tests.worker.sessions import SCRIPT, git, repository, state_of, wait_for

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository in `repo`, and in `sessions/night` a session of two slots with its baseline measured."""
    place = tmp_path_factory.mktemp("place")
    script = SCRIPT.replace("RUNS_FILE", repr(str(place / "runs.txt")))
    repository(place / "repo", script)
    made = cockpit(place, "new", "night", "--fleet", "local", "--clusters", "2", "--mode", "manual", cwd=place / "repo")
    assert made.returncode == 0, made.stderr
    folder = SessionFolder(place / "sessions" / "night")
    wait_for(lambda: state_of(folder).incumbent and not state_of(folder).in_flight, 60, "the baseline")
    yield place
    worker_process.terminate(folder)


@pytest.fixture
def night(place: Path) -> SessionFolder:
    return SessionFolder(place / "sessions" / "night")


def said(place: Path, *words: str) -> str:
    done = cockpit(place, *words, cwd=place / "repo")
    assert done.returncode == 0, done.stderr
    return done.stdout


def propose(place: Path, *words: str) -> str:
    """Propose a wave; returns its name."""
    return str(json.loads(said(place, "propose", *words, "--json"))["wave"])


def test_status_json_has_what_the_readme_promises(place: Path) -> None:
    found = json.loads(said(place, "status", "--json"))
    assert {
        "session", "mode", "fleet", "worker", "clusters", "waves", "experiments", "best", "baseline", "duty", "spend",
    } <= set(found)  # fmt: skip
    assert (found["session"], found["mode"], found["fleet"]) == ("night", "manual", "local")
    assert found["worker"]["state"] == "running" and found["worker"]["heartbeat_age_seconds"] < 15
    assert {"name", "hardware", "state", "experiment", "idle_seconds"} <= set(found["clusters"][0])
    assert {"proposed", "queued", "running", "valid", "crashed", "kept"} <= set(found["experiments"])
    assert {"experiment", "val_bpb", "hardware"} <= set(found["best"])
    assert found["baseline"]["experiment"] == "e0000"
    assert {"gpu_usd", "api_usd"} <= set(found["spend"])


def test_status_for_a_person_fits_a_screen_and_names_best_and_worker(place: Path) -> None:
    shown = said(place, "status")
    assert "worker    running" in shown and re.search(r"best +1\.0\d+ +e0\d+ on CPU", shown)
    assert len(shown.splitlines()) < 24


def test_a_wave_is_proposed_moved_edited_and_dropped_from_the_command_line(place: Path, night: SessionFolder) -> None:
    ran = propose(place, "MATRIX_LR=0.014,0.015,0.016", "--approve")
    measured = state_of(night).waves[ran].arms
    wait_for(lambda: all(state_of(night).experiments[one].scores for one in measured), 120, "results to forecast from")
    first, second = propose(place, "MATRIX_LR=0.011,0.012"), propose(place, "MATRIX_LR=0.013")
    said(place, "move", second, "--before", first)
    waves = state_of(night).waves
    assert waves[second].rank < waves[first].rank
    arm = waves[first].arms[0]
    assert f"{first}: crashes are unlikely" in said(place, "status")
    (waiting,) = (wave for wave in json.loads(said(place, "status", "--json"))["waves"] if wave["wave"] == first)
    assert set(waiting["forecast"][arm]["crash"]) == {"mean", "low", "high"}
    assert f"{arm} is dropped" in said(place, "drop", arm, "too slow", "--yes")
    assert state_of(night).experiments[arm].status == "dropped"
    said(place, "reject", first, "not now")
    assert state_of(night).waves[first].reason == "not now"
    said(place, "cancel", second, "--yes")
    assert state_of(night).waves[second].status is WaveStatus.CANCELLED


def test_a_fraction_of_a_large_grid_is_proposed_if_that_many_arms_were_asked_for(place: Path) -> None:
    grid = ["MATRIX_LR=0.071,0.072", "DEPTH=2,3", "SECONDS=0.3,0.4"]
    told = json.loads(said(place, "propose", *grid, "--arms", "4", "--json"))
    assert "4 of 8 combinations, resolution III" in told["design"]
    wave = next(wave for wave in json.loads(said(place, "status", "--json"))["waves"] if wave["wave"] == told["wave"])
    assert len(wave["arms"]) == 4
    said(place, "reject", told["wave"])
    assert "need 4 arms" in refusal(cockpit(place, "propose", *grid, "--arms", "3"))


def test_an_arm_that_was_tried_is_named_beside_the_wave(place: Path) -> None:
    # On the baseline: a run of another test can become the incumbent between the two commands.
    wave = propose(place, "MATRIX_LR=0.021", "--base", "e0000")
    again = cockpit(place, "propose", "MATRIX_LR=0.021,0.022", "--base", "e0000", cwd=place / "repo")
    assert again.returncode == 0 and "which was tried or waits already" in again.stdout
    said(place, "reject", wave)


def test_approved_work_runs_and_can_be_read_back(place: Path, night: SessionFolder) -> None:
    answer = json.loads(said(place, "propose", "MATRIX_LR=0.031", "--approve", "--json"))
    assert isinstance(answer["forecast"], str)
    arm = state_of(night).waves[answer["wave"]].arms[0]
    wait_for(lambda: state_of(night).experiments[arm].scores, 60, "the arm to be measured")
    assert "val_bpb: 1.0" in said(place, "log", arm)
    assert "+MATRIX_LR = 0.031" in said(place, "diff", arm)
    lines = said(place, "results").splitlines()
    assert lines[0] == "commit\tval_bpb\tmemory_gb\tstatus\tdescription\tclass\tscored"
    mine = [line.split("\t") for line in lines if f"{arm} " in line]
    assert len(mine) == 1 and len(mine[0]) == 7 and mine[0][6] and mine[0][5] == "CPU" and float(mine[0][1]) > 1
    said(place, "rerun", arm)
    assert len(state_of(night).experiments[arm].attempts) > 1


def test_killing_asks_with_its_cost_on_a_terminal_and_takes_yes_elsewhere(place: Path, night: SessionFolder) -> None:
    said(place, "propose", "MATRIX_LR=0.041", "SECONDS=60", "--approve")
    wait_for(lambda: any(state_of(night).attempts[a].started_at for a in state_of(night).in_flight), 30, "a run")
    name = next(a for a in state_of(night).in_flight if state_of(night).attempts[a].started_at)
    assert "add --yes to confirm" in refusal(cockpit(place, "kill", name, cwd=place / "repo"))
    with terminal(place, "kill", name, columns=100, rows=30, cwd=place / "repo") as asked:
        assert "of training" in asked.until("[y/N]")
        asked.keys("n\r")
        asked.until("nothing was done")
        assert asked.ended() == 1
    assert name in state_of(night).in_flight
    assert "is being ended" in said(place, "kill", name.split(".")[0], "--yes")
    wait_for(lambda: state_of(night).attempts[name].outcome, 30, "the run to end")
    assert state_of(night).attempts[name].outcome is Outcome.CANCELLED


def test_mode_budget_envelope_and_words_reach_the_ledger(place: Path, night: SessionFolder) -> None:
    said(place, "mode", "copilot")
    said(place, "budget", "$12.50")
    said(place, "envelope", "--usd", "5", "--wave-size", "6", "--patches", "--no-filler")
    said(place, "early", "off")
    assert said(place, "knob", "DEPTH", "pin") == "DEPTH is set: pin\n"
    said(place, "knob", "MATRIX_LR", "0.01..0.1")
    said(place, "say", "look", "at", "the", "schedule")
    said(place, "finding", "wider is better", "e0000")
    said(place, "phase", "widths")
    state = state_of(night)
    assert (state.mode, state.budget_usd, state.phase) == ("copilot", 12.5, "widths")
    assert (state.envelope.usd, state.envelope.wave_size) == (5, 6)
    assert state.envelope.patches and not state.envelope.filler
    assert json.loads(said(place, "status", "--json"))["early_stops"]["on"] is False
    assert "early stopping is off" in said(place, "status")
    assert "look at the schedule" in [message.text for message in state.messages]
    assert state.findings[-1].claim == "wider is better" and state.findings[-1].experiments == ("e0000",)
    assert state.session.ranges["DEPTH"].pinned
    listed = said(place, "knob")
    assert "not searched: pinned: no proposal may change it (set by " in listed and "0.01 to 0.1 (set by " in listed
    assert "cannot be varied" in refusal(cockpit(place, "propose", "DEPTH=2,3", cwd=place / "repo"))
    for name in ("DEPTH", "MATRIX_LR"):
        said(place, "knob", name, "free")  # the session is shared
    assert said(place, "envelope").startswith("$5.00, waves of at most 6 arms, constants and patches")
    said(place, "mode", "manual")


def test_holding_and_resuming_a_session_and_a_cluster(place: Path, night: SessionFolder) -> None:
    assert said(place, "hold").startswith("the session is held")
    assert state_of(night).held
    assert "the session is held: resume it to continue" in said(place, "status")
    said(place, "resume")
    said(place, "hold", "cpu-01")
    assert state_of(night).clusters["cpu-01"].held and not state_of(night).held
    said(place, "resume", "cpu-01")


def test_a_listing_names_every_session(place: Path) -> None:
    assert re.search(r"night +local x2 +\w+ +running +\d+ experiments", said(place, "list"))
    (only,) = json.loads(said(place, "list", "--json"))
    assert (only["session"], only["worker"], only["clusters"]) == ("night", "running", 2)


def test_an_agent_without_mcp_calls_the_same_tools(place: Path) -> None:
    assert "propose_wave" in {tool["name"] for tool in json.loads(said(place, "tool", "--list"))}
    assert "Baseline e0000" in json.loads(said(place, "tool", "brief", "night"))["brief"]
    wrong = cockpit(place, "tool", "show_experiment", "night", "--json", '{"experiment": "e9"}', cwd=place / "repo")
    assert wrong.returncode == 1 and "error" in json.loads(wrong.stdout)
    torn = cockpit(place, "tool", "brief", "night", "--json", "{", cwd=place / "repo")
    assert "--json expects a JSON object" in refusal(torn)


def test_the_doctor_has_a_remedy_for_everything_that_is_missing(place: Path) -> None:
    done = cockpit(place, "doctor", "--json", cwd=place / "repo")
    found = {one["about"]: one for one in json.loads(done.stdout)}
    assert found["git"]["ok"] and found["repository"]["ok"] and found["settings"]["ok"]
    assert all(one["ok"] == (not one["remedy"]) for one in found.values())
    nowhere = cockpit(place, "doctor", "--json")
    assert nowhere.returncode == 1
    assert "--repo" in {one["about"]: one for one in json.loads(nowhere.stdout)}["train.py"]["remedy"]


def test_opening_shows_the_session_and_leaving_leaves_its_worker_running(place: Path, night: SessionFolder) -> None:
    before = lock.worker_status(night).pid
    with terminal(place, columns=120, rows=34, cwd=place / "repo") as screen:
        screen.until("e0000")
        screen.keys("q")
        assert screen.ended() == 0
    assert "`cockpit` comes back to it" in screen.shown()
    assert lock.worker_status(night).pid == before


def test_a_replay_plays_the_ledger_and_ends_with_q(place: Path) -> None:
    with terminal(place, "replay", "night", "--speed", "600", columns=120, rows=34, cwd=place / "repo") as screen:
        screen.until("e0000")
        screen.keys("q")
        assert screen.ended() == 0


@pytest.mark.parametrize(
    ("how", "outcome", "seconds"), [("--drain", Outcome.VALID, 4.0), ("--cancel", Outcome.CANCELLED, 600.0)]
)
def test_stopping_drains_or_cancels(tmp_path: Path, how: str, outcome: Outcome, seconds: float) -> None:
    script = SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt")))
    script = script.replace("SECONDS = 0.6", f"SECONDS = {seconds}")
    repo = repository(tmp_path / "repo", script)
    cockpit(tmp_path, "new", "night", "--fleet", "local", "--clusters", "1", "--mode", "manual", cwd=repo)
    folder = SessionFolder(tmp_path / "sessions" / "night")
    wait_for(lambda: state_of(folder).in_flight, 30, "the run to start")
    assert "say how it ends" in refusal(cockpit(tmp_path, "stop", cwd=repo))
    done = cockpit(tmp_path, "stop", how, "--wait", "40", cwd=repo)
    assert done.returncode == 0 and "has stopped" in done.stdout, done.stderr
    assert state_of(folder).attempts["e0000.1"].outcome is outcome
    assert "no worker runs session night" in cockpit(tmp_path, "stop", cwd=repo).stdout


def test_down_ends_the_session_and_leaves_no_cluster_up(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SCRIPT.replace("RUNS_FILE", repr("/dev/null")))
    cockpit(tmp_path, "new", "night", "--fleet", "sim", "--clusters", "3", "--mode", "manual", cwd=repo)
    folder = SessionFolder(tmp_path / "sessions" / "night")
    wait_for(lambda: any(c.state != "down" for c in state_of(folder).clusters.values()), 30, "a launch")
    worker_process.terminate(folder)
    done = cockpit(tmp_path, "down", "--yes", "--wait", "80", cwd=repo)
    assert done.returncode == 0 and "no cluster of it is up" in done.stdout, done.stderr
    assert {str(c.state) for c in state_of(folder).clusters.values()} == {"down"}
    assert not state_of(folder).in_flight
    assert "no cluster of session night is up" in cockpit(tmp_path, "down", cwd=repo).stdout
    assert git(repo, "status", "--porcelain") == ""


def test_a_demo_needs_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (demonstrated() / "train.py").is_file(), "the template that comes with cockpit"
    (tmp_path / "train.py").write_text("DEPTH = 8\n")
    assert demonstrated() == tmp_path


def test_demos_of_one_second_have_a_name_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCKPIT_SESSIONS", str(tmp_path))
    monkeypatch.setattr(time, "strftime", lambda form: "demo-120000")
    assert [new_folder().name for _ in range(3)] == ["demo-120000", "demo-120000-2", "demo-120000-3"]


def test_a_demo_is_played_kept_and_not_taken_for_research(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = repository(tmp_path / "repo", SCRIPT.replace("RUNS_FILE", repr("/dev/null")))
    words = ("demo", "--speed", "600", "--clusters", "4")
    with terminal(tmp_path, *words, columns=120, rows=34, cwd=repo, ANTHROPIC_API_KEY="sk-unused") as screen:
        screen.until("SIMULATED")
        screen.until("val_bpb", 90)
        screen.keys("q")
        assert screen.ended() == 0
    assert "the simulated night is kept as session demo-" in screen.shown()
    in_one_line = screen.shown().replace("\n", "")  # the terminal breaks a line at its width, within a word too
    assert re.search(r"kept *of *\d+ *measured *variants?, *for", in_one_line), "the verdict"
    (ledger,) = (tmp_path / "sessions").glob("demo-*/ledger.db")
    folder = SessionFolder(ledger.parent)
    assert lock.worker_status(folder).state == "stopped"
    state = state_of(folder)
    assert state.session is not None and state.session.proposer == "grid", "a demo must not cost API dollars"
    assert cockpit(tmp_path, "diff", "e0000", "-s", folder.name, cwd=repo).returncode == 0
    assert git(repo, "for-each-ref", "refs/cockpit") == ""
    monkeypatch.setenv("COCKPIT_SESSIONS", str(tmp_path / "sessions"))
    assert existing(None, None) is None
    assert existing(folder.name, None) is not None
