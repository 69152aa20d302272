"""The proposers of numbers: grid lays waves around the incumbent, tpe draws from what was learned."""

import random
import threading
from pathlib import Path

import pytest

from cockpit.agent.proposer_api import Proposer
from cockpit.agent.proposers.grid import Grid, levels, next_wave
from cockpit.agent.proposers.search_base import search_base
from cockpit.agent.proposers.tpe import STARTUP_RUNS, TRIALS_TOLD_AT_MOST, Tpe, draw, study_of
from cockpit.core.model import (
    Change,
    Edit,
    Experiment,
    ExperimentStatus,
    FleetSpec,
    Mode,
    Session,
    Value,
)
from cockpit.core.state import State
from cockpit.fleet.sim.fleet import open_sim
from cockpit.science.search_space import Choice, Ladder, Real
from cockpit.session.ledger import Ledger
from cockpit.variant.store import VariantStore
from cockpit.worker.loop import Worker
from cockpit.worker.parts import WorkerParts
from tests.worker.sessions import session_of, sim_session, state_of

CONSTANTS: dict[str, Value] = {
    "DEPTH": 8,
    "ASPECT_RATIO": 64,
    "TOTAL_BATCH_SIZE": 2**19,
    "DEVICE_BATCH_SIZE": 128,
    "MATRIX_LR": 0.04,
    "WEIGHT_DECAY": 0.2,
    "ADAM_BETAS": [0.8, 0.95],
    "WARMDOWN_RATIO": 0.5,
    "FINAL_LR_FRAC": 0.0,
}


def a_state(constants: dict[str, Value] = CONSTANTS, seed: int = 7) -> State:
    """A session whose baseline has run once on an H100."""
    session = Session(
        "night", "/repo", "c0", FleetSpec("sim", ()), created_at=0.0, created_by="me", seed=seed, constants=constants
    )
    state = State(session)
    state.baseline = state.incumbent = "e0000"
    add(state, {}, 1.0)
    return state


def add(state: State, overrides: dict[str, Value], score: float | None, base: str = "e0000", **more: object) -> str:
    """One more experiment; without a score it is in flight, or has crashed where `status` says so."""
    name = state.next_experiment_id()
    experiment = Experiment(
        id=name, wave="w001", base="" if name == "e0000" else base, change=Change(constants=overrides), commit="c",
        train_hash="t", prepare_hash="p", fingerprint=name, overrides=overrides,
        status=ExperimentStatus.QUEUED if score is None else ExperimentStatus.DISCARDED,
        scores={} if score is None else {"H100": [score]},
    )  # fmt: skip
    for field, value in more.items():
        setattr(experiment, field, value)
    state.experiments[name] = experiment
    return name


def waves_until_done(state: State, arms: int) -> list[list[dict[str, Value]]]:
    found: list[list[dict[str, Value]]] = []
    while True:
        around = search_base(state)
        assert around is not None
        wave = next_wave(around, arms)
        if wave is None:
            return found
        found.append(list(wave.cells))
        for cell in wave.cells:
            add(state, cell, 1.0)
        assert len(found) < 500


# grid


@pytest.mark.parametrize("arms", [1, 2, 4, 7, 16])
def test_a_wave_has_no_more_arms_than_asked_and_two_factors_with_the_base_among_their_levels(arms: int) -> None:
    around = search_base(a_state())
    assert around is not None
    wave = next_wave(around, arms)
    assert wave is not None
    assert 1 <= len(wave.cells) <= arms
    assert set(wave.factors) == {"ASPECT_RATIO", "DEPTH"}
    assert all(CONSTANTS[name] in values for name, values in wave.factors.items())


def test_a_wave_for_sixteen_clusters_is_a_whole_grid() -> None:
    around = search_base(a_state())
    assert around is not None
    wave = next_wave(around, 16)
    assert wave is not None
    assert [len(values) for values in wave.factors.values()] == [4, 4]
    assert len(wave.cells) == 15


def test_nothing_is_proposed_twice_and_every_factor_gets_its_turn() -> None:
    state = a_state()
    waves = waves_until_done(state, 16)
    cells = [frozenset((name, repr(value)) for name, value in cell.items()) for wave in waves for cell in wave]
    assert len(cells) == len(set(cells))
    assert {name for wave in waves for cell in wave for name in cell} == set(CONSTANTS)


def test_a_crowned_arm_is_the_middle_of_the_next_wave() -> None:
    state = a_state()
    state.incumbent = add(state, {"ASPECT_RATIO": 96}, 0.99)
    around = search_base(state)
    assert around is not None
    wave = next_wave(around, 16)
    assert wave is not None
    assert 96 in wave.factors["ASPECT_RATIO"]
    assert {"ASPECT_RATIO": 64} not in wave.cells, "that is the baseline again"


def test_what_was_tried_with_other_code_is_tried_again_with_this_code() -> None:
    state = a_state()
    around = search_base(state)
    assert around is not None
    first = next_wave(around, 4)
    assert first is not None
    for cell in first.cells:
        add(state, dict(cell), 1.0)
    state.incumbent = add(state, {}, 0.99, change=Change(edits=(Edit("a", "b"),)))
    around = search_base(state)
    assert around is not None
    again = next_wave(around, 4)
    assert again is not None
    assert again.cells == first.cells


