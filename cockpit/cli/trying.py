"""The trial run and the set-up that `cockpit new` makes before the session, with their progress on the terminal."""

import os
import re
import shlex
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from cockpit.cli.confirm import confirm
from cockpit.cli.errors import CommandError
from cockpit.core.session import FleetSpec
from cockpit.create.access import access_of, is_confined, with_outside_data
from cockpit.create.command import command_words, own_command
from cockpit.create.import_roots import import_roots
from cockpit.create.interpreter import Setup, run_setup
from cockpit.create.programs import check_program
from cockpit.create.trial_run import TRIAL_S, Trial, TrialJob, try_run
from cockpit.fleet.run_log import RunLog
from cockpit.report.results import clean
from cockpit.session.metric_settings import metric_of
from cockpit.session.research_settings import ResearchSettings, files_of, script_of
from cockpit.session.settings import Settings
from cockpit.variant.guess.printed_output import names_in_output
from cockpit.variant.store import VariantStore

NAMES_SHOWN = 6
_NO_FILE = re.compile(r"FileNotFoundError|No such file or directory")
_NO_MODULE = re.compile(r"(?:ModuleNotFound|Import)Error: (?:No module named|cannot import)")


def confirm_setup(setup: Setup, repo: Path, yes: bool) -> None:
    """Ask before an environment is made that the person has not asked for. Raises CommandError."""
    packages = (repo / "uv.lock").read_text(encoding="utf-8", errors="replace").count("[[package]]")
    confirm(
        f"runs need the environment of uv.lock: `{shlex.join(setup.command)}` downloads and installs up to {packages}"
        f" packages into {setup.environment}, once on this machine; a .venv in {repo} is used instead where it exists",
        yes,
    )


def make_ready(setup: Setup, repo: Path) -> None:
    """Run the set-up, and print its output. Raises SetupError."""
    print(f"setup, once on this machine: {shlex.join(setup.command)}", file=sys.stderr, flush=True)
    store = VariantStore(repo, "setup")
    try:
        run_setup(setup, repo, store, lambda line: print(f"  {clean(line)}", file=sys.stderr, flush=True))
    finally:
        store.close()


def trial(repo: Path, configured: Settings, spec: FleetSpec, python: str, names: list[str], sessions: Path) -> Trial:
    """Run the code for a short time, and show the progress. Raises CreateError for a program that is not there."""
    research = configured.research
    words = command_words("command", research.command) or own_command(python, script_of(research))
    with closing(VariantStore(repo, "trial", files=files_of(research))) as store:
        inputs = store.inputs(store.head(), words)
        check_program("command", words, repo, store, (*research.links, *inputs.data))
        configured = with_outside_data(configured, inputs, repo)
    access = access_of(configured, repo, {}, on_clusters=False)
    access = msgspec.structs.replace(access, import_roots=import_roots(repo, words, python))
    job = TrialJob(
        repo, words, script_of(research), spec.clusters[0], access,
        {"SEED": str(configured.session.seed)}, research.links,
    )  # fmt: skip
    metrics = [metric_of(msgspec.structs.replace(research, metric=name, constraints=())) for name in names]
    store = VariantStore(repo, "trial", files=files_of(research))
    show = sys.stderr.isatty()
    if not show:
        print(f"{'trial':<10} a run of {TRIAL_S:.0f} s at most", flush=True)

    def heard(seconds: float, lines: int) -> None:
        if show:
            shown = f"trial run: {seconds:.0f} s of {TRIAL_S:.0f} at most, {lines} lines; ^C ends it"
            print(f"\r{shown}\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        return try_run(store, sessions / f".trial-{os.getpid()}", job, metrics, heard)
    finally:
        store.close()
        if show:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def tell_trial(found: Trial, research: ResearchSettings, names: list[str]) -> None:
    """Print what the trial run showed."""
    ended = f"ended with exit code {found.exit_code}" if found.reason == "exited" else f"was ended ({found.reason})"
    ended = f"could not be started: {found.message}" if found.reason == "refused" else ended
    if found.values:
        values = ", ".join(f"{clean(name)} {clean(word)}" for name, word in found.values.items())
        print(f"{'trial':<10} it printed {values} within {found.seconds:.0f} s")
        return
    missing = " or ".join(map(clean, names)) or "a metric"
    print(f"{'trial':<10} {found.seconds:.0f} s without {missing}; it {ended}. Its last lines:")
    for line in found.last_lines:
        print(f"{'':<12}{clean(line)[:200]}")


def check_trial(found: Trial, research: ResearchSettings, asks: bool) -> None:
    """Refuse a session whose code fails, or has ended without its metric; a person at a terminal may insist."""
    is_silent = found.reason == "exited" and not found.values
    if not found.failed and not found.question and not is_silent:
        return
    why = problem(found)
    if asks and input(f"{why}. Make the session all the same? [y/N] ").strip().lower() in ("y", "yes"):
        return
    if found.question and not found.failed:
        raise CommandError(f"nothing was made: {why}")
    names = ", ".join(map(clean, [*names_in_output(found.tail)][:NAMES_SHOWN]))
    named = f" (it printed {names})" if names else ""
    remedy = f"--metric NAME{named}, --pattern REGEX, or --score-command WORDS for what it leaves"
    remedy = "--command WORDS" if found.failed else remedy
    if found.failed and found.absent_submodules:
        absent = ", ".join(map(clean, found.absent_submodules[:NAMES_SHOWN]))
        raise CommandError(
            f"nothing was made: {why}; not checked out: the submodule {absent}; `git submodule update --init"
            " --recursive` brings it"
        )
    if _NO_MODULE.search(why):
        raise CommandError(
            f"nothing was made: {why}; activate the environment that has it, make that the repository's .venv, or give"
            " --command with its Python"
        )
    if found.failed and _NO_FILE.search(why):
        raise CommandError(
            f"nothing was made: {why}; make the file as the repository tells, or give --readable PATH for data outside"
            " it, or --command WORDS"
        )
    wall = ", --network or --no-confine if the wall is in its way" if found.failed and is_confined(research) else ""
    raise CommandError(f"nothing was made: {why}; give {remedy}{wall}")


def check_reading(found: Trial, research: ResearchSettings) -> None:
    """Refuse a metric that was found in the output, and whose values there leave open which one it is."""
    metric = metric_of(research)
    log = RunLog(metric)
    log.feed(found.tail.encode(), 0.0)
    log.finish(0.0)
    if question := log.values.question(metric.name):
        raise CommandError(f"nothing was made: the trial run ended well, and {clean(question)}")


def problem(found: Trial) -> str:
    """Word why a trial run shows that a session would fail."""
    last = clean(found.last_lines[-1])[:200] if found.last_lines else "it printed nothing"
    if found.reason == "refused":
        return f"the trial run could not be started ({clean(found.message)})"
    if found.failed:
        return f"the trial run ended with exit code {found.exit_code}: {clean(found.message) or last}"
    if found.question:
        how = "the trial run ended well, and" if found.reason == "exited" else "in the trial run"
        return f"{how} {clean(found.question)}"
    return f"the trial run ended well and printed no metric; its last line: {last}"
