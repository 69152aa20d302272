"""perform(action): the only code that touches the world, and the ledger knows of it first."""

import logging
import shutil
from pathlib import Path

from cockpit.agent.proposer_api import Request
from cockpit.core.events import (
    Asked,
    AskEnded,
    Cancelling,
    CapReached,
    ClusterGivenUp,
    ClusterStopping,
    ClusterSuspect,
    Decided,
    Ending,
    Event,
    Held,
    IncumbentSet,
    Launching,
    Queued,
    Spared,
    Submitting,
    Trouble,
    Unsubmitted,
)
from cockpit.core.model import Attempt
from cockpit.core.state import State
from cockpit.decide import actions as a
from cockpit.fleet.base import Fleet, Job
from cockpit.session import corpus
from cockpit.session.ledger import is_full
from cockpit.session.paths import SessionFolder
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore
from cockpit.worker.handle_intents import approved
from cockpit.worker.proposer_host import ProposerHost

log = logging.getLogger("cockpit.perform")


def events_before(state: State, action: a.Action, now: float) -> list[Event]:
    """What the ledger says before the action is carried out; for a decision that is all there is to it."""
    match action:
        case a.Approve(wave=name, rule=rule):
            return [approved(state, state.waves[name], "plan", rule, now)]
        case a.Queue(attempt=attempt, reason=reason, test_level=level):
            return [Queued(at=now, attempt=attempt, reason=reason, test_level=level)]
        case a.Submit(attempt=name, cluster=cluster, reserved_usd=usd):
            hardware = state.clusters[cluster].hardware
            return [Submitting(at=now, attempt=name, cluster=cluster, hardware=hardware, reserved_usd=usd)]
        case a.Cancel():
            return [
                Cancelling(
                    at=now,
                    attempt=action.attempt,
                    author="plan",
                    reason=action.reason,
                    outcome=action.outcome,
                    expected_bpb=action.expected_bpb,
                )
            ]
        case a.Spare(attempt=name, bar=bar, reason=reason):
            return [Spared(at=now, attempt=name, bar=bar, reason=reason)]
        case a.Launch(cluster=name):
            return [Launching(at=now, cluster=name)]
        case a.GiveUp(cluster=name, reason=reason):
            return [ClusterGivenUp(at=now, cluster=name, message=reason)]
        case a.Down(cluster=name, reason=reason):
            return [ClusterStopping(at=now, cluster=name, reason=reason)]
        case a.Suspect(cluster=name, message=message, suspect=suspect):
            return [ClusterSuspect(at=now, cluster=name, message=message, suspect=suspect)]
        case a.Decide():
            return [
                Decided(
                    at=now,
                    experiment=action.experiment,
                    status=action.status,
                    reason=action.reason,
                    estimate=action.estimate,
                )
            ]
        case a.Crown():
            return [IncumbentSet(at=now, experiment=action.experiment, reason=action.reason, estimate=action.estimate)]
        case a.Ask(proposer=proposer, arms=arms, reason=reason):
            return [Asked(at=now, ask=state.asks_total + 1, proposer=proposer, arms=arms, reason=reason)]
        case a.ReachCap(usd=usd, text=text):
            return [CapReached(at=now, usd=usd, text=text)]
        case a.End(how=how, reason=reason):
            return [Ending(at=now, author="plan", how=how, reason=reason)]
        case a.Finish():
            return []


class Reactor:
    """Carries actions out on the fleet, the repository and the proposers."""

    def __init__(
        self,
        folder: SessionFolder,
        fleet: Fleet,
        store: VariantStore,
        office: ProposerHost,
        passed: dict[str, str],
        corpus: str,
    ) -> None:
        """`corpus` is the label of the one that runs on this machine train on; empty where none is here to look at."""
        self._folder = folder
        self._fleet = fleet
        self._store = store
        self._office = office
        self._passed = passed
        self._corpus = corpus

    def perform(self, state: State, action: a.Action, now: float) -> list[Event]:
        """Do it; the ledger holds its intention already. Returns what is known of it at once."""
        match action:
            case a.Submit(attempt=name):
                return self._submit(state, state.attempts[name], now)
            case a.Cancel(attempt=name):
                self._fleet.cancel(name)
            case a.Launch(cluster=name):
                self._fleet.launch(name, state.clusters[name].adopted)
            case a.GiveUp(cluster=name) | a.Down(cluster=name):
                self._fleet.down(name)
            case a.Ask(proposer=proposer, arms=arms, reason=reason):
                return self._ask(state, proposer, arms, reason, now)
            case _:
                pass
        return []

    def job(self, state: State, attempt: Attempt) -> Job:
        """The attempt as the fleet gets it."""
        experiment = state.experiments[attempt.experiment]
        session = state.session
        what = ", ".join(f"{name}={value}" for name, value in experiment.change.constants.items())
        return Job(
            name=attempt.id,
            cluster=attempt.cluster,
            source=self._folder.source(attempt.id),
            log_path=self._folder.log(attempt.id),
            environment=self._passed
            | {
                "EXPERIMENT_ID": attempt.id,
                "EXPERIMENT_DESC": _one_line(what or experiment.why),
                "SEED": str(attempt.seed),
                "TRAIN_SHA256": experiment.train_hash,
                "PREPARE_SHA256": experiment.prepare_hash,
                "COCKPIT_TIME_BUDGET_S": f"{session.time_budget_s:g}",
            },
            command=session.run_command,
            time_limit_s=session.time_limit_s,
        )

    def clean(self, attempt: str) -> None:
        """The files a run ran in go when it has ended: its code is in git, its output in its log."""
        source = self._folder.source(attempt)
        for path in (source, Path(f"{source}.run")):
            if path.exists():
                shutil.rmtree(path, ignore_errors=True)

    def _submit(self, state: State, attempt: Attempt, now: float) -> list[Event]:
        job = self.job(state, attempt)
        if self._corpus and (problem := corpus.problem(self._corpus)):
            return _put_off(attempt, problem, now)
        try:
            if not job.source.exists():
                job.source.parent.mkdir(parents=True, exist_ok=True)
                self._store.export(state.experiments[attempt.experiment].commit, job.source)
            job.log_path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, VariantError) as error:
            if is_full(error):
                raise
            return _put_off(attempt, f"the files of {attempt.id} cannot be written: {error}", now)
        self._fleet.submit(job)
        return []

    def _ask(self, state: State, proposer: str, arms: int, reason: str, now: float) -> list[Event]:
        ask = state.asks_total
        if not self._office.knows(proposer):
            return [
                AskEnded(
                    at=now,
                    ask=ask,
                    proposer=proposer,
                    trouble=f"there is no proposer {proposer!r} here",
                    retry_at=now + 3600,
                )
            ]
        self._office.start(proposer, Request(ask, arms, reason))
        return []


def _put_off(attempt: Attempt, sentence: str, now: float) -> list[Event]:
    """It is not run, and nothing else is, until a person has mended what stands in the way."""
    what_to_do = f"{sentence}; mend that, then resume"
    return [
        Unsubmitted(at=now, attempt=attempt.id, reason=sentence),
        Held(at=now, author="cockpit", reason=what_to_do),
        Trouble(at=now, text=what_to_do, about=attempt.id),
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
