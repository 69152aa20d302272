"""Making, opening, listing and ending sessions."""

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from cockpit.cli.init import offer_template
from cockpit.cli.locate import DEMO, CommandError, all_sessions, repository, session, sessions_folder, state_of
from cockpit.core.events import SessionCreated
from cockpit.core.model import Session
from cockpit.session import corpus, lock, settings
from cockpit.session.paths import SessionFolder, name_problem
from cockpit.session.reader import LedgerReader
from cockpit.session.settings import NewSession, ScreenSettings, Settings
from cockpit.session.sqlite_file import LedgerError

STDLIB, CLIMBMIX = "stdlib", "climbmix"
BAR_CELLS = 20
FRAMES_OVER_SSH = "15"
"""The most a second, however fast keys repeat and the mouse scrolls."""


def new(name: str | None, repo: str | None, flags: dict[str, object], speed: float = 1.0) -> SessionFolder:
    """Make a session and start its worker. `flags` are fields of NewSession that were given."""
    from cockpit.session import worker_process
    from cockpit.worker import create

    where = repository(repo)
    configured = settings.read_settings(where)
    configured = with_flags(configured, flags)
    if name is not None and (problem := name_problem(name)):
        raise CommandError(problem)
    folder = SessionFolder(sessions_folder() / (name or free_name()))
    spec = create.fleet_spec(configured, where, speed)
    _refuse_what_is_not_for(spec.kind, flags)
    create.check(folder, where, configured)  # before a corpus takes its time
    label = ready_corpus(where, configured, cpu=spec.clusters[0].hardware == "CPU") if spec.kind == "local" else ""
    plan = create.Plan(folder.name, where, configured, corpus=label, speed=speed)
    create.create(folder, plan, create.SIM_EPOCH if spec.simulated else time.time())
    worker_process.start(folder)
    return folder


def with_flags(configured: Settings, flags: dict[str, object]) -> Settings:
    given = {key: value for key, value in flags.items() if value is not None}
    made: NewSession = msgspec.structs.replace(configured.session, **given)
    return msgspec.structs.replace(configured, session=made)


def _refuse_what_is_not_for(fleet: str, flags: dict[str, object]) -> None:
    """A flag that would be passed over in silence is not what was asked for. Raises CommandError."""
    for name in ("hardware", "infra"):
        if fleet != "sky" and flags.get(name):
            raise CommandError(f"--{name} is for SkyPilot, and the fleet is {fleet}: give --fleet sky with it")
    if fleet != "local" and flags.get("corpus"):
        where = "set COCKPIT_CORPUS in experiment.yaml" if fleet == "sky" else "a simulation trains on none"
        raise CommandError(f"--corpus is for runs on this machine, and the fleet is {fleet}: {where}")


def free_name() -> str:
    """Today's date, numbered where it is taken."""
    day = datetime.now().strftime("%b%d").lower()
    taken = {folder.name for folder in all_sessions()}
    return next(name for name in [day, *(f"{day}-{n}" for n in range(2, 10_000))] if name not in taken)


def ready_corpus(repo: Path, configured: Settings, cpu: bool) -> str:
    """The label of the corpus a local session trains on, prepared now where it is not. Raises CorpusProblem."""
    if not corpus.takes_corpus(repo):
        return ""
    wanted = configured.session.corpus or (STDLIB if cpu else CLIMBMIX)
    if wanted not in (STDLIB, CLIMBMIX):
        raise CommandError(f"there is no corpus {wanted!r}: choose {CLIMBMIX} or {STDLIB}")
    return _prepared(repo, wanted)


def _prepared(repo: Path, wanted: str) -> str:
    found = corpus.prepared_corpus(wanted)
    if found is None:
        show_progress(f"preparing the corpus {wanted}", corpus.run_prepare(repo, wanted))
        found = corpus.prepared_corpus(wanted)
    if found is None:
        raise CommandError(f"the corpus {wanted} is not whole: remove {corpus.data_folder() / wanted} and try again")
    return found.label


def restore_corpus(folder: SessionFolder) -> None:
    """Prepare what a session on this machine trains on anew where it is gone or torn. Raises what preparing raises.

    The same text gives the same corpus. Where it does not, the worker starts no run on it.
    """
    found = as_set_up(folder)
    if found is not None and found.fleet.kind == "local" and found.corpus:
        _prepared(Path(found.repo), found.corpus.partition(" ")[0])


def show_progress(title: str, steps: Iterator[tuple[int, str]]) -> None:
    """A progress bar on a terminal, a line a step elsewhere."""
    if not sys.stderr.isatty():
        for percent, doing in steps:
            print(f"{title}: {percent}% {doing}", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=BAR_CELLS),
        TextColumn("{task.percentage:>3.0f}%", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[doing]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=console, expand=True) as progress:
        task = progress.add_task(title, total=100, doing="")
        for percent, doing in steps:
            progress.update(task, completed=percent, doing=doing)
        progress.update(task, completed=100, doing="ready")


