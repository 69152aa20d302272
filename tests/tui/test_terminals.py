"""The screen follows the flags, cockpit.toml and the connection."""

import sys
from pathlib import Path

import pytest

from cockpit.session import lock
from cockpit.tui.app import POLL_OVER_SSH_S, POLL_S, CockpitApp
from tests.tui.conftest import Opener, shown
from tests.tui.terminal import Terminal, needs_tmux, terminal
from tests.worker.sessions import local_session

COCKPIT = [sys.executable, "-m", "cockpit"]
FRAMES = (
    "from cockpit.cli.screen import need_terminal; need_terminal('this');"
    "from textual.constants import MAX_FPS; print('frames a second:', MAX_FPS)"
)
OVER_SSH = {"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}


def takes_mouse(screen: Terminal) -> bool:
    screen.wait_for("WATCHING", "cpu-01")
    return screen.tmux("display-message", "-p", "#{mouse_any_flag}").strip() == "1"


@needs_tmux
def test_no_mouse_leaves_the_mouse_to_the_terminal(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    watch = ["watch", str(folder.root)]
    for command, wanted in ((watch, True), ([*watch, "--no-mouse"], False), (["--no-mouse", *watch], False)):
        with terminal([*COCKPIT, *command]) as screen:
            assert takes_mouse(screen) == wanted


@needs_tmux
def test_the_screen_follows_the_repository_s_settings(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    (tmp_path / "repo" / "cockpit.toml").write_text('[screen]\ntheme = "light"\nmouse = false\nbell = true\n')
    with terminal([*COCKPIT, "watch", str(folder.root)]) as screen:
        assert not takes_mouse(screen)
        assert "48;5;231" in screen.tmux("capture-pane", "-p", "-e")
        # The missing worker is a need: it rings.
        assert "!" in screen.tmux("display-message", "-p", "#{window_flags}#{?window_bell_flag,!,}")


@needs_tmux
def test_an_unknown_theme_is_one_sentence(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    (tmp_path / "repo" / "cockpit.toml").write_text('[screen]\ntheme = "solarized"\n')
    with terminal([*COCKPIT, "open", str(folder.root)], width=160) as screen:
        said = screen.wait_for("ended with 1")
    assert lock.worker_status(folder).state == "stopped"
    assert "there is no theme 'solarized': set [screen] theme to one of dark, light, terminal" in said


@needs_tmux
@pytest.mark.parametrize(("env", "frames"), [({}, 60), (OVER_SSH, 15)])
def test_over_ssh_fewer_frames_are_drawn(env: dict[str, str], frames: int) -> None:
    with terminal([sys.executable, "-c", FRAMES], env=env) as screen:
        screen.wait_for(f"frames a second: {frames}")


@pytest.mark.anyio
@pytest.mark.parametrize(("env", "every_s"), [({}, POLL_S), (OVER_SSH, POLL_OVER_SSH_S)])
async def test_over_ssh_the_screen_polls_less_often_and_animates_nothing(
    screen_on: Opener, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], every_s: float
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    asked: list[float] = []
    plain = CockpitApp.set_interval

    def noted(app: CockpitApp, interval: float, *given: object, **named: object) -> object:
        asked.append(interval)
        return plain(app, interval, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(CockpitApp, "set_interval", noted)
    app = screen_on("night")
    async with shown(app):
        assert asked == [every_s]
        assert app.animation_level == "none"
