"""Promises about what is said to be unchecked: runs without a wall, and scores that are a run's own word."""

import pytest

from cockpit.core.model import Attempt, AttemptKind, Change, Experiment, Wave, WaveKind
from cockpit.core.rescore import Rescore
from cockpit.core.session import FleetSpec, Session
from cockpit.core.state import State
from cockpit.read.checks import checks_of, origin_of, unchecked
from cockpit.report.html import html
from cockpit.report.results import results_tsv


def state_with(kind: str = "local", wall: str = "bubblewrap", rescore: str = "keeps", **run: Rescore | None) -> State:
    fleet = FleetSpec(kind, (), simulated=kind == "sim")
    state = State(Session("s", "", "", fleet, 0.0, "t", rescore=rescore))
    attempt = Attempt("e0000.1", "e0000", AttemptKind.CONFIRMATION, 1, hardware="CPU", started_at=1.0, wall=wall)
    attempt.rescore = run.get("found")
    state.attempts[attempt.id] = attempt
    state.waves["w000"] = Wave("w000", "baseline", "baseline", WaveKind.BASELINE, arms=["e0000"])
    state.experiments["e0000"] = Experiment("e0000", "w000", "", Change(), "c", "t", "p", "f", attempts=[attempt.id])
    return state


def test_an_unconfined_run_is_named_in_the_session_and_beside_its_experiment() -> None:
    state = state_with(wall="unconfined")
    assert unchecked(state) == ["unconfined: 1 of 1 run could read and write whatever the person can"]
    assert checks_of(state, state.experiments["e0000"]) == "unconfined; scored by its own run"


def test_a_session_whose_runs_score_themselves_says_so() -> None:
    assert unchecked(state_with(rescore="")) == ["self-scored: each run printed its own score"]


def test_runs_on_skypilot_are_named_unchecked() -> None:
    state = state_with(kind="sky", wall="", rescore="")
    assert [line.split(":")[0] for line in unchecked(state)] == ["unconfined", "self-scored"]
    assert checks_of(state, state.experiments["e0000"]) == "confinement unchecked; scored by its own run"


def test_a_simulated_session_has_nothing_to_check() -> None:
    state = state_with(kind="sim", wall="", rescore="")
    assert unchecked(state) == [] and checks_of(state, state.experiments["e0000"]) == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Rescore(public_bpb=1, sealed_bpb=1.1, passed=("a",)), "scored outside its run: public 1.0000, sealed 1.1000"),
        (Rescore(failed="attends to the future"), "failed a probe: it attends to the future"),
        (Rescore(trouble="the sealed shard is missing"), "scored by its own run: the sealed shard is missing"),
    ],
)
def test_a_score_from_outside_is_shown_with_its_probes(found: Rescore, words: str) -> None:
    state = state_with(found=found)
    assert words in checks_of(state, state.experiments["e0000"])
    assert unchecked(state) == []


def test_the_report_shows_what_is_unchecked() -> None:
    page = html(state_with(wall="unconfined", rescore=""), 10.0)
    assert "unconfined: 1 of 1 run" in page and "self-scored" in page


@pytest.mark.parametrize(
    ("wall", "rescore", "said"),
    [
        ("bubblewrap", Rescore(public_bpb=1.0, sealed_bpb=1.0), "rescored"),
        ("unconfined", Rescore(public_bpb=1.0), "rescored, unconfined"),
        ("bubblewrap", None, "self-scored"),
        ("bubblewrap", Rescore(trouble="no text"), "self-scored"),
        ("", None, "self-scored, unconfined"),
        ("landlock", Rescore(failed="mixes the rows of a batch"), "failed a probe"),
    ],
)
def test_a_table_says_how_a_score_came_to_be(wall: str, rescore: Rescore | None, said: str) -> None:
    state = state_with(wall=wall)
    state.attempts["e0000.1"].rescore = rescore
    assert origin_of(state, state.experiments["e0000"]) == said
    [header, *_] = list(results_tsv(state))
    assert header.endswith("\tclass\tscored")


def test_a_confined_run_names_its_wall() -> None:
    state = state_with()
    assert checks_of(state, state.experiments["e0000"]).startswith("confined by bubblewrap; ")
