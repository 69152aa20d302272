"""The stack pane tells the pace of keeps, and of the next hour only what an hour has shown."""

import msgspec

from cockpit.read.kept_stack import stack_of
from cockpit.tui.widgets.stack import totals
from tests.tui import stories


def test_the_gain_of_the_next_hour_is_told_from_the_second_hour_on() -> None:
    state = stories.night().state
    stack = stack_of(state, state.now)
    assert stack.pace is not None
    early = msgspec.structs.replace(stack, pace=msgspec.structs.replace(stack.pace, ran_h=0.9))
    late = msgspec.structs.replace(stack, pace=msgspec.structs.replace(stack.pace, ran_h=1.1))
    assert "the next hour gains" in totals(state, late)[-1][0]
    assert totals(state, early)[-1][0].startswith("the last keep was ")
    assert "next hour" not in totals(state, early)[-1][0]
