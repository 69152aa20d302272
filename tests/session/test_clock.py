"""A jump of the wall clock during a session moves neither a limit nor the cost of a run."""

import time

import pytest

from cockpit.session.clock import WallClock


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_clock_jump_leaves_the_session_clock_alone(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    clock = WallClock()
    before, wall = clock.now(), time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
    assert before <= clock.now() < before + 3600
