"""Make an ended, read-only session from a table of trials, with notes on the facts that the table lacks.

Each trial is an experiment against the first one with a score, or one more run of an experiment with the same code.
They follow one another on one cluster for each class.
"""

from collections.abc import Iterator
from pathlib import Path

from cockpit.audit.claims import AuditError
from cockpit.audit.results_tsv import KEEP
from cockpit.audit.trials import Night, Trial
from cockpit.core.cluster_events import ClusterDown, ClusterUp, Launching
from cockpit.core.events import (
    Approved,
    Decided,
    Ended,
    Event,
    IncumbentSet,
    Proposed,
    Queued,
    Said,
    SessionCreated,
    SessionEnded,
    SessionEnding,
    Started,
    Submitted,
    Submitting,
)
from cockpit.core.metric import Metric
from cockpit.core.model import (
    IMPORTED,
    Attempt,
    AttemptKind,
    Change,
    EndMode,
    Envelope,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Wave,
    WaveKind,
)
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.create.error import CreateError
from cockpit.create.folder import write_session
from cockpit.session.paths import SessionFolder, name_problem
from cockpit.session.user import user_name

UNKNOWN_CLASS = "class unknown"
UNKNOWN_S = 300.0
"""The seconds of a trial where the table lacks them."""
AUTHOR = "import"
BEST_SO_FAR = "the best so far in the table, by its own word: imported, unchecked"
KEPT_THERE = "kept in the table: imported, unchecked"
NOT_BEST = "not the best so far in the table"


def import_session(folder: SessionFolder, night: Night, source: Path, metric: Metric, hardware: str, at: float) -> None:
    """Make the session. It ends at `at`. Raises CreateError or LedgerError, and leaves nothing behind then."""
    if problem := name_problem(folder.name):
        raise CreateError(problem)
    if folder.root.exists():
        raise CreateError(f"{folder.root} exists already: name another session with --session")
    try:
        events = imported_events(folder.name, night, source, metric, hardware, at)
    except AuditError as error:
        raise CreateError(str(error)) from None
    write_session(folder, events)


def imported_events(name: str, night: Night, source: Path, metric: Metric, hardware: str, at: float) -> list[Event]:
    """Return the events of the session, which ends at `at`."""
    trials = _baseline_first(night.trials)
    classes = list(dict.fromkeys(trial.hardware or hardware or UNKNOWN_CLASS for trial in trials))
    clusters = {found: f"table-{number:02d}" for number, found in enumerate(classes, 1)}
    began = at - sum(_seconds(trial) for trial in trials)
    proposer = night.name.rpartition("/")[0] or night.name or "table"
    session = Session(
        name=name,
        repo=str(source.resolve()),
        commit="",
        fleet=FleetSpec(IMPORTED, tuple(ClusterSpec(clusters[found], found, 0.0) for found in classes)),
        created_at=began,
        created_by=user_name(),
        metric=metric,
        proposer=proposer,
        constants=trials[0].constants,
    )
    told = _Importer(session, clusters, hardware, proposer, began)
    events: list[Event] = [
        SessionCreated(at=began, session=session, mode=Mode.MANUAL, envelope=Envelope()),
        Said(at=began, author="cockpit", text=provenance(night, source, trials, hardware)),
        *(event for cluster in clusters.values() for event in _up(cluster, clusters, began)),
    ]
    for trial in trials:
        events += told.trial(trial)
    events += [ClusterDown(at=at, cluster=cluster) for cluster in clusters.values()]
    events.append(SessionEnding(at=at, author=AUTHOR, how=EndMode.DRAIN))
    events.append(SessionEnded(at=at, reason="imported"))
    return events


def provenance(night: Night, source: Path, trials: list[Trial], hardware: str) -> str:
    """Return the source of the session, and the facts that are unknown."""
    unknown = ["the code that ran", "its hashes", "its logs"]
    unknown += [] if all(trial.seconds for trial in trials) else [f"how long a trial took ({UNKNOWN_S:.0f} s here)"]
    unknown += ["the time of day", "the order of runs that ran at once"]
    unknown += [] if hardware or all(trial.hardware for trial in trials) else ["the hardware"]
    named = f" {night.name}" if night.name else ""
    return f"imported, unchecked: {len(trials):,} trials of {source.name}{named}; unknown: {', '.join(unknown)}"


def _baseline_first(trials: tuple[Trial, ...]) -> list[Trial]:
    """Return the trials with the first scored one, the baseline, at the front."""
    first = next(number for number, trial in enumerate(trials) if trial.value is not None)
    return [trials[first], *trials[:first], *trials[first + 1 :]]


def _seconds(trial: Trial) -> float:
    return trial.seconds or UNKNOWN_S


