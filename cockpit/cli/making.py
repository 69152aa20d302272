"""Making a session: its name, its settings, its corpus, its worker."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cockpit.cli import accepting
from cockpit.cli.accepting import Accepted
from cockpit.cli.corpora import ready_corpus
from cockpit.cli.errors import CommandError
from cockpit.cli.locate import all_sessions, researched, sessions_folder, state_of
from cockpit.session import settings
from cockpit.session.corpus import takes_corpus
from cockpit.session.paths import SessionFolder, name_problem
from cockpit.session.research_settings import files_of, script_of
from cockpit.session.settings import Settings

if TYPE_CHECKING:
    from cockpit.cli.guessing import Guesser

ANNOUNCED_FROM_BYTES = 200_000
"""Bytes of editable files from which reading them is announced: a thousand constants of a large file take a fifth of a
second."""


def new(
    name: str | None,
    repo: str | None,
    flags: Mapping[str, object],
    research: Mapping[str, object] = MappingProxyType({}),
    speed: float = 1.0,
    yes: bool = False,
) -> SessionFolder:
    """Make a session and start its worker. A setting that is left open is guessed, shown and asked; `yes` takes it.

    `flags` holds fields of NewSession, and `research` fields of ResearchSettings; None leaves a setting as configured.
    """
    from cockpit.create import checks, new_session
    from cockpit.create.fleet_spec import fleet_spec
    from cockpit.create.folder import check_place
    from cockpit.create.plan import Plan
    from cockpit.session import worker_process

    files = research.get("files")
    where = researched(repo, files[0] if isinstance(files, tuple) and files else "")
    configured = with_flags(settings.read_settings(where), flags, research)
    if name is not None and (problem := name_problem(name)):
        raise CommandError(problem)
    folder = SessionFolder(sessions_folder() / (name or free_name()))
    check_place(folder, where)  # before a trial run or a set-up, which take minutes
    checks.check_repository(folder.name, where)
    python, accepted = "", None
    if configured.session.fleet == "local":
        configured, python, accepted = _made_ready(where, configured, yes)
    spec = fleet_spec(configured, where, speed)
    _refuse_flags_without_effect(spec.kind, where, flags)
    _announce_size(where, configured)
    new_session.check(folder, where, configured)  # before the corpus, which takes minutes
    label = ready_corpus(where, configured, cpu=spec.clusters[0].hardware == "CPU") if spec.kind == "local" else ""
    plan = Plan(folder.name, where, configured, corpus=label, python=python, speed=speed)
    new_session.create(folder, plan, new_session.SIM_EPOCH if spec.simulated else time.time())
    worker_process.start(folder)
    if accepted is not None:
        accepting.write(where, accepted)
    return folder


def _announce_size(where: Path, configured: Settings) -> None:
    """Announce the reading of files that take more than a moment."""
    sizes = [path.stat().st_size for name in files_of(configured.research) if (path := where / name).is_file()]
    if sum(sizes) > ANNOUNCED_FROM_BYTES:
        said = f"reading the constants of {sum(sizes) / 1e6:.1f} MB of files that may be edited; ^C ends it"
        print(said, file=sys.stderr, flush=True)


class _Ready(NamedTuple):
    settings: Settings
    """With what was guessed."""
    python: str
    """That of the repository's own environment; empty for Cockpit's."""
    accepted: Accepted | None = None
    """The guess, where the person wants it in cockpit.toml."""


def _made_ready(where: Path, configured: Settings, yes: bool) -> _Ready:
    """Guess what is left open, make the repository's environment if needed, and try the code."""
    from cockpit.cli import guessing
    from cockpit.create import interpreter

    command = _setup_words(where, configured.research.setup)
    guesser = None
    if guessing.needs_guess(where, configured.research):
        guesser = guessing.Guesser(where, configured.research, yes)
        guesser.settle_start()
    setup = interpreter.setup_of(where, command, sessions_folder())
    own = interpreter.Interpreter()
    if not configured.research.command:
        script = guesser.guess.file.value if guesser else script_of(configured.research)
        own = interpreter.find_interpreter(where, setup.environment, script)
    for sentence in filter(None, (own.told, own.trouble)):
        print(sentence)
    if setup.command and not setup.is_done and (own.python or command):
        from cockpit.cli import trying  # loads the fleet

        if not command:
            trying.confirm_setup(setup, where, yes)
        trying.make_ready(setup, where)
    return _Ready(configured, own.python) if guesser is None else _tried(where, configured, guesser, own.python)


