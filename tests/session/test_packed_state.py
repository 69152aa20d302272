"""A hundred thousand experiments fit in memory: curves are packed and equal values shared, and no value changes."""

from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.curves import packed, points_of
from cockpit.core.events import Proposed
from cockpit.core.model import Change, Experiment, Mode, Wave
from cockpit.core.state import State
from cockpit.session.packed_state import pack, unpack
from tests.core.histories import SESSION
from tests.tui import stories
from tests.tui.story import Story, session

POINT = st.tuples(st.floats(0, 1), st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(POINT, max_size=50))
def test_a_packed_curve_keeps_seven_digits_of_any_loss(points: list[tuple[float, float]]) -> None:
    back = points_of(packed(points))
    assert len(back) == len(points)
    for (at, loss), (at_back, loss_back) in zip(points, back, strict=True):
        assert abs(at - at_back) <= 1e-7
        bounded = max(-3.4e38, min(3.4e38, loss))
        assert abs(bounded - loss_back) <= max(1e-7 * abs(bounded), 1e-38)


def test_a_state_from_a_snapshot_is_equal_and_shares_its_names() -> None:
    state = stories.night().state
    back = unpack(pack(state))
    assert back == state
    for held in (state, back):
        for wave in held.waves.values():
            for arm in wave.arms:
                assert arm is held.experiments[arm].id
        for attempt in held.attempts.values():
            assert attempt.experiment is held.experiments[attempt.experiment].id
        arms = [held.experiments[arm] for arm in held.waves["w001"].arms]
        assert len({id(arm.why) for arm in arms}) == len({id(arm.base) for arm in arms}) == 1
        assert all(arm.levels is arm.change.constants is arm.overrides for arm in arms)


def test_equal_levels_of_different_types_are_not_shared() -> None:
    story = Story(session(), Mode.COPILOT)
    experiment = Experiment(
        "e0000", "w000", "", Change({"ROPE": True}), "c", "t", "p", "f", overrides={"ROPE": 1}, levels={"ROPE": 1.0}
    )
    story.tell(Proposed(at=story.at, wave=Wave("w000", "human", "?", arms=["e0000"]), experiments=[experiment]))
    for state in (story.state, unpack(pack(story.state))):
        known = state.experiments["e0000"]
        found = [known.change.constants["ROPE"], known.overrides["ROPE"], known.levels["ROPE"]]
        assert [type(level) for level in found] == [bool, int, float]


def test_an_empty_state_survives_a_snapshot() -> None:
    assert unpack(pack(State(SESSION))) == State(SESSION)
