"""handle_intent(state, intent) -> events: what a person or an agent asks for, checked against the state. Pure.

An intent that brings code (Propose, EditProposal) is prepared by `cockpit.worker.intake`, which stores the variants.
"""

import difflib
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.events import (
    ArmDropped,
    BudgetSet,
    Cancelling,
    ClusterSeen,
    Decided,
    EarlyStoppingSet,
    EnvelopeSet,
    Event,
    FindingRecorded,
    Held,
    IncumbentSet,
    Interrupted,
    Launching,
    Looked,
    ModeSet,
    PhaseSet,
    ProposalEdited,
    Proposed,
    ProposerSet,
    Queued,
    Rejected,
    Resumed,
    Said,
    SessionEnding,
    Trouble,
    WaveCancelled,
    WaveMoved,
)
from cockpit.core.intents import (
    Adopt,
    AnyIntent,
    Approve,
    CancelWave,
    Discard,
    DropArm,
    EditProposal,
    End,
    Hold,
    Intent,
    Interrupt,
    Kill,
    Look,
    MakeBase,
    MoveWave,
    Note,
    Permit,
    Promote,
    Propose,
    Reject,
    Relaunch,
    Rerun,
    Resume,
    Say,
    SeatAgent,
    SetBudget,
    SetEarlyStopping,
    SetEnvelope,
    SetKnob,
    SetMode,
    SetProposer,
    TakeTask,
)
from cockpit.core.knob_events import KnobSet
from cockpit.core.model import (
    PROPOSERS,
    AttemptKind,
    AttemptStatus,
    Cluster,
    ClusterState,
    Experiment,
    ExperimentStatus,
    Tier,
    Wave,
    WaveStatus,
)
from cockpit.core.nearest import did_you_mean
from cockpit.core.seats import SeatError
from cockpit.core.shares import shares_of
from cockpit.core.state import State, is_asked
from cockpit.core.task_events import TaskTaken
from cockpit.decide.approve import approval
from cockpit.decide.knob_settings import knob_problem
from cockpit.decide.outside_proposer import outside_proposer_note
from cockpit.decide.schedule import RunSpec, another
from cockpit.decide.seating import permission_answer, seating

RUNS_TO_COME_AT_MOST = 16
"""Runs of one experiment that may wait or be under way when another is asked for."""

_STARTABLE = (ClusterState.GIVEN_UP, ClusterState.LOST, ClusterState.DOWN)
_DROPPABLE = (ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING)


class Refused(CockpitError):
    """The intent cannot be carried out; each argument is one sentence for its author."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class Prepared(msgspec.Struct, frozen=True):
    """A wave whose variants are stored in git, and a sentence for each arm that was left out."""

    wave: Wave
    experiments: list[Experiment]
    problems: tuple[str, ...] = ()


class IntentRequest(msgspec.Struct, frozen=True):
    """An intent's author, its time and the state it is checked against."""

    state: State
    author: str
    at: float
    prepared: Prepared | None = None


def handle_intent(
    state: State, intent: AnyIntent, author: str, at: float, prepared: Prepared | None = None
) -> list[Event]:
    """Return the events that carry the intent out. Raises Refused."""
    handle = _HANDLERS.get(type(intent))
    if handle is None:
        raise Refused(f"this worker does not know the intent {type(intent).__name__}: restart it with `cockpit stop`")
    return handle(IntentRequest(state, author, at, prepared), intent)


def proposer_problem(state: State, intent: SetProposer) -> str:
    """Explain in one sentence why the name cannot propose here; empty where it can.

    Cockpit's own proposers can, an author that the session knows, and an agent that is said to connect from outside.
    """
    name = intent.proposer
    known = {wave.proposer for wave in state.waves.values()} | {message.author for message in state.messages}
    if name.strip() and (is_asked(state, name) or name in known or intent.outside):
        return ""
    near = difflib.get_close_matches(name, PROPOSERS, 1)
    choose = f"did you mean {near[0]}?" if near else f"choose {', '.join(PROPOSERS)}."
    return f"there is no proposer {name!r}: {choose} Add --outside for an agent that connects by `cockpit mcp`"


# Proposals


def waiting_proposal(state: State, name: str) -> Wave:
    """Return the wave where it is still a proposal. Raises Refused."""
    wave = _wave(state, name)
    if wave.status is not WaveStatus.PROPOSED:
        by = f" (by {wave.decided_by})" if wave.decided_by else ""
        raise Refused(f"{name} is {wave.status} already{by}")
    return wave


