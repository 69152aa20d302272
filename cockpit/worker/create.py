"""Create a session: its folder, its ledger, and the baseline as its first proposal. Nothing runs yet."""

import difflib
import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cockpit.core.events import Event, Said, SessionCreated, Trouble
from cockpit.core.metric import DEFAULT_NAME, tells_direction
from cockpit.core.model import PROPOSERS, Envelope, FleetSpec, Mode, RunAccess, Session, Value
from cockpit.fleet.local import devices
from cockpit.fleet.secret_names import is_secret
from cockpit.fleet.sim.fleet import sim_spec
from cockpit.scoring.contract import UPSTREAM_ON_SKY, can_rescore, is_upstream
from cockpit.session import api_key
from cockpit.session.corpus import CPU_BUDGET_S, CUDA_BUDGET_S, has_sealed_shard, takes_corpus, upstream_sealed_shard
from cockpit.session.ledger import FOLDER_MODE, Ledger
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.metric_settings import metric_of
from cockpit.session.paths import SessionFolder, name_problem
from cockpit.session.reader import LedgerReader
from cockpit.session.research_settings import files_of, script_of, words_of
from cockpit.session.settings import Settings
from cockpit.session.snapshot import SNAPSHOT_MODE
from cockpit.session.user import user_name
from cockpit.variant.constants import find_constants
from cockpit.variant.inputs import Inputs
from cockpit.variant.store import Variant, VariantStore
from cockpit.worker.create_checks import check_local_modules, check_metric, check_score_command, check_start, is_val_bpb
from cockpit.worker.create_error import CreateError
from cockpit.worker.data_paths import data_paths
from cockpit.worker.import_roots import import_roots
from cockpit.worker.intake import baseline_wave
from cockpit.worker.knob_ranges import knob_ranges, knobs_note, preset_ranges
from cockpit.worker.links import InputError, find_links, input_notes, outside_data
from cockpit.worker.model_estimate import estimated
from cockpit.worker.prior import prior_events
from cockpit.worker.seating import check_seats, first_seat, seated
from cockpit.worker.seeds import seeded_baseline
from cockpit.worker.sky_session import CLUSTERS_AT_MOST, read_task_file, sky_fleet, task_taken

SIM_EPOCH = 1_772_000_000.0
"""The start of simulated sessions, so that the same night is simulated at any time."""
TIME_LIMIT_S = 600.0
SHELL_WORDS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"})
LEFT_AFTER_S = 60.0
"""A folder that a session was being made in is left over from a killed command after this."""


class Plan(msgspec.Struct, frozen=True):
    """The complete settings of a new session."""

    name: str
    repo: Path
    settings: Settings
    corpus: str = ""
    """The label of the prepared corpus."""
    python: str = ""
    """The Python of the repository's own environment; empty for Cockpit's."""
    speed: float = 1.0


def fleet_spec(settings: Settings, repo: Path, speed: float = 1.0) -> FleetSpec:
    """Return the fleet of a session with these settings. Raises CreateError for one that does not exist."""
    new = settings.session
    if not 0 <= new.clusters <= CLUSTERS_AT_MOST:
        raise CreateError(f"{new.clusters} clusters is invalid: expected 1 to {CLUSTERS_AT_MOST}")
    match new.fleet:
        case "local":
            try:
                slots = devices.slots(new.clusters, gpus_per_run(settings, repo))
            except ValueError as error:
                raise CreateError(f"{error}: change gpus_per_run or the command, or CUDA_VISIBLE_DEVICES") from None
            return FleetSpec("local", slots, screen_hardware=slots[0].hardware)
        case "sim":
            return sim_fleet(new.clusters or 16, new.seed, speed)
        case "sky":
            return sky_fleet(new, repo, settings.research.gpus_per_run)
    raise CreateError(f"there is no fleet {new.fleet!r}: choose local, sky or sim")