def _up(cluster: str, clusters: dict[str, str], at: float) -> list[Event]:
    hardware = next(found for found, name in clusters.items() if name == cluster)
    return [Launching(at=at, cluster=cluster), ClusterUp(at=at, cluster=cluster, hardware=hardware)]


class _Importer:
    """The experiments so far, from which the next trial's events are made."""

    def __init__(self, session: Session, clusters: dict[str, str], hardware: str, proposer: str, began: float) -> None:
        self._session = session
        self._clusters = clusters
        self._hardware = hardware or UNKNOWN_CLASS
        self._proposer = proposer
        self._at = began
        self._runs: dict[str, list[str]] = {}
        """The attempts of each experiment."""
        self._by_code: dict[str, str] = {}
        self._best: dict[str, float] = {}
        """The best score of each class."""
        self._kept = ""

    def trial(self, trial: Trial) -> Iterator[Event]:
        known = self._by_code.get(_code(trial))
        name = known or f"e{len(self._runs):04d}"
        attempt = Attempt(
            f"{name}.{len(self._runs.get(name, [])) + 1}", name,
            AttemptKind.REPLICATE if known else AttemptKind.ARM, seed=0, rule=AUTHOR,
        )  # fmt: skip
        if known:
            yield Queued(at=self._at, attempt=attempt, reason="the table has the same code again")
        else:
            yield from self._proposed(name, trial, attempt)
        self._runs.setdefault(name, []).append(attempt.id)
        hardware = trial.hardware or self._hardware
        cluster = self._clusters[hardware]
        yield Submitting(at=self._at, attempt=attempt.id, cluster=cluster, hardware=hardware)
        yield Submitted(at=self._at, attempt=attempt.id)
        yield Started(at=self._at, attempt=attempt.id)
        self._at += _seconds(trial)
        if trial.value is None:
            yield Ended(at=self._at, attempt=attempt.id, outcome=Outcome.CRASH, message="the table has no score of it")
            return
        metrics = Metrics(score=trial.value, total_seconds=trial.seconds, run_s=trial.seconds)
        yield Ended(at=self._at, attempt=attempt.id, outcome=Outcome.VALID, metrics=metrics)
        if not known:
            yield from self._decided(name, trial, hardware)

    def _proposed(self, name: str, trial: Trial, attempt: Attempt) -> Iterator[Event]:
        baseline = not self._runs
        wave = f"w{len(self._runs):03d}"
        held = self._session.constants
        changed = {constant: level for constant, level in trial.constants.items() if held.get(constant) != level}
        code = _code(trial)
        self._by_code[code] = name
        experiment = Experiment(
            id=name,
            wave=wave,
            base="" if baseline else "e0000" if trial.constants else self._kept,
            change=Change(constants={} if baseline else changed),
            commit=trial.commit,
            train_hash="",
            prepare_hash="",
            fingerprint=code,
            overrides={} if baseline else changed,
            why=trial.description or ("the first trial with a score" if baseline else ""),
        )
        proposal = Wave(
            id=wave,
            proposer="baseline" if baseline else self._proposer,
            question="What does the first trial score?" if baseline else trial.description,
            kind=WaveKind.BASELINE if baseline else WaveKind.FILLER,
            base=experiment.base,
            arms=[name],
            proposed_at=self._at,
        )
        yield Proposed(at=self._at, wave=proposal, experiments=[experiment])
        yield Approved(at=self._at, wave=wave, author=AUTHOR, rule=AUTHOR, attempts=[attempt])

    def _decided(self, name: str, trial: Trial, hardware: str) -> Iterator[Event]:
        """Take the table's verdict; without one, keep each best so far of a class."""
        assert trial.value is not None
        score = self._session.metric.score(trial.value)
        best = self._best.get(hardware)
        is_best = best is None or score < best
        if is_best:
            self._best[hardware] = score
        kept = trial.status == KEEP if trial.status else is_best and (not self._kept or best is not None)
        if not self._kept or kept:
            reason = "the first trial with a score" if not self._kept else KEPT_THERE if trial.status else BEST_SO_FAR
            yield Decided(at=self._at, experiment=name, status=ExperimentStatus.KEPT, reason=reason, author=AUTHOR)
            yield IncumbentSet(at=self._at, experiment=name, reason=reason, author=AUTHOR)
            self._kept = name
        else:
            reason = f"{trial.status} in the table" if trial.status else NOT_BEST
            yield Decided(at=self._at, experiment=name, status=ExperimentStatus.DISCARDED, reason=reason, author=AUTHOR)


def _code(trial: Trial) -> str:
    """Return equal texts for trials with the same constants, code and commit in the table."""
    return repr(sorted(trial.constants.items())) if trial.constants else trial.commit or repr(trial)