def _setup_words(where: Path, setup: str) -> tuple[str, ...]:
    """Return the words of the set-up. Raises CreateError for one that cannot be started."""
    from cockpit.create.command import command_words
    from cockpit.create.programs import check_program
    from cockpit.variant.store import VariantStore  # loads git

    words = command_words("setup", setup)
    if words:
        with closing(VariantStore(where, "setup")) as store:
            check_program("setup", words, where, store)
    return words


def _tried(where: Path, configured: Settings, guesser: "Guesser", python: str) -> _Ready:
    """Run the code for a moment, take the metric from its output, and offer the guess for cockpit.toml."""
    from cockpit.cli import trying
    from cockpit.create.fleet_spec import fleet_spec

    research = guesser.settings(python)
    tried = msgspec.structs.replace(configured, research=research)
    names = guesser.metrics_to_look_for()
    found = trying.trial(where, tried, fleet_spec(tried, where), python, names, sessions_folder())
    if not names and not found.failed:
        found = found._replace(values=guesser.read_output(found.tail))
    trying.tell_trial(found, research, names)
    trying.check_trial(found, research, guesser.asks)
    guesser.settle_metric(found.values)
    taken = guesser.settings(python)
    if not names:
        trying.check_reading(found, taken)
    accepted = accepting.accepted(where, taken, guesser.evidence())
    wanted = accepting.offer(accepted, guesser.asks)
    return _Ready(msgspec.structs.replace(configured, research=taken), python, accepted if wanted else None)


def with_flags(
    configured: Settings, flags: Mapping[str, object], research: Mapping[str, object] = MappingProxyType({})
) -> Settings:
    """Return the settings with the given flags in place of [session] and [research]."""
    return msgspec.structs.replace(
        configured,
        session=msgspec.structs.replace(configured.session, **_given(flags)),
        research=msgspec.structs.replace(configured.research, **_given(research)),
    )


def _given(flags: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in flags.items() if value is not None}


def _refuse_flags_without_effect(fleet: str, repo: Path, flags: Mapping[str, object]) -> None:
    """Raise CommandError for a flag that this fleet or this repository would ignore."""
    for name in ("hardware", "infra"):
        if fleet != "sky" and flags.get(name):
            raise CommandError(f"--{name} is for SkyPilot, and the fleet is {fleet}: give --fleet sky with it")
    if fleet != "local" and flags.get("corpus"):
        where = "set COCKPIT_CORPUS in experiment.yaml" if fleet == "sky" else "a simulation has no corpus"
        raise CommandError(f"--corpus is for runs on this machine, and the fleet is {fleet}: {where}")
    if flags.get("corpus") and not takes_corpus(repo):
        raise CommandError("--corpus has no effect here: this repository prepares its own data; leave it out")


def free_name() -> str:
    """Return today's date, with a number if a session has that name."""
    day = datetime.now().strftime("%b%d").lower()
    taken = {folder.name for folder in all_sessions()}
    return next(name for name in [day, *(f"{day}-{n}" for n in range(2, 10_000))] if name not in taken)


def understood(folder: SessionFolder) -> list[str]:
    """Return the sentences on how the session will be run, as `cockpit new` prints them."""
    return [
        message.text for message in state_of(folder).messages if message.kind == "say" and message.author == "cockpit"
    ]


def estimate_sentences(folder: SessionFolder) -> Sequence[str]:
    """Return what the built-in researcher is estimated to cost; nothing if another proposer begins."""
    from cockpit.create.model_estimate import estimate_sentences

    state = state_of(folder)
    return estimate_sentences(state.session, state.mode, settings.read_settings(Path(state.session.repo)))


def notes(folder: SessionFolder) -> list[str]:
    """Return the troubles found when the session was made, such as a checkout with uncommitted changes."""
    return [message.text for message in state_of(folder).messages if message.kind == "trouble"]
