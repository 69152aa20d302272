"""Opening the screen: the only module of the command line that imports it, and only when it is opened."""

import os
import sys
from pathlib import Path

from cockpit.cli.corpora import restore_corpus
from cockpit.cli.errors import CommandError
from cockpit.cli.init import offer_template
from cockpit.cli.locate import DEMO, all_sessions, is_imported, refuse_imported, researched, session, session_repo
from cockpit.cli.making import new
from cockpit.session import lock, settings
from cockpit.session.paths import SessionFolder
from cockpit.session.setting_types import SettingsError
from cockpit.session.settings import ScreenSettings
from cockpit.session.user import record_shown

FRAMES_OVER_SSH = "15"
"""The highest frame rate over SSH, however fast keys repeat and the mouse scrolls."""


def open_session(name: str | None, repo: str | None, mouse: bool) -> int:
    """Open the screen on a session, which is made if there is none. Returns the exit status."""
    need_terminal("the screen")
    from cockpit.session import worker_process

    folder = existing(name, repo)
    if folder is not None:
        refuse_imported(folder)
    if folder is None and repo is None:
        offer_template()
    screen = screen_settings(session_repo(folder) if folder else str(researched(repo)))
    if folder is None:
        folder = new(name, repo, {})
    elif lock.worker_status(folder).state == "stopped":
        restore_corpus(folder)
        worker_process.start(folder)
    status = run_screen(folder, screen, mouse)
    if lock.worker_status(folder).state == "stopped":
        ways = f"`cockpit open {folder.name}` starts it again, `cockpit report {folder.name}` sums it up"
        print(f"Left session {folder.name}; its worker has stopped: {ways}.")
    else:
        ways = f"`cockpit` comes back to it, `cockpit stop {folder.name}` ends it"
        print(f"Left session {folder.name}; it continues in the background: {ways}.")
    return status


def run_screen(folder: SessionFolder, screen: ScreenSettings, mouse: bool) -> int:
    """Show a session until the person leaves, with the tour once in a person's life. Returns the exit status."""
    from cockpit.tui.app import run

    def wants_tour() -> bool:
        return not os.environ.get("CI") and record_shown("tour")

    return run(folder.root, mouse=mouse and screen.mouse, theme=screen.theme, bell=screen.bell, wants_tour=wants_tour)


def existing(name: str | None, repo: str | None) -> SessionFolder | None:
    """Return the named session, or the last one used on that repository; None if one must be made.

    A demo and an imported session are opened by name only.
    """
    if name or os.environ.get("COCKPIT_SESSION"):
        return session(name)
    found = (folder for folder in all_sessions() if not (folder.name.startswith(DEMO) or is_imported(folder)))
    if repo is None:
        return next(found, None)
    wanted = str(researched(repo))
    return next((folder for folder in found if session_repo(folder) == wanted), None)


def watch(name: str | None, mouse: bool) -> int:
    """Show a session read-only until the watcher leaves. Returns the exit status."""
    need_terminal("watch")
    from cockpit.tui.app import run

    folder = session(name)
    screen = screen_settings(session_repo(folder), watch=True)
    return run(folder.root, watch=True, mouse=mouse and screen.mouse, theme=screen.theme, bell=screen.bell)


def watch_by_web(name: str | None, host: str, port: int) -> int:
    """Serve the read-only screen to browsers until interrupted. Returns the exit status."""
    from cockpit.tui.web import serve

    return serve(session(name), host, port)


def replay(name: str | None, speed: float, mouse: bool) -> int:
    """Play a stored session until the person leaves. Returns the exit status."""
    need_terminal("replay")
    from cockpit.tui.app import replay

    folder = session(name)
    screen = screen_settings(session_repo(folder), watch=True)
    return replay(folder.root, speed, mouse=mouse and screen.mouse, theme=screen.theme)


def screen_settings(repo: str, watch: bool = False) -> ScreenSettings:
    """Return the screen's settings from the repository's cockpit.toml. Raises SettingsError or CommandError.

    A watcher gets the defaults if the file cannot be read or is wrong.
    """
    from cockpit.tui.theme import THEMES

    try:
        screen = settings.read_settings(Path(repo)).screen
        if screen.theme not in THEMES:
            raise CommandError(f"there is no theme {screen.theme!r}: set [screen] theme to one of {', '.join(THEMES)}")
    except (SettingsError, CommandError):
        if not watch:
            raise
        return ScreenSettings()
    return screen


def need_terminal(what: str) -> None:
    """Raise CommandError if there is no terminal to draw on."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(f"{what} needs a terminal: use `cockpit status --json` from a script, or `ssh -t`")
    if not sys.stderr.isatty():
        raise CommandError(f"{what} draws on standard error, which is not a terminal here: run it without `2>`")
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise CommandError(f"{what} cannot draw on this terminal (TERM={os.environ.get('TERM', '')!r}): set TERM")
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_FPS", FRAMES_OVER_SSH)  # read when Textual is loaded


def smallest_terminal() -> tuple[int, int]:
    """Return the columns and rows below which the screen shows nothing."""
    from cockpit.tui.screens.layout import SMALLEST

    return SMALLEST
