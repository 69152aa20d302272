"""`cockpit finish`: the kept changes of a session become a branch whose messages carry the evidence."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from cockpit.core.model import Change, Edit, Estimate, Experiment
from cockpit.core.state import WITHOUT, Incumbency, State
from cockpit.read.scores import kept_estimate, kept_experiments
from cockpit.report.finish import SUBJECT_CHARACTERS, plan
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit, refusal
from tests.tui import stories
from tests.variant.test_store import everything
from tests.worker.sessions import git, sim_session, state_of

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def state() -> State:
    return stories.night().state


def keep(state: State, name: str, without: str = "") -> None:
    """Make a copy of the incumbent under this name the incumbent: the incumbent without a kept change, where named."""
    base = state.experiments[state.incumbent]
    made = msgspec.structs.replace(base, id=name, base=base.id, levels={WITHOUT: without} if without else {}, why="")
    state.experiments[name] = made
    state.incumbencies.append(Incumbency(state.now, name, "it is better", "cockpit"))
    state.incumbent = name


def test_a_step_is_the_difference_to_the_incumbent_that_it_replaced(state: State) -> None:
    line = [state.baseline, *kept_experiments(state)]
    steps = plan(state).steps
    commits = [state.experiments[name].commit for name in line]
    assert [(step.before, step.after) for step in steps] == list(pairwise(commits))


def test_a_change_that_an_ablation_dropped_has_no_commit_and_neither_has_the_ablation(state: State) -> None:
    first = kept_experiments(state)[0]
    before = plan(state)
    keep(state, "e9001", without=first)
    after = plan(state)
    assert after.dropped == (first,)
    assert after.steps == before.steps[1:]


def test_a_person_who_goes_back_to_an_earlier_one_starts_from_there(state: State) -> None:
    first = kept_experiments(state)[0]
    state.incumbencies.append(Incumbency(state.now, first, "back", "ann"))
    state.incumbent = first
    assert [step.after for step in plan(state).steps] == [state.experiments[first].commit]
    state.incumbencies.append(Incumbency(state.now, state.baseline, "back", "ann"))
    state.incumbent = state.baseline
    assert plan(state).steps == ()


def test_a_message_has_the_change_the_gain_its_interval_runs_classes_and_the_certificate(state: State) -> None:
    name = kept_experiments(state)[0]
    state.certificates[name] = "d" * 64
    message = plan(state).steps[0].message
    estimate = kept_estimate(state, name)
    assert estimate is not None
    assert message.startswith("SIMULATED: ASPECT_RATIO 64 → ")
    low, mean, high = (f"{end:+.4f}".replace("-", "−") for end in (estimate.low, estimate.mean, estimate.high))
    said = " ".join(message.split())
    assert f"Gain: val_bpb {mean} (lower is better), 90% interval {low} to {high}, against e0000" in said
    classes = state.experiments[name].scores
    assert f"Runs: {', '.join(f'{len(runs)} on {hardware}' for hardware, runs in classes.items())}" in said
    assert message.endswith(f"Cockpit-Session: night\nCockpit-Experiment: {name}\nCockpit-Certificate: {'d' * 64}")


def test_a_subject_is_one_short_line_for_any_text_of_a_model(state: State) -> None:
    name = kept_experiments(state)[0]
    experiment = state.experiments[name]
    experiment.why = "Replace\nthe \x1b[31moptimizer\u202e " + "by something " * 20
    experiment.change = Change({}, (Edit("a", "b"),))
    message = plan(state).steps[0].message
    subject = message.split("\n", 1)[0]
    assert len(subject) <= SUBJECT_CHARACTERS and subject.endswith(f" … ({name})")
    assert "\x1b" not in message and "\u202e" not in message and message.split("\n")[1] == ""


def test_a_keep_that_a_person_chose_says_that_nothing_was_estimated(state: State) -> None:
    state.experiments["e9002"] = Experiment("e9002", "w000", state.incumbent, Change({"DEPTH": 3}), "c", "t", "p", "f")
    state.incumbencies.append(Incumbency(state.now, "e9002", "I want it", "ann"))
    state.incumbent = "e9002"
    assert "Gain: not estimated; kept by ann" in plan(state).steps[-1].message
    state.incumbencies[-1] = msgspec.structs.replace(
        state.incumbencies[-1], estimate=Estimate(-0.1, -0.2, -0.05, 0.9, 3, "e0000", "CPU")
    )
    assert "3 runs, CPU" in " ".join(plan(state).steps[-1].message.split())


def test_the_command_writes_the_branch_and_touches_nothing_else(night_folder: SessionFolder, tmp_path: Path) -> None:
    state = state_of(night_folder)
    repo = Path(state.session.repo)
    place = night_folder.root.parents[1]
    before = everything(repo)
    told = cockpit(place, "finish", "night")
    assert told.returncode == 0, told.stderr
    kept = kept_experiments(state)
    assert told.stdout.startswith(
        f"branch review/night: {len(kept)} commits on {state.experiments['e0000'].commit[:12]}"
    )
    after = everything(repo)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} <= {
        ".git/refs/heads/review/night", ".git/logs/refs/heads/review/night",
    }  # fmt: skip
    assert git(repo, "diff", state.experiments[state.incumbent].commit, "review/night") == ""
    messages = git(repo, "log", "--reverse", "--format=%(trailers:key=Cockpit-Experiment,valueonly,separator=%x2C)",
                   f"{state.session.commit}..review/night").split()  # fmt: skip
    assert messages == kept
    assert state.certificates[kept[0]] in git(repo, "log", "--format=%B", "review/night")
    git(repo, "fsck", "--strict")


def test_a_session_that_kept_nothing_has_no_branch(tmp_path: Path) -> None:
    sim_session(tmp_path, speed=1.0)
    assert "has kept no change: there is nothing to review" in refusal(cockpit(tmp_path, "finish", "night"))
