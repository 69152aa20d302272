"""react(state, event): carry out the effects of events on the fleet, the repository and the proposers, once the ledger
holds them.

Each reaction is idempotent: a worker that starts repeats it for all that `cockpit.decide.unfinished` finds.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cockpit.agent.proposer_api import ProposalRequest
from cockpit.core.cluster_events import ClusterGivenUp, ClusterStopping, Launching
from cockpit.core.events import (
    Asked,
    AskEnded,
    Cancelling,
    Certified,
    Ended,
    Event,
    Held,
    IncumbentSet,
    Interrupted,
    SessionEnded,
    Submitting,
    Trouble,
    WorkerStarted,
)
from cockpit.core.hosted_agents import HostedAgent
from cockpit.core.model import Attempt, ClusterState, Outcome
from cockpit.core.session import Session
from cockpit.core.state import State
from cockpit.core.task_events import TaskTaken
from cockpit.create.links import link_inputs
from cockpit.decide.not_submitted import not_submitted
from cockpit.decide.rescoring import scoring_of
from cockpit.fleet.base import Expected, Job
from cockpit.session import corpus
from cockpit.variant.errors import VariantError
from cockpit.worker import artifacts
from cockpit.worker.certify import certify
from cockpit.worker.cleaning import RUN_SUFFIX, Cleaning, Steps, left_over, removing
from cockpit.worker.parts import WorkerParts
from cockpit.worker.proposer_host import ProposerHost
from cockpit.worker.run_folders import RunFolders, Written
from cockpit.worker.shortage import is_missing, is_shut, lacks_room

UNKNOWN_PROPOSER_RETRY_S = 3600.0
LEFT_OVER = "left over"
"""Name of the cleaning after earlier workers."""
MODEL = "model.pt"
"""The file that a run leaves its model in, for the scorer."""


class Reactor:
    """Carries events out on the fleet, the repository, the proposers and the person's own command."""

    def __init__(self, parts: WorkerParts, host: ProposerHost) -> None:
        self._parts = parts
        self._fleet = parts.fleet
        self._host = host
        self._folders = RunFolders(parts.store)
        self._cleaning = Cleaning()
        self._cancelled: set[str] = set()
        """Attempts to cancel once they are submitted."""
        self._begun_again: set[str] = set()
        """Attempts whose folder was removed while it was written, and is written once more."""

    @property
    def has_work(self) -> bool:
        """Return True if an effect is left to be carried on at the next tick."""
        return self._folders.has_work or self._cleaning.has_work

    def continue_work(self, state: State) -> list[Event]:
        """Continue effects that take more than one tick. Returns the events of those that ended or failed."""
        self._folders.new_tick()
        self._cleaning.new_tick()
        return [*self._submit_written(state), *self._clean_on()]

    def react(self, state: State, event: Event) -> list[Event]:
        """Carry out the event's effect. Returns the events that follow at once."""
        return REACTIONS[type(event)](self, state, event)

    def notify(self, state: State, now: float) -> list[Event]:
        """Run the person's command for each new need. Returns a Trouble for each time that it failed."""
        notifier = self._parts.notifier
        if notifier is None:
            return []
        notifier.notify_needs(state, now)
        return [Trouble(at=now, text=text) for text in notifier.troubles()]

    def close(self, state: State) -> list[Event]:
        """Wait until every notification is out, and remove folders that are not complete.

        At the end of the session all cleaning is done; else the next worker does what is left.
        """
        self._folders.close()
        troubles = self._troubles(self._cleaning.finish()) if state.ended_at else []
        if self._parts.notifier is not None:
            self._parts.notifier.close()
        return troubles

    def _recover(self, state: State, event: WorkerStarted) -> list[Event]:
        in_flight = (state.attempts[name] for name in state.in_flight)
        jobs = (self._job(state, attempt) for attempt in sorted(in_flight, key=lambda one: one.submitting_at))
        gone = (ClusterState.DOWN, ClusterState.GIVEN_UP)
        clusters = tuple(cluster.name for cluster in state.clusters.values() if cluster.state not in gone)
        adopted = tuple(cluster.name for cluster in state.clusters.values() if cluster.adopted)
        self._fleet.recover(Expected(clusters, tuple(jobs), adopted))
        self._cleaning.begin(LEFT_OVER, removing(left_over(state, self._parts.folder.runs)))
        return self._clean_on()

    def _submit(self, state: State, event: Submitting) -> list[Event]:
        attempt = state.attempts[event.attempt]
        job = self._job(state, attempt)
        if self._parts.corpus and (problem := corpus.mismatch(self._parts.corpus)):
            return self._postpone(attempt, problem)
        if job.source.exists():
            return self._hand_over(state, Written(job))
        self._begin(state, job)
        return self._submit_written(state)

    def _begin(self, state: State, job: Job) -> None:
        """Begin to write the folder of a job."""
        commit = state.experiments[state.attempts[job.name].experiment].commit
        self._folders.begin(job, commit, state.session.access.links)

    def _submit_written(self, state: State) -> list[Event]:
        """Submit the jobs whose folders are complete."""
        return [event for written in self._folders.write() for event in self._hand_over(state, written)]

    def _hand_over(self, state: State, written: Written) -> list[Event]:
        """Submit a job whose folder is complete, or put its attempt off."""
        job, problem = written.job, written.problem
        try:
            if problem is not None:
                raise problem
            link_inputs(job.source, state.session.access.links)
            job.log_path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, VariantError) as error:
            if lacks_room(error) or is_shut(error, self._parts.folder.root):
                raise
            if is_missing(error) and job.name not in self._begun_again:
                self._begun_again.add(job.name)  # another program removed it while it was written
                self._begin(state, job)
                return []
            self._cancelled.discard(job.name)
            return self._postpone(state.attempts[job.name], f"the files of {job.name} cannot be written: {error}")
        self._fleet.submit(job)
        if job.name in self._cancelled:
            self._cancelled.remove(job.name)
            self._fleet.cancel(job.name)
        return []

    def _postpone(self, attempt: Attempt, problem: str) -> list[Event]:
        """Hold the session until a person has removed the problem that keeps the attempt from running."""
        now = self._parts.clock.now()
        what_to_do = f"{problem}; mend that, then resume"
        return [
            not_submitted(attempt, now, problem),
            Held(at=now, author="cockpit", reason=what_to_do),
            Trouble(at=now, text=what_to_do, about=attempt.id),
        ]

    def _job(self, state: State, attempt: Attempt) -> Job:
        """Return the attempt as the fleet gets it."""
        experiment = state.experiments[attempt.experiment]
        protected = state.experiments[state.baseline].protected_hashes
        constants = ", ".join(f"{name}={value}" for name, value in experiment.change.constants.items())
        own = {
            "EXPERIMENT_ID": attempt.id,
            "EXPERIMENT_DESC": _one_line(constants or experiment.why),
            **_seed_variable(state.session.seed_by, attempt.seed),
            "TRAIN_SHA256": experiment.train_hash,
            "PREPARE_SHA256": experiment.prepare_hash,
        }
        if state.session.time_budget_s:
            own["COCKPIT_TIME_BUDGET_S"] = f"{state.session.time_budget_s:g}"
        if state.session.rescore:
            own["COCKPIT_MODEL"] = MODEL  # in every run, so that a run cannot tell if it is scored outside
        return Job(
            name=attempt.id,
            cluster=attempt.cluster,
            source=self._parts.folder.source(attempt.id),
            log_path=self._parts.folder.log(attempt.id),
            environment=self._parts.environment | own,
            command=_with_seed(state.session, attempt.seed),
            time_limit_s=state.session.time_limit_s,
            script=state.session.script,
            hashed=(*experiment.file_hashes, *protected),
            protected=tuple(protected),
            data=state.session.data | (corpus.paths_of(self._parts.corpus) if self._parts.corpus else {}),
            subfolder=self._parts.store.subfolder,
            rescore=scoring_of(state, attempt),
            score_command=state.session.metric.score_command,
            since=attempt.started_at or attempt.submitting_at,
        )

    def _cancel(self, state: State, event: Cancelling) -> list[Event]:
        if self._folders.has(event.attempt):
            self._cancelled.add(event.attempt)
        else:
            self._fleet.cancel(event.attempt)
        return []

    def _clean(self, state: State, event: Ended) -> list[Event]:
        """Save the run's artifacts and remove its folder: its code is in git, its output in its log."""
        self._folders.drop(event.attempt)
        self._cancelled.discard(event.attempt)
        self._begun_again.discard(event.attempt)
        self._cleaning.begin(event.attempt, self._cleaned(state, event))
        return self._clean_on()

    def _clean_on(self) -> list[Event]:
        """Continue cleaning. Returns a Trouble for each cleaning that failed."""
        return self._troubles(self._cleaning.continue_work())

    def _troubles(self, found: list[tuple[str, str]]) -> list[Event]:
        now = self._parts.clock.now()
        return [Trouble(at=now, text=text, about=attempt) for attempt, text in found]

    def _cleaned(self, state: State, event: Ended) -> Steps:
        access, root = state.session.access, self._parts.folder.artifacts
        source = self._parts.folder.source(event.attempt)
        trouble = ""
        if access.artifacts:
            yield from removing(artifacts.unneeded(state, root))
            if event.outcome is Outcome.VALID:
                into = root / event.attempt
                trouble = yield from artifacts.saving(source, access.artifacts, into, access.artifacts_mb)
        yield from removing((source, Path(f"{source}{RUN_SUFFIX}")))
        return trouble

    def _launch(self, state: State, event: Launching) -> list[Event]:
        self._fleet.launch(event.cluster, state.clusters[event.cluster].adopted)
        return []

    def _take_down(self, state: State, event: ClusterStopping | ClusterGivenUp) -> list[Event]:
        if isinstance(event, ClusterGivenUp) and state.clusters[event.cluster].adopted:
            return []  # only the person who launched it takes it down
        self._fleet.down(event.cluster)
        return []

    def _use_task(self, state: State, event: TaskTaken) -> list[Event]:
        self._fleet.use_task(event.text)
        return []

    def _take_over(self, state: State, event: IncumbentSet) -> list[Event]:
        """Move the branch to the new incumbent, and sign its certificate."""
        experiment = state.experiments[event.experiment]
        events: list[Event] = []
        try:
            problems = [self._parts.store.advance(experiment.commit)]
        except VariantError as error:
            if lacks_room(error):
                raise
            problems = [str(error)]
        if experiment.id != state.baseline and experiment.id not in state.certificates:
            digest, problem = certify(self._parts, state)
            problems.append(problem)
            if digest:
                events.append(Certified(at=self._parts.clock.now(), experiment=experiment.id, digest=digest))
        reported = {message.text for message in state.messages}
        new = (problem for problem in problems if problem and problem not in reported)
        return [*events, *(Trouble(at=self._parts.clock.now(), text=problem) for problem in new)]

    def _ask(self, state: State, event: Asked) -> list[Event]:
        if event.proposer in state.hosted_agents:
            self._host.host(HostedAgent(event.proposer, state.hosted_agents[event.proposer]))
        if self._host.knows(event.proposer):
            self._host.start(event.proposer, ProposalRequest(event.ask, event.arms, event.reason))
            return []
        now = self._parts.clock.now()
        trouble = f"there is no proposer {event.proposer!r} here"
        retry_at = now + UNKNOWN_PROPOSER_RETRY_S
        return [AskEnded(at=now, ask=event.ask, proposer=event.proposer, trouble=trouble, retry_at=retry_at)]

    def _interrupt(self, state: State, event: Interrupted) -> list[Event]:
        self._host.interrupt()
        return []

    def _notify_end(self, state: State, event: SessionEnded) -> list[Event]:
        if self._parts.notifier is not None:
            self._parts.notifier.notify_end(state, event.reason, self._parts.clock.now())
        return []


