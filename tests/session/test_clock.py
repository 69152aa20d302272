"""A wall clock that is set while a session runs changes no limit and no cost."""

import time

import pytest

from cockpit.session.clock import WallClock


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_clock_jump_leaves_the_session_clock_alone(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    clock = WallClock()
    before, wall = clock.now(), time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
    assert before <= clock.now() < before + 3600
