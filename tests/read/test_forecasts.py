"""Effects, forecasts and search read the record; kept changes are ablated before the end."""

from collections.abc import Mapping

import msgspec

from cockpit.agent.proposer_api import ProposalRequest
from cockpit.agent.proposers.evolution import Tried, next_arms
from cockpit.agent.proposers.search import draft, search_history
from cockpit.core.events import Asked, ModeSet
from cockpit.core.model import Attempt, Mode, Value, WaveKind
from cockpit.core.state import WITHOUT
from cockpit.decide.ablation import PROPOSER as ABLATE
from cockpit.decide.ablation import ablations
from cockpit.decide.ask import ask
from cockpit.decide.kept_changes import unablated, unablated_summary
from cockpit.read.effects import effects_of, gain_of
from cockpit.read.forecasts import forecast_words, forecasts_of
from cockpit.science.search_space import search_space
from tests.decide.world import World

CONSTANTS: dict[str, Value] = {"MATRIX_LR": 0.04, "DEPTH": 8, "WEIGHT_DECAY": 0.2, "WINDOW_PATTERN": "SSSL"}


def truth(constants: Mapping[str, Value], attempt: Attempt) -> float | None:
    depth, lr, decay = (constants.get(name, CONSTANTS[name]) for name in ("DEPTH", "MATRIX_LR", "WEIGHT_DECAY"))
    assert isinstance(depth, int) and isinstance(lr, float) and isinstance(decay, float)
    if depth > 12:
        return None
    return 2.0 - 0.05 * (lr < 0.04) - 0.05 * (decay < 0.2) + 0.01 * abs(depth - 9)


def world_of_constants() -> World:
    world = World(truth)
    world.state.session = msgspec.structs.replace(world.state.session, constants=CONSTANTS)
    world.run(0.1)
    return world


def kept_twice() -> World:
    world = world_of_constants()
    world.propose({"MATRIX_LR": 0.03})
    world.run(0.5)
    world.propose({"WEIGHT_DECAY": 0.1})
    world.run(0.5)
    assert len(world.state.incumbencies) == 3
    return world


def test_an_ablation_drops_each_kept_change_once_except_the_last() -> None:
    state = kept_twice().state
    made = ablations(state)
    assert made is not None and made.base == state.incumbent
    assert [arm.change.constants for arm in made.arms] == [{"MATRIX_LR": 0.04}]
    assert [arm.levels[WITHOUT] for arm in made.arms] == [state.incumbencies[1].experiment]


def test_kept_changes_without_an_ablation_are_named() -> None:
    world = kept_twice()
    first = world.state.incumbencies[1].experiment
    assert unablated_summary(world.state).startswith(f"kept and not ablated since: {first}")
    world.propose({"MATRIX_LR": 0.04}, levels={WITHOUT: first})
    state = world.run(1.0)
    assert state.incumbencies[-1].experiment != "e0000"
    assert unablated(state) == [] and ablations(state) is None


def test_there_is_nothing_to_ablate_before_two_keeps() -> None:
    world = world_of_constants()
    assert ablations(world.state) is None
    world.propose({"MATRIX_LR": 0.03})
    state = world.run(0.5)
    assert len(state.incumbencies) == 2 and ablations(state) is None


def test_the_ablation_is_asked_for_once_near_the_end_of_the_hours() -> None:
    world = kept_twice()
    state = world.state
    state.session = msgspec.structs.replace(state.session, budget_hours=10.0)

    def is_asked(hours: float) -> bool:
        return ABLATE in [one.proposer for one in ask(state, hours * 3600) if isinstance(one, Asked)]

    assert not is_asked(8.0)
    assert is_asked(8.6)
    world.propose({"MATRIX_LR": 0.04}, levels={WITHOUT: state.incumbencies[1].experiment})
    assert not is_asked(9.0)


def test_the_estimated_gain_is_within_three_standard_errors() -> None:
    world = kept_twice()
    seen = gain_of(world.state)
    assert seen is not None
    assert abs(seen.pooled.mean + 0.1) < 3 * seen.se
    assert gain_of(world_of_constants().state) is None


def test_effects_of_a_wave_come_from_its_runs() -> None:
    world = world_of_constants()
    arms = [{"DEPTH": depth, "WEIGHT_DECAY": decay} for depth in (9, 11) for decay in (0.1, 0.3)]
    names = [world.propose(arm, levels=arm)[0] for arm in arms]
    world.run(1.0)
    wave = world.state.waves[world.state.experiments[names[0]].wave]
    wave.arms, wave.factors = names, {"DEPTH": [9, 11], "WEIGHT_DECAY": [0.1, 0.3]}
    found = effects_of(world.state, wave.id)
    depth, decay = found.main
    assert depth.estimate.low <= 0.02 <= depth.estimate.high
    assert decay.estimate.low <= 0.05 <= decay.estimate.high
    assert found.interactions[0].estimate.low <= 0.0 <= found.interactions[0].estimate.high