def _approve(asked: IntentRequest, intent: Approve) -> list[Event]:
    state, author = asked.state, asked.author
    wave = waiting_proposal(state, intent.wave)
    events: list[Event] = [approval(state, wave, author, f"person:{author}", asked.at)]
    if intent.trust and wave.proposer not in state.envelope.proposers:
        wider = msgspec.structs.replace(state.envelope, proposers=[*state.envelope.proposers, wave.proposer])
        events.append(EnvelopeSet(at=asked.at, envelope=wider, author=author))
    return events


def _reject(asked: IntentRequest, intent: Reject) -> list[Event]:
    wave = waiting_proposal(asked.state, intent.wave)
    return [Rejected(at=asked.at, wave=wave.id, author=asked.author, reason=intent.reason)]


def _propose(asked: IntentRequest, intent: Propose) -> list[Event]:
    made = _prepared(asked)
    proposed = Proposed(at=asked.at, wave=made.wave, experiments=made.experiments)
    return [proposed, *(Trouble(at=asked.at, text=problem, about=made.wave.proposer) for problem in made.problems)]


def _edit_proposal(asked: IntentRequest, intent: EditProposal) -> list[Event]:
    waiting_proposal(asked.state, intent.wave)
    made = _prepared(asked)
    return [
        ProposalEdited(at=asked.at, wave=made.wave, experiments=made.experiments, author=asked.author, what=intent.what)
    ]


def _prepared(asked: IntentRequest) -> Prepared:
    if asked.prepared is None:
        raise ValueError("an intent with a draft is prepared before it is handled")
    return asked.prepared


# Waves


def _drop_arm(asked: IntentRequest, intent: DropArm) -> list[Event]:
    name = intent.experiment
    status = _experiment(asked.state, name).status
    if status not in _DROPPABLE:
        raise Refused(f"{name} is {status}: there is nothing left to drop")
    return [ArmDropped(at=asked.at, experiment=name, author=asked.author, reason=intent.reason)]


def _move_wave(asked: IntentRequest, intent: MoveWave) -> list[Event]:
    wave = _wave(asked.state, intent.wave)
    if wave.status not in (WaveStatus.PROPOSED, WaveStatus.APPROVED):
        raise Refused(f"{wave.id} is {wave.status}: only a wave that has runs to come can be moved")
    if intent.before == wave.id:
        raise Refused(f"{wave.id} cannot run before itself")
    rank = _rank_before(asked.state, intent.wave, intent.before)
    return [WaveMoved(at=asked.at, wave=intent.wave, rank=rank, author=asked.author)]


def _cancel_wave(asked: IntentRequest, intent: CancelWave) -> list[Event]:
    wave = _wave(asked.state, intent.wave)
    if wave.status not in (WaveStatus.PROPOSED, WaveStatus.APPROVED):
        raise Refused(f"{wave.id} is {wave.status} already")
    return [WaveCancelled(at=asked.at, wave=wave.id, author=asked.author, reason=intent.reason)]


def _rank_before(state: State, name: str, before: str) -> float:
    ranks = sorted(wave.rank for wave in state.waves.values() if wave.id != name)
    if not before:
        return (ranks[-1] if ranks else 0.0) + 1.0
    rank = _wave(state, before).rank
    lower = [other for other in ranks if other < rank]
    return (lower[-1] + rank) / 2 if lower else rank - 1.0


# Experiments and their runs


def _kill(asked: IntentRequest, intent: Kill) -> list[Event]:
    if intent.attempt not in asked.state.in_flight:
        raise Refused(f"{intent.attempt} is not running")
    reason = intent.reason or "killed"
    return [Cancelling(at=asked.at, attempt=intent.attempt, author=asked.author, reason=reason)]


def _rerun(asked: IntentRequest, intent: Rerun) -> list[Event]:
    return [_one_more_run(asked, intent.experiment, AttemptKind.REPLICATE, Tier.SCREEN, intent.hardware)]


def _promote(asked: IntentRequest, intent: Promote) -> list[Event]:
    better = asked.state.session.fleet.validate_hardware
    if not better:
        raise Refused(f"there is no better class of hardware: `rerun` measures {intent.experiment} again")
    return [_one_more_run(asked, intent.experiment, AttemptKind.VALIDATION, Tier.VALIDATE, better)]


def _one_more_run(asked: IntentRequest, name: str, kind: AttemptKind, tier: Tier, hardware: str) -> Queued:
    state, experiment = asked.state, _experiment(asked.state, name)
    if experiment.status is ExperimentStatus.PROPOSED:
        raise Refused(f"{name} waits for approval: approve {experiment.wave} first")
    attempts = [state.attempts[attempt] for attempt in experiment.attempts]
    to_come = sum(attempt.status is not AttemptStatus.ENDED for attempt in attempts)
    if to_come >= RUNS_TO_COME_AT_MOST:
        raise Refused(f"{name} has {to_come} runs to come already")
    avoid = attempts[-1].cluster if attempts else ""
    run = RunSpec(name, kind, f"person:{asked.author}", tier, hardware, avoid)
    return Queued(at=asked.at, attempt=another(state, run), reason=f"{asked.author} asked for it")


