"""Create a session: its folder, its ledger, and the baseline as its first proposal. Nothing runs yet."""

import difflib
from pathlib import Path

import msgspec

from cockpit.core.events import Event, SessionCreated
from cockpit.core.model import PROPOSERS, Envelope, Mode
from cockpit.create.access import with_outside_data
from cockpit.create.agents import check_agents, proposer_events
from cockpit.create.baseline_wave import baseline_wave
from cockpit.create.checks import (
    check_command,
    check_limits,
    check_metric,
    check_score_command,
    check_start,
)
from cockpit.create.command import command_words, is_python
from cockpit.create.error import CreateError
from cockpit.create.fleet_spec import fleet_spec
from cockpit.create.folder import check_place, write_session
from cockpit.create.links import InputError, check_links, find_links
from cockpit.create.model_estimate import estimated
from cockpit.create.notes import budget_notes, input_notes_of, notes_of
from cockpit.create.plan import Plan
from cockpit.create.prior import prior_events
from cockpit.create.programs import check_program
from cockpit.create.record import session_record
from cockpit.create.seeds import seeded_baseline
from cockpit.create.sky_session import task_taken
from cockpit.create.time_budget import OwnBudget, check_time_budget, own_budget
from cockpit.session.metric_settings import metric_of
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import files_of, words_of
from cockpit.session.settings import Settings
from cockpit.variant.store import Variant, VariantStore

SIM_EPOCH = 1_772_000_000.0
"""The start of simulated sessions, so that the same night is simulated at any time."""


def check(folder: SessionFolder, repo: Path, settings: Settings) -> None:
    """Raise the CreateError or VariantError that `create` would. Nothing is written."""
    check_place(folder, repo)
    _mode(settings.session.mode)
    _check_proposer(settings.session.proposer)
    check_agents(settings)
    _check_prior(settings)
    check_start(settings)
    check_limits(settings)
    store = _store(folder.name, repo, settings)
    try:
        store.check_baseline()
        research = settings.research
        _check_commands(store, repo, settings)
        if settings.session.fleet != "sim":  # where the setting alone decides the length of a run
            check_time_budget(research.time_budget_s, _own_budget(store, store.head(), repo, settings))
    finally:
        store.close()


def _check_commands(store: VariantStore, repo: Path, settings: Settings) -> None:
    """Refuse commands that a run could not start, or that experiments could change."""
    research = settings.research
    words = command_words("command", research.command)
    linked = (*research.links, *store.inputs(store.head(), words).data)
    check_command("command", store, words, research.links)
    check_program("command", words, repo, store, linked)
    scorer = command_words("score_command", research.score_command)
    check_score_command(store, repo, scorer)
    check_command("score_command", store, scorer, research.links)
    is_of_runs = scorer[:1] in (("python",), ("python3",)) and (not words or is_python(words[0]))
    if not is_of_runs:  # else it is started by the Python of the runs
        check_program("score_command", scorer, repo, store, linked)


def create(folder: SessionFolder, plan: Plan, at: float) -> None:
    """Make the session. Raises CreateError, VariantError or LedgerError, and leaves nothing behind then."""
    check(folder, plan.repo, plan.settings)
    write_session(folder, _first_events(folder, plan, at))


def _first_events(folder: SessionFolder, plan: Plan, at: float) -> list[Event]:
    new = plan.settings.session
    spec = fleet_spec(plan.settings, plan.repo, plan.speed)
    mode = _mode(new.mode)
    metric = metric_of(plan.settings.research)
    check_metric(metric, spec)
    store = _store(plan.name, plan.repo, plan.settings)
    try:
        words = words_of(plan.settings.research.command)
        seeded = seeded_baseline(store, plan.settings.research.seed_by, at, words)
        variant, head = seeded.variant, store.head()
        texts, constants = store.texts(variant.commit), store.constants(variant.commit)
        links = _links(store, variant, plan, spec.kind == "local")
        inputs = store.inputs(variant.commit, words)
        plan = msgspec.structs.replace(plan, settings=with_outside_data(plan.settings, inputs, plan.repo))
        budget = _own_budget(store, variant.commit, plan.repo, plan.settings)
        made = session_record(plan, spec, head, texts, constants, links, budget, at)
        session = msgspec.structs.replace(made, seed_by=seeded.taken_by)
        prior = prior_events(folder, session, store, texts, new.prior, at)
    finally:
        store.close()
    envelope = msgspec.convert(msgspec.structs.asdict(plan.settings.envelope), Envelope)
    return [
        SessionCreated(at=at, session=session, mode=mode, envelope=envelope),
        *task_taken(plan.repo, session, at),
        *notes_of(plan, session, variant, at),
        *budget_notes(plan, budget, at),
        *input_notes_of(plan, inputs, session, at),
        *seeded.notes,
        *prior,
        *proposer_events(plan.settings, plan.name, at),
        *estimated(session, mode, plan.settings, at),
        baseline_wave(variant, session, at),
    ]


def _store(name: str, repo: Path, settings: Settings) -> VariantStore:
    research = settings.research
    return VariantStore(repo, name, metric_of(research), files_of(research), research.protected)


def _own_budget(store: VariantStore, commit: str, repo: Path, settings: Settings) -> OwnBudget:
    return own_budget(store, commit, repo, words_of(settings.research.command))


def _links(store: VariantStore, variant: Variant, plan: Plan, local: bool) -> dict[str, str]:
    """Return the links of a run's folder on this machine. Raises CreateError for an input that no run would have."""
    if local:
        try:
            research = plan.settings.research
            check_links(store, plan.repo, research.links)
            return find_links(store, variant.commit, plan.repo, research.links, words_of(research.command))
        except InputError as error:
            raise CreateError(str(error)) from None
    if large := store.large_files(variant.commit):
        raise CreateError(
            f"Git LFS stores {', '.join(sorted(large)[:3])}, and only runs on this machine get them: mount them with"
            " file_mounts in experiment.yaml, and remove them from the commit"
        )
    return {}


def _check_prior(settings: Settings) -> None:
    for name in settings.session.prior:
        if not Path(name).expanduser().is_file():
            raise CreateError(f"--prior: there is no file {name}")


def _check_proposer(name: str) -> None:
    """Refuse a slip in the name of one of cockpit's own proposers; any other name is an agent's from outside."""
    near = difflib.get_close_matches(name, PROPOSERS, 1, cutoff=0.75)
    if name and name not in PROPOSERS and near:
        raise CreateError(f"there is no proposer {name!r}: did you mean {near[0]}?")


def _mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        raise CreateError(f"there is no mode {name!r}: choose manual, copilot or autopilot") from None