def test_a_base_that_is_a_cell_of_the_grid_stands_for_it() -> None:
    world = world_of_constants()
    grid: dict[str, list[Value]] = {"MATRIX_LR": [0.04, 0.03], "WEIGHT_DECAY": [0.2, 0.1]}
    cells: list[dict[str, Value]] = [{"MATRIX_LR": 0.03, "WEIGHT_DECAY": 0.2}, {"MATRIX_LR": 0.04, "WEIGHT_DECAY": 0.1}]
    names = [world.propose(cell, base="e0000", levels=cell)[0] for cell in cells]
    world.run(0.5)
    wave = world.state.waves[world.state.experiments[names[0]].wave]
    wave.arms, wave.factors = names, grid
    rate, decay = effects_of(world.state, wave.id).main
    assert rate.against == (0.04,) and decay.against == (0.2,)
    assert rate.estimate.low <= -0.05 <= rate.estimate.high < 0
    assert decay.estimate.low <= -0.05 <= decay.estimate.high < 0
    wave.factors = {"MATRIX_LR": [0.05, 0.03], "WEIGHT_DECAY": [0.2, 0.1]}
    assert len(effects_of(world.state, wave.id).main) < 2, "a base outside the grid does not stand for a cell"


def test_a_crash_is_forecast_where_others_like_it_crashed() -> None:
    world = world_of_constants()
    world.propose(*({"DEPTH": depth, "WEIGHT_DECAY": 0.01 * i} for i, depth in enumerate((13, 14, 15, 16, 6, 7, 8, 9))))
    world.run(1.0)
    world.record(ModeSet(at=world.now, mode=Mode.MANUAL, author="ann"))
    deep, shallow = world.propose({"DEPTH": 15}, {"DEPTH": 7})
    found = forecasts_of(world.state, (deep, shallow))
    assert found[deep].crash.mean > 0.5 > 0.2 > found[shallow].crash.mean
    assert forecast_words(found).startswith(f"1 of 2 arms likely to crash, {deep} the most: ")


def test_an_edit_is_forecast_from_the_edits_so_far() -> None:
    world = world_of_constants()
    assert forecasts_of(world.state, world.propose({"DEPTH": 7}, edits=True)) == {}, "no edit has run"
    for decay in (0.11, 0.12, 0.13, 0.14):
        world.propose({"DEPTH": 15, "WEIGHT_DECAY": decay}, edits=True)
        world.run(0.1)
    (mine,) = world.propose({"DEPTH": 8, "WEIGHT_DECAY": 0.3}, edits=True)
    after = forecasts_of(world.state, (mine,))
    assert after[mine].crash.mean > 0.6 and after[mine].peak_vram_mb is None


def test_few_results_forecast_nothing() -> None:
    world = world_of_constants()
    for depth in (7, 9, 10):
        (waiting,) = world.propose({"DEPTH": 6, "WEIGHT_DECAY": 0.01 * depth})
        assert forecasts_of(world.state, (waiting,)) == {}, "a crash between 0 and 46% of the time says nothing"
        world.run(0.1)
    assert forecasts_of(world.state, world.propose({"DEPTH": 5}))


def test_before_the_first_result_nothing_is_forecast() -> None:
    world = World(truth)
    assert forecasts_of(world.state, ("e0000",)) == {} and forecast_words({}) == ""


def test_search_proposes_only_what_is_new_and_the_same_from_the_same_record() -> None:
    tried = [Tried({**CONSTANTS, "DEPTH": depth}, 2.0 + 0.01 * depth) for depth in range(4, 17)]
    made = [next_arms(search_space(CONSTANTS), CONSTANTS, tried, [CONSTANTS], 16, seed=3) for _ in range(2)]
    assert made[0] == made[1]
    assert len(made[0]) == 16 and len({repr(one) for one in made[0]}) == 16
    assert all(one not in [CONSTANTS, *(old.constants for old in tried)] for one in made[0])


def test_search_avoids_crashing_regions() -> None:
    tried = [Tried({**CONSTANTS, "DEPTH": depth}, 2.0 if depth <= 8 else None) for depth in range(4, 17)] * 4
    made = next_arms(search_space(CONSTANTS), CONSTANTS, tried, [], 40, seed=4)
    depths = [one["DEPTH"] for one in made]
    assert sum(isinstance(depth, int) and depth > 10 for depth in depths) <= 4


def test_search_reads_its_record_off_the_state_and_drafts_on_the_incumbent() -> None:
    state = kept_twice().state
    history = search_history(state)
    assert history.base == state.incumbent and len(history.tried) == 3
    best = min(history.tried, key=lambda one: one.score or 9.0)
    assert best.constants["WEIGHT_DECAY"] == 0.1 and best.constants["MATRIX_LR"] == 0.03
    made = next_arms(history.dimensions, history.base_constants, history.tried, history.pending, 4, history.seed)
    proposed = draft(history, made, ProposalRequest(1, 4, "filler"))
    assert proposed.kind is WaveKind.FILLER and proposed.base == state.incumbent
    assert all(arm.change.constants for arm in proposed.arms)


def test_search_continues_when_everything_crashed() -> None:
    tried = [Tried({**CONSTANTS, "WEIGHT_DECAY": 0.01 * i}, None) for i in range(20)]
    assert len(next_arms(search_space(CONSTANTS), CONSTANTS, tried, [], 4, seed=5)) == 4