def gpus_per_run(settings: Settings, repo: Path) -> int:
    """Return the devices of one run: as set, as many as the command starts, or as the script says of itself."""
    research = settings.research
    if research.gpus_per_run or research.command:
        return research.gpus_per_run or devices.started_by(command_words("command", research.command))
    try:
        return devices.named_by((repo / script_of(research)).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return 1  # `check` says what is wrong with the file


def command_words(setting: str, command: str) -> tuple[str, ...]:
    """Return the words of a command. Raises CreateError for one that only a shell can read."""
    try:
        words = words_of(command)
    except ValueError as error:
        raise CreateError(f"[research] {setting}: {command!r} is not a command: {error}") from None
    if found := next((word for word in words if word in SHELL_WORDS), ""):
        raise CreateError(
            f"[research] {setting}: {found!r} is for a shell, and none starts it: write sh -c '{command}'"
        )
    return words


def sim_fleet(count: int, seed: int, speed: float) -> FleetSpec:
    """Return a simulated fleet, thirteen H100 to three H200 as in the published run."""
    better = round(count * 3 / 16)
    return sim_spec(count - better, better, speed, seed)


def check_place(folder: SessionFolder, repo: Path) -> None:
    """Raise the CreateError of a name that is taken or cannot be used."""
    if problem := name_problem(folder.name):
        raise CreateError(problem)
    if folder.ledger.exists() and not _is_leftover(folder):
        raise CreateError(f"there is a session {folder.name} already: open it with `cockpit open {folder.name}`")
    holds_its_repo = repo.resolve().is_relative_to(folder.root.resolve())
    if not folder.ledger.exists() and not holds_its_repo and folder.root.exists() and any(folder.root.iterdir()):
        raise CreateError(f"{folder.root} exists and is not a session: move it away, or name another session")


def check(folder: SessionFolder, repo: Path, settings: Settings) -> None:
    """Raise the CreateError or VariantError that `create` would. Nothing is written."""
    check_place(folder, repo)
    _mode(settings.session.mode)
    _check_proposer(settings.session.proposer)
    check_seats(settings)
    _check_prior(settings)
    check_start(settings)
    store = _store(folder.name, repo, settings)
    try:
        store.check_baseline()
        words = metric_of(settings.research).score_command
        check_score_command(store, repo, words)
    finally:
        store.close()


def create(folder: SessionFolder, plan: Plan, at: float) -> None:
    """Make the session. Raises CreateError, VariantError or LedgerError, and leaves nothing behind then."""
    check(folder, plan.repo, plan.settings)
    write_session(folder, _first_events(folder, plan, at))


def write_session(folder: SessionFolder, events: list[Event]) -> None:
    """Write a new session with these events. Raises CreateError or LedgerError, and leaves nothing behind then."""
    if not folder.root.parent.exists():
        folder.root.parent.mkdir(parents=True)
        folder.root.parent.chmod(FOLDER_MODE)
    aside = _aside(folder)
    try:
        ledger = Ledger.create(aside.ledger)
        _ignore_in_git(aside)
        ledger.append(events)
        ledger.sync()
        ledger.close()
        _move_into_place(aside, folder)
    except Exception:
        shutil.rmtree(aside.root, ignore_errors=True)
        raise


def _aside(folder: SessionFolder) -> SessionFolder:
    """Return the folder that the session is made in before it is renamed, and remove those of killed commands."""
    for left in folder.root.parent.glob(f".{folder.name}.new-*"):
        if time.time() - left.stat().st_mtime > LEFT_AFTER_S:
            shutil.rmtree(left, ignore_errors=True)
    return SessionFolder(folder.root.with_name(f".{folder.name}.new-{os.getpid()}"))


def _move_into_place(aside: SessionFolder, folder: SessionFolder) -> None:
    """Rename a finished session, which another command can have made meanwhile. Raises CreateError.

    A demo's folder holds its repository already: there the files move, the ledger, which makes it a session, last.
    """
    if folder.ledger.exists() and _is_leftover(folder):
        folder.root.rename(folder.root.with_name(f".{folder.name}.left-{time.time_ns() // 1_000_000}"))
    try:
        if folder.root.exists() and not folder.ledger.exists() and any(folder.root.iterdir()):
            for path in sorted(aside.root.iterdir(), key=lambda path: path.name == folder.ledger.name):
                path.rename(folder.root / path.name)
            folder.root.chmod(FOLDER_MODE)
            aside.root.rmdir()
        else:
            aside.root.rename(folder.root)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise CreateError(f"{folder.root} cannot be made: {error.strerror}") from error
        raise CreateError(
            f"there is a session {folder.name} already: open it with `cockpit open {folder.name}`"
        ) from None


def _is_leftover(folder: SessionFolder) -> bool:
    """Return whether the folder holds a ledger without an event, as a killed `new` of an older cockpit left it."""
    if folder.ledger.stat().st_size == 0:
        return True
    try:
        reader = LedgerReader(folder)
        try:
            return not reader.since(0, 1)
        finally:
            reader.close()
    except LedgerError:
        return False


def _first_events(folder: SessionFolder, plan: Plan, at: float) -> list[Event]:
    new = plan.settings.session
    spec = fleet_spec(plan.settings, plan.repo, plan.speed)
    mode = _mode(new.mode)
    metric = metric_of(plan.settings.research)
    check_metric(metric, spec)
    store = _store(plan.name, plan.repo, plan.settings)
    try:
        seeded = seeded_baseline(store, plan.settings.research.seed_by, at)
        variant, head = seeded.variant, store.head()
        texts, constants = store.texts(variant.commit), store.constants(variant.commit)
        links = _links(store, variant, plan, spec.kind == "local")
        inputs = store.inputs(variant.commit, words_of(plan.settings.research.command))
        plan = msgspec.structs.replace(plan, settings=with_outside_data(plan.settings, inputs, plan.repo))
        made = _session(plan, spec, head, texts, constants, links, at)
        session = msgspec.structs.replace(made, seed_by=seeded.taken_by)
        prior = prior_events(folder, session, store, texts, new.prior, at)
    finally:
        store.close()
    envelope = msgspec.convert(msgspec.structs.asdict(plan.settings.envelope), Envelope)
    return [
        SessionCreated(at=at, session=session, mode=mode, envelope=envelope),
        *task_taken(plan.repo, session, at),
        *_notes(plan, session, variant, at),
        *_input_notes(plan, inputs, session, at),
        *seeded.notes,
        *prior,
        *seated(plan.settings, plan.name, at),
        *estimated(session, mode, plan.settings, at),
        baseline_wave(variant, session, at),
    ]


def _store(name: str, repo: Path, settings: Settings) -> VariantStore:
    research = settings.research
    return VariantStore(repo, name, metric_of(research), files_of(research), research.protected)


def _session(
    plan: Plan,
    spec: FleetSpec,
    head: str,
    texts: Mapping[str, str],
    constants: dict[str, Value],
    links: dict[str, str],
    at: float,
) -> Session:
    new, first = plan.settings.session, first_seat(plan.settings)
    research = plan.settings.research
    files = files_of(research)
    script = script_of(research)
    preset = _preset(spec) if takes_corpus(plan.repo) else ""
    ranges = knob_ranges(texts, constants, research.knobs)
    budget_s = research.time_budget_s or _budget_s(spec, plan.repo)
    command = command_words("command", research.command) or own_command(_python(plan, spec), script)
    access = access_of(plan.settings, plan.repo, links, spec.kind == "sky")
    if spec.kind == "local":
        if not command:
            check_local_modules(script, texts.get(script, ""))
        roots = import_roots(plan.repo, command, _python(plan, spec))
        access = msgspec.structs.replace(access, import_roots=roots)
    return Session(
        name=plan.name,
        repo=str(plan.repo),
        commit=head,
        fleet=spec,
        created_at=at,
        created_by=user_name(),
        corpus=plan.corpus,
        preset=preset,
        metric=metric_of(research),
        time_budget_s=budget_s,
        time_limit_s=research.time_limit_s or max(TIME_LIMIT_S, 2 * budget_s),
        budget_usd=new.budget_usd,
        budget_hours=new.budget_hours,
        proposer=new.proposer or first or ("claude" if has_key(plan.settings) else "grid"),
        seed=new.seed,
        script=script,
        files=() if files == (script,) else files,
        protected=research.protected,
        run_command=command,
        constants=constants,
        ranges=preset_ranges(plan.repo, preset, constants) | ranges,
        early_stopping=new.early_stopping,
        id=f"s{secrets.token_hex(3)}" if spec.kind == "sky" else "",
        access=access,
        rescore=_rescore(plan, spec),
        data=data_paths(spec, plan.repo, research, links),
    )


def with_outside_data(settings: Settings, found: Inputs, repo: Path) -> Settings:
    """Return the settings with the data outside the repository, which the code names, among what a run may read."""
    if settings.session.fleet != "local":
        return settings
    research = settings.research
    more = [path for path in outside_data(found, research.env, repo) if path not in research.readable]
    return msgspec.structs.replace(
        settings, research=msgspec.structs.replace(research, readable=(*research.readable, *more))
    )


def _input_notes(plan: Plan, found: Inputs, session: Session, at: float) -> list[Event]:
    if session.fleet.kind != "local":
        return []
    research = plan.settings.research
    notes = input_notes(found, session.script, research.env, session.seed_by)
    if outside := [path for path in outside_data(found, research.env, plan.repo) if path in research.readable]:
        notes.append(f"Runs may read {', '.join(outside)}, which the code names and which lies outside the repository")
    return [Said(at=at, author="cockpit", text=note) for note in notes]


def _check_prior(settings: Settings) -> None:
    for name in settings.session.prior:
        if not Path(name).expanduser().is_file():
            raise CreateError(f"--prior: there is no file {name}")


def _notes(plan: Plan, session: Session, variant: Variant, at: float) -> list[Event]:
    """Tell the person what they should know before the first run."""
    notes: list[Event] = []
    if variant.note:
        notes.append(Trouble(at=at, text=variant.note))
    if session.rescore == "" and not session.metric.score_command and plan.settings.research.rescore != "off":
        notes.append(Said(at=at, author="cockpit", text=_scored_by_themselves(plan, session)))
    if session.metric.name != DEFAULT_NAME or session.metric.is_higher_better:
        text = f"The metric is {session.metric.name}, {session.metric.better}"
        if not plan.settings.research.direction and not tells_direction(session.metric.name):
            text += ", because its name tells no direction: --direction max changes that"
        notes.append(Said(at=at, author="cockpit", text=text))
    if session.fleet.kind == "sky":
        for word in read_task_file(plan.repo, session.fleet.infra).words:
            notes.append(Said(at=at, author="cockpit", text=f"experiment.yaml: {word}"))
    notes.append(knobs_note(session, at))
    if session.run_command and not plan.settings.research.command:
        notes.append(
            Said(at=at, author="cockpit", text=f"Runs use the repository's own Python, {session.run_command[0]}")
        )
    if session.access.links:
        names = ", ".join(session.access.links)
        notes.append(Said(at=at, author="cockpit", text=f"Runs read these paths, which git does not store: {names}"))
    if session.proposer == "grid" and not plan.settings.session.proposer:
        text = "No API key, so grid proposes. `cockpit doctor` says where Claude's key goes; then `:proposer claude`."
        notes.append(Said(at=at, author="cockpit", text=text))
    return notes


def _python(plan: Plan, spec: FleetSpec) -> str:
    """Return the Python of the repository's own environment: as planned, else that of its `.venv`."""
    python = plan.repo / ".venv" / "bin" / "python"
    return "" if spec.kind != "local" else plan.python or (str(python) if python.exists() else "")


def own_command(python: str, script: str) -> tuple[str, ...]:
    """Return the command that starts the script with the repository's own Python; empty where that is Cockpit's."""
    is_own = python and Path(python).parent.parent.resolve() != Path(sys.prefix).resolve()
    return (python, "-u", script) if is_own else ()


def _links(store: VariantStore, variant: Variant, plan: Plan, local: bool) -> dict[str, str]:
    """Return the links of a run's folder on this machine. Raises CreateError for an input that no run would have."""
    if local:
        try:
            research = plan.settings.research
            return find_links(store, variant.commit, plan.repo, research.links, words_of(research.command))
        except InputError as error:
            raise CreateError(str(error)) from None
    if large := store.large_files(variant.commit):
        raise CreateError(
            f"Git LFS stores {', '.join(sorted(large)[:3])}, and only runs on this machine get them: mount them with"
            " file_mounts in experiment.yaml, and remove them from the commit"
        )
    return {}


def access_of(settings: Settings, repo: Path, links: dict[str, str], on_clusters: bool) -> RunAccess:
    """Return the access of runs. A command of the person's own is confined only on the person's word: it may build an
    environment, download, or read files that no setting names."""
    research = settings.research
    confine = research.confine if research.confine is not None else not research.command
    readable = research.readable
    if not on_clusters:  # where a path is the node's own
        readable = tuple(str((repo / Path(path).expanduser()).resolve()) for path in readable)
    for name in research.env:
        if is_secret(name):
            raise CreateError(f"[research] env: {name} looks like a secret, and no secret reaches a run: remove it")
    return RunAccess(
        confine=confine,
        network=research.network,
        readable=(*readable, *links.values(), *(str(Path(target).resolve()) for target in links.values())),
        environment=research.env,
        links=links,
        artifacts=research.artifacts,
        artifacts_mb=research.artifacts_mb,
    )


def _rescore(plan: Plan, spec: FleetSpec) -> str:
    """Return which runs have their score computed outside them; empty where none can: the scores are their own word."""
    setting = plan.settings.research.rescore
    if setting == "off" or spec.simulated or plan.settings.research.command or not can_rescore(plan.repo):
        return ""
    if not is_val_bpb(metric_of(plan.settings.research)):
        return ""
    if spec.kind == "sky":  # the sealed shard lies on the clusters, where their set-up makes it
        return "" if is_upstream(plan.repo) else setting
    return setting if _has_sealed_shard(plan) else ""


def _has_sealed_shard(plan: Plan) -> bool:
    if not is_upstream(plan.repo):
        return has_sealed_shard(plan.corpus.partition(" ")[0])
    sealed = upstream_sealed_shard(plan.repo)
    return sealed is not None and sealed.exists()


def _scored_by_themselves(plan: Plan, session: Session) -> str:
    """Return why no score of the session is computed outside its run, in a sentence."""
    said = "runs are scored by themselves: "
    if session.fleet.simulated:
        return said + "they are simulated"
    if plan.settings.research.command:
        return said + f"a command of your own starts {session.script}"
    if not is_val_bpb(session.metric):
        return said + f"only {DEFAULT_NAME} of a saved model is computed outside its run"
    if not can_rescore(plan.repo):
        return said + "train.py has no save_model and load_model, or prepare.py no sealed_shard"
    if is_upstream(plan.repo) and session.fleet.kind == "sky":
        return said + UPSTREAM_ON_SKY
    if is_upstream(plan.repo):
        return f"{said}{upstream_sealed_shard(plan.repo) or 'a sealed shard'} is missing; another session fetches it"
    name = plan.corpus.partition(" ")[0]
    return (
        f"{said}the corpus {name} has no sealed shard; run `python prepare.py --corpus {name}` before another session"
    )


def has_key(settings: Settings) -> bool:
    """Tell if there is a key for Claude. Only the worker reads the key itself."""
    file = settings.agent.key_file
    return bool(api_key.held()) or (bool(file) and Path(file).expanduser().exists())


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


def _preset(spec: FleetSpec) -> str:
    """Return prepare.py's preset for the fleet's hardware; empty where the first run reports it."""
    if spec.kind == "local" and not spec.clusters[0].device:
        return "cpu-small"
    return "cuda" if spec.screen_hardware else ""


def _budget_s(spec: FleetSpec, repo: Path) -> float:
    if _preset(spec) == "cpu-small" and takes_corpus(repo):
        return CPU_BUDGET_S
    try:
        budget_s = find_constants((repo / "prepare.py").read_text(encoding="utf-8")).get("TIME_BUDGET")
    except Exception:
        budget_s = None
    return float(budget_s) if isinstance(budget_s, int | float) and budget_s > 0 else CUDA_BUDGET_S


def _ignore_in_git(session: SessionFolder) -> None:
    """Keep a session's files out of `git status`. The folder around it may be one that a person tracks."""
    path = session.root / ".gitignore"
    path.write_text("*\n", encoding="utf-8")
    path.chmod(SNAPSHOT_MODE)  # a watcher's group reads all but the ledger, the inbox and the locks
