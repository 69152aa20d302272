"""A knob set during a session: an event that every proposer's search space follows."""

import copy
import math
import random
import re
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from cockpit.control.values import parse_knob
from cockpit.core.event_codec import decode_event, encode_event
from cockpit.core.events import Asked
from cockpit.core.fold import fold
from cockpit.core.intents import SetKnob
from cockpit.core.knob_events import KnobSet
from cockpit.core.knobs import KnobRange
from cockpit.core.model import Attempt, Value
from cockpit.core.state import State
from cockpit.decide.decisions import decide
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.decide.knob_settings import ASKS_BETWEEN, drop_inert
from cockpit.read.knobs import knob_rows, knob_table
from cockpit.science.search_space import Ladder, Real, search_space
from tests.decide.world import World
from tests.tui import stories


def test_a_large_integer_is_listed_in_full() -> None:
    (row,) = (row for row in knob_rows(stories.night().state) if row.name == "TOTAL_BATCH_SIZE")
    assert "1048576" in row.varied


def test_a_setting_is_an_event_that_the_search_space_follows() -> None:
    story = stories.night()
    state = story.state
    name = next(name for name, one in search_space(state.session.constants).items() if isinstance(one, Real))
    for words, searched in (("exclude", False), ("pin", False), ("free", True), ("0.001..0.5", True)):
        (event,) = handle_intent(state, SetKnob(name, parse_knob(words)), "ann", state.now)
        assert isinstance(event, KnobSet)
        story.tell(decode_event(encode_event(event)))
        state = story.state
        space = search_space(state.session.constants, state.session.ranges)
        assert (name in space) is searched, words
        assert state.session.ranges[name].set_by == "ann"
    assert space[name] == Real(0.001, 0.5, log=True)
    row = next(row for row in knob_rows(state) if row.name == name)
    assert (row.varied, row.set_by) == ("0.001 to 0.5", "ann")
    (line,) = (line for line in knob_table(state, ":knob") if f" {name} " in line)
    assert line.endswith("0.001 to 0.5 (set by ann)")


def test_a_range_that_leaves_nothing_to_search_is_refused() -> None:
    state = stories.night().state
    whole = next(name for name, one in search_space(state.session.constants).items() if isinstance(one, Ladder))
    with pytest.raises(Refused, match="no value to search"):
        handle_intent(state, SetKnob(whole, KnobRange(low=0.1, high=0.2)), "ann", state.now)


CONSTANTS: dict[str, Value] = {"LR": 0.1, "DEPTH": 8, "DROPOUT": 0.1, "WEIGHT_DECAY": 0.1}


@pytest.fixture(scope="module")
def searched() -> State:
    """A session of 384 random arms, in which only LR and DEPTH have an effect."""

    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        lr, depth = (constants[name] for name in ("LR", "DEPTH"))
        assert isinstance(lr, float) and isinstance(depth, int)
        return 1 + 0.01 * math.log2(lr / 0.1) ** 2 + 0.002 * depth

    world = World(truth, sd=0.003)
    world.state.session = replace(world.state.session, constants=CONSTANTS)
    world.run(0.5)
    dice = random.Random(1)
    for _ in range(24):
        world.propose(*(
            {"LR": round(0.1 * 8 ** dice.uniform(-1, 1), 4), "DEPTH": dice.choice((4, 6, 8, 10, 12, 16)),
             "DROPOUT": round(dice.uniform(0, 0.3), 3), "WEIGHT_DECAY": round(dice.uniform(0, 0.25), 3)}
            for _ in range(16)
        ))  # fmt: skip
        world.run(0.5)
    world.state.asks_total = ASKS_BETWEEN
    return world.state


def test_knobs_without_an_effect_are_excluded_with_their_evidence(searched: State) -> None:
    events = drop_inert(searched, searched.now)
    assert {event.knob for event in events if isinstance(event, KnobSet)} == {"DROPOUT", "WEIGHT_DECAY"}
    for event in events:
        assert isinstance(event, KnobSet) and event.author == "cockpit"
        assert re.fullmatch(
            r"no effect on val_bpb beyond 0\.\d+, within one run's noise of 0\.\d+, at \d+ values in \d+ experiments",
            event.range.excluded,
        )


def test_a_dropped_knob_is_announced_once_and_a_person_brings_it_back(searched: State) -> None:
    state = copy.deepcopy(searched)  # the fold changes it in place
    for event in drop_inert(state, state.now):
        state = fold(state, event)
    assert set(search_space(state.session.constants, state.session.ranges)) == {"LR", "DEPTH"}
    assert drop_inert(state, state.now) == []
    (back,) = handle_intent(state, SetKnob("DROPOUT", parse_knob("free")), "ann", state.now)
    state = fold(state, back)
    assert "DROPOUT" in search_space(state.session.constants, state.session.ranges)
    assert drop_inert(state, state.now) == [], "a person's word stands"


def test_the_decision_is_taken_before_a_proposer_is_asked(searched: State) -> None:
    state = replace(copy.deepcopy(searched), proposer="search")
    kinds = [type(event) for event in decide(state, state.now)]
    assert kinds[:2] == [KnobSet, KnobSet] and Asked in kinds