def _make_base(asked: IntentRequest, intent: MakeBase) -> list[Event]:
    name, at, author = intent.experiment, asked.at, asked.author
    if not _experiment(asked.state, name).scores:
        raise Refused(f"{name} has no result yet: only measured code can be the base")
    reason = _reason(asked, intent.reason)
    return [
        Decided(at=at, experiment=name, status=ExperimentStatus.KEPT, reason=reason, author=author),
        IncumbentSet(at=at, experiment=name, reason=reason, author=author),
    ]


def _discard(asked: IntentRequest, intent: Discard) -> list[Event]:
    name = intent.experiment
    if _experiment(asked.state, name).status is ExperimentStatus.PROPOSED:
        raise Refused(f"{name} waits for approval: reject its wave, or drop it from it")
    reason, status = _reason(asked, intent.reason), ExperimentStatus.DISCARDED
    return [Decided(at=asked.at, experiment=name, status=status, reason=reason, author=asked.author)]


def _reason(asked: IntentRequest, reason: str) -> str:
    return reason or f"on {asked.author}'s word"


# Clusters


def _relaunch(asked: IntentRequest, intent: Relaunch) -> list[Event]:
    cluster = asked.state.clusters.get(intent.cluster) or next(iter(shares_of(asked.state, intent.cluster)), None)
    if cluster is None:
        raise Refused(f"there is no cluster {intent.cluster!r}")
    if cluster.state is ClusterState.LAUNCHING and cluster.waits:
        return [Launching(at=asked.at, cluster=cluster.name)]  # the fleet withdraws the one that waits
    if cluster.state not in _STARTABLE:
        raise Refused(
            f"{cluster.name} is {cluster.state}: only one that waits, is down, lost or given up can be relaunched"
        )
    return [ClusterSeen(at=asked.at, cluster=_startable(cluster))]


def _adopt(asked: IntentRequest, intent: Adopt) -> list[Event]:
    """Take the cluster for one to be found up: whether it can be is the fleet's to say."""
    state, name = asked.state, intent.cluster
    kind = state.session.fleet.kind
    if kind != "sky":
        raise Refused(f"only a session on SkyPilot takes clusters over, and this one is on the {kind} fleet")
    if state.ending:
        raise Refused("the session is ending: it takes no cluster over")
    cluster = state.clusters.get(name, Cluster(name, since=asked.at))
    if cluster.state not in _STARTABLE:
        raise Refused(f"{name} is {cluster.state} in this session already")
    adopted = msgspec.structs.replace(_startable(cluster), held=False, adopted=True)
    return [ClusterSeen(at=asked.at, cluster=adopted)]


def _startable(cluster: Cluster) -> Cluster:
    """Return the cluster with its failures forgotten."""
    return msgspec.structs.replace(
        cluster, state=ClusterState.DOWN, failures=0, refusals=0, retry_at=0.0, message=""
    )  # fmt: skip


def _take_task(asked: IntentRequest, intent: TakeTask) -> list[Event]:
    state = asked.state
    if state.session.fleet.kind != "sky":
        raise Refused(
            f"only a session on SkyPilot has a task file, and this one is on the {state.session.fleet.kind} fleet"
        )
    if not state.task_offered:
        raise Refused("there is no change to take: runs use experiment.yaml as it is, or it cannot be used")
    digest = hashlib.sha256(state.task_offered.encode()).hexdigest()
    return [TaskTaken(at=asked.at, text=state.task_offered, sha256=digest, author=asked.author)]


# The session


def _hold(asked: IntentRequest, intent: Hold) -> list[Event]:
    return [Held(at=asked.at, author=asked.author, target=_target(asked.state, intent.target))]


def _resume(asked: IntentRequest, intent: Resume) -> list[Event]:
    return [Resumed(at=asked.at, author=asked.author, target=_target(asked.state, intent.target))]


def _set_mode(asked: IntentRequest, intent: SetMode) -> list[Event]:
    return [ModeSet(at=asked.at, mode=intent.mode, author=asked.author)]


def _set_envelope(asked: IntentRequest, intent: SetEnvelope) -> list[Event]:
    return [EnvelopeSet(at=asked.at, envelope=intent.envelope, author=asked.author)]


def _set_proposer(asked: IntentRequest, intent: SetProposer) -> list[Event]:
    if problem := proposer_problem(asked.state, intent):
        raise Refused(problem)
    proposer_set = ProposerSet(at=asked.at, proposer=intent.proposer, author=asked.author)
    return [
        proposer_set,
        *outside_proposer_note(intent.proposer, asked.state.session.name, asked.at, asked.state.seats),
    ]