def test_levels_step_by_factors_rungs_or_shares_and_stay_within_bounds() -> None:
    assert levels(Real(0.005, 0.32, log=True), 0.04, 5) == [0.02, 0.0283, 0.04, 0.0566, 0.08]
    assert levels(Real(0.0, 0.8), 0.5, 3) == [0.4, 0.5, 0.6]
    assert levels(Real(0.0, 0.4), 0.0, 3) == [0.0, 0.05, 0.1]
    assert levels(Ladder((16, 32, 64, 128, 256)), 128, 5) == [16, 32, 64, 128, 256]
    assert levels(Choice(("SSSL", "SL", "L")), "SSSL", 2) == ["SSSL", "SL"]


def test_a_single_knob_is_a_wave_of_its_own() -> None:
    around = search_base(a_state({"LR": 0.1}))
    assert around is not None
    wave = next_wave(around, 4)
    assert wave is not None
    assert list(wave.factors) == ["LR"]
    assert len(wave.cells) == 4


# tpe


def a_told_state(runs: int, seed: int = 7) -> State:
    """`runs` experiments whose score is best at ASPECT_RATIO 96 and MATRIX_LR 0.03."""
    state = a_state(seed=seed)
    dice = random.Random(seed)
    for _ in range(runs):
        aspect, rate = dice.randrange(32, 129, 8), round(dice.uniform(0.01, 0.1), 3)
        overrides: dict[str, Value] = {"ASPECT_RATIO": aspect, "MATRIX_LR": rate}
        add(state, overrides, 0.98 + ((aspect - 96) / 200) ** 2 + (rate - 0.03) ** 2 * 5)
    return state


def drawn(state: State, arms: int, ask: int = 1) -> list[dict[str, Value]]:
    study = study_of(state)
    assert study is not None
    return draw(study, arms, ask)


def test_the_first_arms_are_small_steps_from_the_base() -> None:
    found = drawn(a_state(), 16)
    assert len(found) == 16
    assert all(1 <= len(change) <= 4 for change in found), "three constants, and the rows that must fit the batch"


@pytest.mark.parametrize("runs", [3, STARTUP_RUNS + 10])
def test_the_same_state_and_ask_give_the_same_arms_and_the_next_ask_others(runs: int) -> None:
    first = drawn(a_told_state(runs), 6)
    assert first == drawn(a_told_state(runs), 6)
    assert first != drawn(a_told_state(runs), 6, ask=2)
    assert len({repr(change) for change in first}) == 6


def test_it_moves_to_where_the_good_ones_are() -> None:
    found = drawn(a_told_state(120), 12)
    aspects = [change.get("ASPECT_RATIO", 64) for change in found]
    assert sum(72 <= aspect <= 120 for aspect in aspects if isinstance(aspect, int)) >= 9


def test_what_is_in_flight_keeps_it_from_going_there_again() -> None:
    state = a_told_state(60)
    for change in drawn(state, 12):
        add(state, change, None)
    study = study_of(state)
    assert study is not None
    assert sum(told.difference is None for told in study.told) == 12
    assert not set(map(repr, drawn(state, 12))) & {repr(x.overrides) for x in state.experiments.values()}


def test_it_is_told_differences_to_the_baseline_of_the_same_class() -> None:
    state = a_state()
    state.experiments["e0000"].scores["H200"] = [0.995]
    add(state, {"DEPTH": 9}, 0.0, scores={"H100": [0.99], "H200": [0.985]})
    add(state, {"DEPTH": 10}, 0.0, scores={"A100": [0.9]})
    study = study_of(state)
    assert study is not None
    assert [told.difference for told in study.told[:2]] == [0.0, pytest.approx(-0.01)]
    assert len([told for told in study.told if told.difference is not None]) == 3
    assert study.told[2].difference == 0.0, "a class without a reference says nothing: the worst that is known"


def test_a_crash_counts_as_the_worst_difference() -> None:
    state = a_told_state(30)
    add(state, {"DEPTH": 16}, None, status=ExperimentStatus.CRASHED)
    study = study_of(state)
    assert study is not None
    assert study.told[-1].difference == max(told.difference for told in study.told if told.difference is not None)


def test_it_is_told_no_more_however_long_the_session() -> None:
    study = study_of(a_told_state(3 * TRIALS_TOLD_AT_MOST))
    assert study is not None
    assert len(study.told) == TRIALS_TOLD_AT_MOST


def test_where_no_constants_are_known_there_is_nothing_to_draw() -> None:
    study = study_of(a_state({"SEED": 3}))
    assert study is not None
    assert not study.around.dimensions


# Both, on a simulated fleet


@pytest.mark.parametrize("proposer", [Grid(), Tpe()], ids=["grid", "tpe"])
def test_two_hours_on_sixteen_clusters_beat_the_baseline(tmp_path: Path, proposer: Proposer) -> None:
    folder = sim_session(tmp_path, speed=0, mode=Mode.AUTOPILOT, proposer=proposer.name, budget_hours=2.0)
    session = session_of(folder)
    fleet, clock = open_sim(session.fleet, folder.sim_world, session.created_at)
    worker = Worker(
        WorkerParts(
            folder=folder,
            ledger=Ledger.open(folder.ledger),
            fleet=fleet,
            store=VariantStore(Path(session.repo), session.name),
            clock=clock,
            wake=threading.Event(),
            proposers={proposer.name: proposer},
            inline=True,
        )
    )
    worker.start()
    worker.close(worker.run(threading.Event()))
    state = state_of(folder)
    incumbent = state.experiments[state.incumbent]
    gain = min(incumbent.scores["H100"]) - min(state.experiments[state.baseline].scores["H100"])
    assert gain < -0.008, f"{len(state.experiments)} experiments, best {incumbent.overrides}"
