"""The whole cockpit on a real terminal: a worker, a screen on a pty, and keys that reach the worker."""

import shlex
import sys
from pathlib import Path

import psutil
import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Draft, Propose
from cockpit.core.model import WaveStatus
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from tests.tui.terminal import needs_tmux, terminal
from tests.worker.sessions import local_session, state_of, wait_for

pytestmark = needs_tmux

COCKPIT = (sys.executable, "-m", "cockpit")


def proposed(place: Path) -> SessionFolder:
    """Make a session with a measured baseline and a waiting proposal."""
    folder = local_session(place, clusters=2, mode="manual")
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).incumbent == "e0000", 40, "the baseline")
    send_and_await(folder, Propose(Draft("ann", "which rate?", factors={"MATRIX_LR": [0.02, 0.05]})))
    return folder


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_a_wave_approved_by_a_key_runs_after_the_screen_is_left(tmp_path: Path, width: int, height: int) -> None:
    folder = proposed(tmp_path)
    wave = "w001"
    try:
        with terminal([*COCKPIT, "open", str(folder.root)], width, height) as screen:
            shown = screen.wait_for("cpu-01", "manual", "worker running", "clusters")
            if width == 200:
                assert all(pane in shown for pane in ("waves", "log", "chart", "talk"))
            screen.write("/aAH\r2")  # all at once, as a slow link brings them: no letter of the text acts as a key
            screen.wait_for("which rate?", "nothing here contains 'aAH'")
            screen.press("e")
            screen.wait_for("which rate?", "MATRIX_LR", "0.02", "approve")
            assert state_of(folder).waves[wave].status is WaveStatus.PROPOSED
            screen.press("a")
            screen.wait_for("Approve", "Cancel")
            screen.press("y")
            wait_for(lambda: state_of(folder).waves[wave].rule.startswith("person:"), 20, "the approval")
            screen.press("q", "1")
            screen.wait_for("cpu-01")
            screen.press("q")
            screen.wait_for("it continues in the background", "ended with 0")
        wait_for(lambda: state_of(folder).incumbent == "e0002", 60, "the better rate, kept with no screen open")
        with terminal([*COCKPIT, "open", str(folder.root)], width, height) as screen:
            screen.wait_for("e0002", "worker running")
    finally:
        worker_process.terminate(folder)


def test_a_level_that_the_worker_refuses_keeps_the_field_open_and_every_arm(tmp_path: Path) -> None:
    folder = proposed(tmp_path)
    try:
        with terminal([*COCKPIT, "open", str(folder.root)], 80, 24) as screen:
            screen.wait_for("cpu-01", "worker running")
            screen.press("e")
            screen.wait_for("which rate?", "0.02", "edit level")
            screen.press("c")
            screen.wait_for("MATRIX_LR of")
            screen.press("C-u")
            screen.write("abc\r")
            screen.wait_for("MATRIX_LR is a number", "abc")
            assert len(state_of(folder).waves["w001"].arms) == 2
            screen.press("C-u")
            screen.write("0.03\r")
            screen.wait_for("0.03", "w001 is edited")
            assert len(state_of(folder).waves["w001"].arms) == 2
    finally:
        worker_process.terminate(folder)


def test_a_closed_terminal_leaves_no_process_behind(tmp_path: Path) -> None:
    """Check that a process that ignores SIGHUP ends with its terminal: it has nothing to show."""
    folder = local_session(tmp_path, clusters=1, mode="manual")
    watch = [*COCKPIT, "watch", str(folder.root)]
    with terminal(["sh", "-c", f"trap '' HUP; exec {shlex.join(watch)}"]) as screen:
        screen.wait_for("WATCHING")
        (process,) = (found for found in psutil.process_iter(["cmdline"]) if found.info["cmdline"] == watch)
        screen.hang_up()
        psutil.wait_procs([process], timeout=30)
        assert not process.is_running()


def test_copying_reaches_the_surrounding_tmux_without_configuration(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    worker_process.start(folder)
    try:
        with terminal([*COCKPIT, "watch", str(folder.root)]) as screen:
            screen.wait_for("cpu-01")
            screen.press("3")
            screen.wait_for("step 00000")
            screen.press("y")
            screen.wait_for("copied the lines on the screen: to tmux's buffer")
            assert "step 00000" in screen.tmux("show-buffer")
    finally:
        worker_process.terminate(folder)
