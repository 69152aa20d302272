"""The numeric proposers: `grid` proposes waves around the incumbent, `tpe` draws from the results so far."""

import random
import threading
from pathlib import Path

import pytest

from cockpit.agent.proposer_api import Proposer
from cockpit.agent.proposers.grid import Grid, levels, next_wave
from cockpit.agent.proposers.search_base import search_base
from cockpit.agent.proposers.tpe import MAX_TRIALS, STARTUP_RUNS, Tpe, draw, study_of
from cockpit.core.model import Change, Edit, Experiment, ExperimentStatus, Mode, Value
from cockpit.core.session import FleetSpec, Session
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
    """Return a session whose baseline has run once on an H100."""
    session = Session(
        "night", "/repo", "c0", FleetSpec("sim", ()), created_at=0.0, created_by="me", seed=seed, constants=constants
    )
    state = State(session)
    state.baseline = state.incumbent = "e0000"
    add(state, {}, 1.0)
    return state


def add(state: State, overrides: dict[str, Value], score: float | None, base: str = "e0000", **more: object) -> str:
    """Add an experiment. Without a score it is in flight, unless `status` says otherwise. Return its id."""
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
        base = search_base(state)
        assert base is not None
        wave = next_wave(base, arms)
        if wave is None:
            return found
        found.append(list(wave.changes))
        for cell in wave.changes:
            add(state, cell, 1.0)
        assert len(found) < 500


# grid


@pytest.mark.parametrize("arms", [1, 2, 4, 7, 16])
def test_a_grid_wave_keeps_to_the_arms_requested_and_includes_the_base(arms: int) -> None:
    base = search_base(a_state())
    assert base is not None
    wave = next_wave(base, arms)
    assert wave is not None
    assert 1 <= len(wave.changes) <= arms
    assert set(wave.factors) == {"ASPECT_RATIO", "DEPTH"}
    assert all(CONSTANTS[name] in values for name, values in wave.factors.items())


def test_sixteen_clusters_get_a_complete_grid() -> None:
    base = search_base(a_state())
    assert base is not None
    wave = next_wave(base, 16)
    assert wave is not None
    assert [len(values) for values in wave.factors.values()] == [4, 4]
    assert len(wave.changes) == 15


def test_grid_proposes_nothing_twice_and_varies_every_factor() -> None:
    state = a_state()
    waves = waves_until_done(state, 16)
    cells = [frozenset((name, repr(value)) for name, value in cell.items()) for wave in waves for cell in wave]
    assert len(cells) == len(set(cells))
    assert {name for wave in waves for cell in wave for name in cell} == set(CONSTANTS)


def test_grid_continues_around_a_new_incumbent() -> None:
    state = a_state()
    state.incumbent = add(state, {"ASPECT_RATIO": 96}, 0.99)
    base = search_base(state)
    assert base is not None
    wave = next_wave(base, 16)
    assert wave is not None
    assert 96 in wave.factors["ASPECT_RATIO"]
    assert {"ASPECT_RATIO": 64} not in wave.changes, "that arm equals the baseline"


def test_grid_repeats_settings_that_were_tried_with_other_code() -> None:
    state = a_state()
    base = search_base(state)
    assert base is not None
    first = next_wave(base, 4)
    assert first is not None
    for cell in first.changes:
        add(state, dict(cell), 1.0)
    state.incumbent = add(state, {}, 0.99, change=Change(edits=(Edit("a", "b"),)))
    base = search_base(state)
    assert base is not None
    again = next_wave(base, 4)
    assert again is not None
    assert again.changes == first.changes


def test_levels_step_by_scale_and_stay_within_bounds() -> None:
    assert levels(Real(0.005, 0.32, log=True), 0.04, 5) == [0.02, 0.0283, 0.04, 0.0566, 0.08]
    assert levels(Real(0.0, 0.8), 0.5, 3) == [0.4, 0.5, 0.6]
    assert levels(Real(0.0, 0.4), 0.0, 3) == [0.0, 0.05, 0.1]
    assert levels(Ladder((16, 32, 64, 128, 256)), 128, 5) == [16, 32, 64, 128, 256]
    assert levels(Choice(("SSSL", "SL", "L")), "SSSL", 2) == ["SSSL", "SL"]


def test_a_single_constant_is_a_wave_of_one_factor() -> None:
    base = search_base(a_state({"LR": 0.1}))
    assert base is not None
    wave = next_wave(base, 4)
    assert wave is not None
    assert list(wave.factors) == ["LR"]
    assert len(wave.changes) == 4


# tpe


def state_with_runs(runs: int, seed: int = 7) -> State:
    """Return a session of `runs` experiments whose score is best at ASPECT_RATIO 96 and MATRIX_LR 0.03."""
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


def test_the_first_arms_of_tpe_are_small_steps_from_the_base() -> None:
    found = drawn(a_state(), 16)
    assert len(found) == 16
    assert all(1 <= len(change) <= 4 for change in found), (
        "three constants, and the device batch that must divide the batch"
    )


@pytest.mark.parametrize("runs", [3, STARTUP_RUNS + 10])
def test_tpe_is_deterministic_by_state_and_request(runs: int) -> None:
    first = drawn(state_with_runs(runs), 6)
    assert first == drawn(state_with_runs(runs), 6)
    assert first != drawn(state_with_runs(runs), 6, ask=2)
    assert len({repr(change) for change in first}) == 6


def test_tpe_concentrates_near_the_best_scores() -> None:
    found = drawn(state_with_runs(120), 12)
    aspects = [change.get("ASPECT_RATIO", 64) for change in found]
    assert sum(72 <= aspect <= 120 for aspect in aspects if isinstance(aspect, int)) >= 9


def test_tpe_does_not_propose_what_is_in_flight() -> None:
    state = state_with_runs(60)
    for change in drawn(state, 12):
        add(state, change, None)
    study = study_of(state)
    assert study is not None
    assert sum(trial.difference is None for trial in study.trials) == 12
    assert not set(map(repr, drawn(state, 12))) & {repr(x.overrides) for x in state.experiments.values()}


def test_tpe_learns_differences_to_the_baseline_of_the_same_class() -> None:
    state = a_state()
    state.experiments["e0000"].scores["H200"] = [0.995]
    add(state, {"DEPTH": 9}, 0.0, scores={"H100": [0.99], "H200": [0.985]})
    add(state, {"DEPTH": 10}, 0.0, scores={"A100": [0.9]})
    study = study_of(state)
    assert study is not None
    assert [trial.difference for trial in study.trials[:2]] == [0.0, pytest.approx(-0.01)]
    assert len([trial for trial in study.trials if trial.difference is not None]) == 3
    assert study.trials[2].difference == 0.0, "without a reference in its class, the worst known difference"


def test_tpe_counts_a_crash_as_the_worst_difference() -> None:
    state = state_with_runs(30)
    add(state, {"DEPTH": 16}, None, status=ExperimentStatus.CRASHED)
    study = study_of(state)
    assert study is not None
    assert study.trials[-1].difference == max(
        trial.difference for trial in study.trials if trial.difference is not None
    )


def test_the_trials_of_a_long_session_are_bounded() -> None:
    study = study_of(state_with_runs(3 * MAX_TRIALS))
    assert study is not None
    assert len(study.trials) == MAX_TRIALS


def test_tpe_has_no_dimensions_without_known_constants() -> None:
    study = study_of(a_state({"SEED": 3}))
    assert study is not None
    assert not study.base.dimensions


# Both proposers on a simulated fleet


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
