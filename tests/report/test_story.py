"""Promises of the story: phases cover the night once, each slower than the one before; every number adds up."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.state import State
from cockpit.read.scores import kept_estimate, kept_experiments
from cockpit.report.story import PHASES_AT_MOST, _hull, _simplified, phases, story
from cockpit.session.paths import SessionFolder
from tests.tui import stories
from tests.worker.sessions import state_of


@pytest.fixture(scope="module")
def state(night_folder: SessionFolder) -> State:
    return state_of(night_folder)


def words(state: State) -> list[str]:
    return ["".join(part.text for part in sentence) for sentence in story(state, state.now)]


def test_the_phases_cover_the_night_once_and_in_order(state: State) -> None:
    found = phases(state, state.now)
    assert 1 < len(found) <= PHASES_AT_MOST
    began = state.session.created_at
    assert found[0].began == 0
    assert max(one.at for one in state.incumbencies) - began <= found[-1].ended <= state.now - began
    assert all(one.ended == after.began for one, after in pairwise(found))


def test_every_keep_and_every_measured_variant_is_in_one_phase(state: State) -> None:
    found = phases(state, state.now)
    assert [name for phase in found for name in phase.kept] == kept_experiments(state) != []
    variants = [one for one in state.experiments.values() if one.id != state.baseline]
    measured = [one for one in variants if one.scores or one.status == "crashed"]
    assert sum(phase.variants for phase in found) == len(measured)


def test_the_gains_of_the_phases_add_up_and_each_brings_less_an_hour(state: State) -> None:
    found = phases(state, state.now)
    estimates = [kept_estimate(state, name) for name in kept_experiments(state)]
    assert sum(phase.gain for phase in found) == pytest.approx(-sum(one.mean for one in estimates if one))
    rates = [phase.gain / (phase.ended - phase.began) for phase in found]
    assert rates == sorted(rates, reverse=True)


def test_a_sentence_has_what_was_varied_what_it_gained_and_links(state: State) -> None:
    first = story(state, state.now)[0]
    said = "".join(part.text for part in first)
    phase = phases(state, state.now)[0]
    assert said.startswith("0s to ") and f"{phase.variants} variant" in said and phase.varied[0][0] in said
    assert f"together {phase.gain:.4f} of val_bpb" in said
    assert [part.to for part in first if part.to] == list(phase.kept)


def test_the_last_sentence_shows_when_the_night_flattened(state: State) -> None:
    gains = {name: -one.mean for name in kept_experiments(state) if (one := kept_estimate(state, name))}
    names = list(gains)
    total = sum(gains.values())
    first = next(name for number, name in enumerate(names) if sum(gains[n] for n in names[: number + 1]) >= 0.9 * total)
    assert words(state)[-1].startswith("90% of the kept gain was there after ")
    assert words(state)[-1].endswith(f", with {first}.")


def test_before_the_first_result_there_is_no_story() -> None:
    assert story(stories.empty().state, 1.0) == []
    begun = stories.begun().state
    assert words(begun) == []


def test_a_keep_that_a_person_made_without_an_estimate_gains_nothing(state: State) -> None:
    copy = msgspec.json.decode(msgspec.json.encode(state), type=State)
    name = kept_experiments(copy)[0]
    copy.incumbencies[:] = [
        msgspec.structs.replace(one, estimate=None) if one.experiment == name else one for one in copy.incumbencies
    ]
    copy.experiments[name].estimate = None
    assert sum(phase.gain for phase in phases(copy, copy.now)) < sum(phase.gain for phase in phases(state, state.now))


def test_keeps_without_an_estimate_are_reported_without_a_gain(state: State) -> None:
    copy = msgspec.json.decode(msgspec.json.encode(state), type=State)
    copy.incumbencies[:] = [msgspec.structs.replace(one, estimate=None) for one in copy.incumbencies]
    for name in kept_experiments(copy):
        copy.experiments[name].estimate = None
    said = " ".join(words(copy))
    assert "without an estimated gain" in said and "0.0000" not in said and "90% of" not in said


POINTS = st.lists(st.tuples(st.integers(1, 50), st.floats(0.0, 1.0)), max_size=30)


@given(POINTS)
def test_the_line_lies_above_every_point_and_its_slopes_fall(steps: list[tuple[int, float]]) -> None:
    points = [(0.0, 0.0)]
    for wait, gain in steps:
        points.append((points[-1][0] + wait, points[-1][1] + gain))
    corners = _hull(points)
    assert corners[0] == points[0] and set(corners) <= set(points)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(corners)]
    assert all(one >= after - 1e-9 for one, after in pairwise(slopes))
    few = _simplified(corners)
    assert len(few) <= PHASES_AT_MOST and few[0] == corners[0] and few[-1] == corners[-1]
