"""`cockpit demo`: a simulated night on sixteen clusters, on a repository in the session's own folder."""

import os
import shutil
import subprocess
import textwrap
import time
from pathlib import Path

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import DEMO, repository, sessions_folder, state_of
from cockpit.cli.making import with_flags
from cockpit.cli.screen import need_terminal, run_screen, screen_settings
from cockpit.report.verdict import verdict
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import EnvelopeSettings, Settings
from cockpit.session.template import DEFAULT_TEMPLATE, TEMPLATES

DEMO_USD = 1_000.0
"""Simulated dollars: a night of sixteen clusters takes about 300."""


AS_COCKPIT = (
    "-c", "user.name=cockpit", "-c", "user.email=cockpit@localhost",
    "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null",
)  # fmt: skip
"""The author of the demo's commit; the person's name, signature and hooks stay out of it."""


def demo(speed: float, clusters: int, mouse: bool) -> int:
    """Play the night until the person leaves, then stop its worker; the session is kept. Returns the exit status."""
    need_terminal("demo")
    from cockpit.create import new_session
    from cockpit.create.plan import Plan
    from cockpit.session import worker_process

    own = demonstrated()
    screen = screen_settings(str(own))
    folder = new_folder()
    flags: dict[str, object] = {
        "fleet": "sim", "clusters": clusters, "mode": "autopilot", "proposer": "grid", "budget_hours": 8.0,
    }  # fmt: skip
    settings = with_flags(Settings(envelope=EnvelopeSettings(usd=DEMO_USD)), flags)
    repo = copy_of(own, folder.root / "repo")
    new_session.create(folder, Plan(folder.name, repo, settings, speed=speed), new_session.SIM_EPOCH)
    worker_process.start(folder)
    try:
        status = run_screen(folder, screen, mouse)
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    kept = f"the simulated night is kept as session {folder.name}: `cockpit report {folder.name}` sums it up"
    columns = shutil.get_terminal_size().columns
    for sentence in (verdict(state, state.now), kept):
        print(textwrap.fill(sentence, columns, break_long_words=False, break_on_hyphens=False))
    return status


def new_folder() -> SessionFolder:
    """Make the folder of a demo, named after the time; with a number where another has begun in the same second."""
    stem = time.strftime(f"{DEMO}%H%M%S")
    folder, number = SessionFolder(sessions_folder() / stem), 1
    while True:
        try:
            folder.root.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = SessionFolder(folder.root.with_name(f"{stem}-{number}"))


def demonstrated() -> Path:
    """Return the repository here; the template that `cockpit init` lays if there is none."""
    try:
        return repository(None)
    except CommandError:
        return TEMPLATES / DEFAULT_TEMPLATE


def copy_of(repo: Path, to: Path) -> Path:
    """Make a new git repository with the train.py and prepare.py of `repo`, so that a demo leaves no refs there."""
    to.mkdir(parents=True)
    for name in ("train.py", "prepare.py"):
        if (repo / name).is_file():
            shutil.copy(repo / name, to / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "ANTHROPIC_"))}
    for words in (["init", "-q"], ["add", "."], [*AS_COCKPIT, "commit", "-q", "-m", "The code of the demo"]):
        subprocess.run(["git", *words], cwd=to, check=True, capture_output=True, env=environment)
    return to