def _set_budget(asked: IntentRequest, intent: SetBudget) -> list[Event]:
    if intent.usd < 0:
        raise Refused("a budget is a number of dollars, 0 for no cap")
    return [BudgetSet(at=asked.at, usd=intent.usd, author=asked.author)]


def _set_early_stopping(asked: IntentRequest, intent: SetEarlyStopping) -> list[Event]:
    return [EarlyStoppingSet(at=asked.at, on=intent.on, author=asked.author)]


def _set_knob(asked: IntentRequest, intent: SetKnob) -> list[Event]:
    if problem := knob_problem(asked.state, intent.knob, intent.range):
        raise Refused(problem)
    return [KnobSet(at=asked.at, knob=intent.knob, range=intent.range, author=asked.author)]


def _end(asked: IntentRequest, intent: End) -> list[Event]:
    reason = intent.reason or f"{asked.author} ends it"
    return [
        SessionEnding(
            at=asked.at, author=asked.author, how=intent.how, clusters_down=intent.clusters_down, reason=reason
        )
    ]


# Words


def _say(asked: IntentRequest, intent: Say) -> list[Event]:
    if not intent.text.strip():
        raise Refused("there is nothing to say: give at least one word")
    return [Said(at=asked.at, author=asked.author, text=intent.text)]


def _interrupt(asked: IntentRequest, intent: Interrupt) -> list[Event]:
    return [Interrupted(at=asked.at, author=asked.author)]


def _note(asked: IntentRequest, intent: Note) -> list[Event]:
    if not intent.text.strip():
        raise Refused(f"a {'phase' if intent.phase else 'finding'} needs at least one word")
    if intent.phase:
        return (
            [] if asked.state.phase == intent.text else [PhaseSet(at=asked.at, author=asked.author, phase=intent.text)]
        )
    if any(known.claim == intent.text for known in asked.state.findings):
        raise Refused("this finding is already recorded")
    for name in intent.experiments:
        _experiment(asked.state, name)
    experiments = list(intent.experiments)
    return [FindingRecorded(at=asked.at, author=asked.author, claim=intent.text, experiments=experiments)]


def _seats(asked: IntentRequest, intent: SeatAgent | Permit) -> list[Event]:
    try:
        if isinstance(intent, Permit):
            return [permission_answer(asked.state, intent, asked.author, asked.at)]
        return [seating(intent.agent, asked.author, asked.at, intent.beside, intent.command)]
    except SeatError as error:
        raise Refused(str(error)) from None


def _look(asked: IntentRequest, intent: Look) -> list[Event]:
    if intent.seq < 0:
        raise Refused(f"event {intent.seq} is invalid: expected an integer of at least 0")
    if intent.seq <= asked.state.looked.get(asked.author, -1):
        return []
    return [Looked(at=asked.at, agent=asked.author, seq=min(intent.seq, asked.state.seq))]


_HANDLERS: dict[type[Intent], Callable[[IntentRequest, Any], list[Event]]] = {
    Approve: _approve,
    Reject: _reject,
    Propose: _propose,
    EditProposal: _edit_proposal,
    DropArm: _drop_arm,
    MoveWave: _move_wave,
    CancelWave: _cancel_wave,
    Kill: _kill,
    Rerun: _rerun,
    Promote: _promote,
    MakeBase: _make_base,
    Discard: _discard,
    Relaunch: _relaunch,
    TakeTask: _take_task,
    Adopt: _adopt,
    Hold: _hold,
    Resume: _resume,
    SetMode: _set_mode,
    SetEnvelope: _set_envelope,
    SetProposer: _set_proposer,
    SetBudget: _set_budget,
    SetEarlyStopping: _set_early_stopping,
    SetKnob: _set_knob,
    End: _end,
    Say: _say,
    Interrupt: _interrupt,
    Note: _note,
    Look: _look,
    SeatAgent: _seats,
    Permit: _seats,
}


def _wave(state: State, name: str) -> Wave:
    wave = state.waves.get(name)
    if wave is None:
        raise Refused(f"there is no wave {name!r}: {did_you_mean(name, state.waves) or '`cockpit status` lists them'}")
    return wave


def _experiment(state: State, name: str) -> Experiment:
    experiment = state.experiments.get(name)
    if experiment is None:
        near = did_you_mean(name, state.experiments)
        raise Refused(f"there is no experiment {name!r}: {near or '`cockpit results` lists them'}")
    return experiment


def _target(state: State, target: str) -> str:
    if target and target not in state.waves and not shares_of(state, target):
        near = did_you_mean(target, state.waves) or did_you_mean(target, state.clusters)
        raise Refused(f"there is no wave or cluster {target!r} to hold or resume" + (f": {near}" if near else ""))
    return target