def open_session(name: str | None, repo: str | None, mouse: bool) -> int:
    """The cockpit on the current session, or on a new one where there is none. Returns the exit status."""
    need_terminal("cockpit")
    from cockpit.session import worker_process

    folder = existing(name, repo)
    if folder is None and repo is None:
        offer_template()
    screen = screen_settings(session_repo(folder) if folder else str(repository(repo)))
    if folder is None:
        folder = new(name, repo, {})
    elif lock.worker_status(folder).state == "stopped":
        restore_corpus(folder)
        worker_process.start(folder)
    from cockpit.tui.app import run

    status = run(folder.root, mouse=mouse and screen.mouse, theme=screen.theme, bell=screen.bell)
    if lock.worker_status(folder).state == "stopped":
        ways = f"`cockpit open {folder.name}` starts it again, `cockpit report {folder.name}` sums it up"
        print(f"Left session {folder.name}; its worker has stopped: {ways}.")
    else:
        ends = f"`cockpit` comes back to it, `cockpit stop {folder.name}` ends it"
        print(f"Left session {folder.name}; it goes on in the background: {ends}.")
    return status


def screen_settings(repo: str, watch: bool = False) -> ScreenSettings:
    """How the screen is wanted, by the repository's cockpit.toml. A watcher who may not read that, or finds it broken,
    looks all the same. Raises SettingsError or CommandError."""
    from cockpit.tui.theme import THEMES

    try:
        screen = settings.read_settings(Path(repo)).screen
        if screen.theme not in THEMES:
            raise CommandError(f"there is no theme {screen.theme!r}: set [screen] theme to one of {', '.join(THEMES)}")
    except (settings.SettingsError, CommandError):
        if not watch:
            raise
        return ScreenSettings()
    return screen


def existing(name: str | None, repo: str | None) -> SessionFolder | None:
    """The session that was asked for, or the one used last on that repository; None where one is to be made. A demo is
    nobody's research: it is opened by name."""
    if name or os.environ.get("COCKPIT_SESSION"):
        return session(name)
    found = [folder for folder in all_sessions() if not folder.name.startswith(DEMO)]
    if repo is None:
        return next(iter(found), None)
    wanted = str(repository(repo))
    return next((folder for folder in found if session_repo(folder) == wanted), None)


def as_set_up(folder: SessionFolder) -> Session | None:
    """The session as it was set up: the rest of a long ledger need not be read for that."""
    ledger = LedgerReader(folder)
    try:
        first = ledger.since(0, 1)
    finally:
        ledger.close()
    return first[0].session if first and isinstance(first[0], SessionCreated) else None


def session_repo(folder: SessionFolder) -> str:
    """What the session researches."""
    found = as_set_up(folder)
    return found.repo if found is not None else ""


def notes(folder: SessionFolder) -> list[str]:
    """What a person should know about a session from its start, such as a checkout with uncommitted changes."""
    return [message.text for message in state_of(folder).messages if message.kind == "trouble"]


def watch(name: str | None, mouse: bool) -> int:
    need_terminal("cockpit watch")
    from cockpit.tui.app import run

    folder = session(name)
    screen = screen_settings(session_repo(folder), watch=True)
    return run(folder.root, watch=True, mouse=mouse and screen.mouse, theme=screen.theme, bell=screen.bell)


def watch_by_web(name: str | None, host: str, port: int) -> int:
    """Serve the read-only screen to browsers until interrupted. Returns the exit status."""
    from cockpit.tui.web import serve

    return serve(session(name), host, port)


def replay(name: str | None, speed: float, mouse: bool) -> int:
    need_terminal("cockpit replay")
    from cockpit.tui.app import replay

    folder = session(name)
    screen = screen_settings(session_repo(folder), watch=True)
    return replay(folder.root, speed, mouse=mouse and screen.mouse, theme=screen.theme)


def need_terminal(command: str) -> None:
    """Raises CommandError where there is no terminal to draw on."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(f"{command} needs a terminal: use `cockpit status --json` from a script, or `ssh -t`")
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise CommandError(f"{command} cannot draw on this terminal (TERM={os.environ.get('TERM', '')!r}): set TERM")
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_FPS", FRAMES_OVER_SSH)  # read when Textual is loaded


def print_list(as_json: bool) -> None:
    """The sessions here, the newest used first: a line or an object each."""
    listed = [_listed(folder) for folder in all_sessions()]
    if as_json:
        print(json.dumps(listed, indent=2))
        return
    if not listed:
        print(f"no session in {sessions_folder()} yet: `cockpit` makes one")
    for one in listed:
        if one["trouble"]:
            print(f"{one['session']:<16} {one['trouble']}")
            continue
        fleet = f"{one['fleet']} x{one['clusters']}"
        count = f"{one['experiments']:>6} experiments"
        simulated = "  SIMULATED" * bool(one["simulated"])
        print(f"{one['session']:<16} {fleet:<10} {one['mode']:<10} {one['worker']:<8} {count}{simulated}")


def _listed(folder: SessionFolder) -> dict[str, object]:

    row: dict[str, object] = {"session": folder.name, "folder": str(folder.root), "trouble": ""}
    try:
        state = state_of(folder)
    except LedgerError as error:
        return row | {"trouble": str(error)}
    found = state.session
    return row | {
        "fleet": found.fleet.kind if found else "?",
        "clusters": len(state.clusters),
        "mode": str(state.mode),
        "worker": lock.worker_status(folder).state,
        "experiments": len(state.experiments),
        "simulated": bool(found and found.fleet.simulated),
    }