REACTIONS: dict[type[Event], Callable[[Reactor, State, Any], list[Event]]] = {
    WorkerStarted: Reactor._recover,
    Submitting: Reactor._submit,
    Cancelling: Reactor._cancel,
    Ended: Reactor._clean,
    Launching: Reactor._launch,
    ClusterStopping: Reactor._take_down,
    ClusterGivenUp: Reactor._take_down,
    IncumbentSet: Reactor._take_over,
    TaskTaken: Reactor._use_task,
    Asked: Reactor._ask,
    Interrupted: Reactor._interrupt,
    SessionEnded: Reactor._notify_end,
}
"""Every event that has an effect, and its reaction."""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _seed_variable(seed_by: str, seed: int) -> dict[str, str]:
    """Return the variables that hold a run's seed: SEED always, and the one that the code reads."""
    kind, _, name = seed_by.partition(":")
    return {"SEED": str(seed)} | ({name: str(seed)} if kind == "env" else {})


def _with_seed(session: Session, seed: int) -> tuple[str, ...]:
    """Return the command of a run, its seed as an option where the code takes it so; empty for the fleet's own."""
    kind, _, option = session.seed_by.partition(":")
    if kind != "arg":
        return session.run_command
    given = (f"{option}{seed}",) if option.endswith("=") else (option, str(seed))
    return (*(session.run_command or (sys.executable, "-u", session.script)), *given)
