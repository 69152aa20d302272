"""A wall clock that is set while a session runs moves nothing: neither a limit nor what a run has cost."""

import time

import pytest

from cockpit.session.clock import WallClock


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_moves_no_session(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    clock = WallClock()
    before, wall = clock.now(), time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
    assert before <= clock.now() < before + 3600
