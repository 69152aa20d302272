"""Intents become events: what a person or an agent asked for, checked against what is so. Pure but for the variants."""

from typing import Any

import msgspec

from cockpit.core.events import (
    Approved,
    ArmDropped,
    BudgetSet,
    Cancelling,
    ClusterSeen,
    Decided,
    EarlyStoppingSet,
    Ending,
    EnvelopeSet,
    Event,
    FindingRecorded,
    Held,
    IncumbentSet,
    ModeSet,
    PhaseSet,
    ProposerSet,
    Queued,
    Rejected,
    Resumed,
    Said,
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
    Draft,
    DropArm,
    EditProposal,
    End,
    Hold,
    Interrupt,
    Kill,
    MakeBase,
    MoveWave,
    Note,
    Promote,
    Propose,
    Reject,
    Relaunch,
    Rerun,
    Resume,
    Say,
    SetBudget,
    SetEarlyStopping,
    SetEnvelope,
    SetMode,
    SetProposer,
)
from cockpit.core.model import (
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
from cockpit.core.state import State
from cockpit.decide.schedule import another
from cockpit.variant.store import VariantStore
from cockpit.worker import intake
from cockpit.worker.intake import Refused


def approved(state: State, wave: Wave, author: str, rule: str, at: float) -> Approved:
    """The approval of a wave, with each arm's first attempts; replicates differ in seed."""
    attempts = []
    validate = state.session.fleet.validate_hardware
    for name in wave.arms:
        experiment = state.experiments[name]
        hardware = validate if wave.tier is Tier.VALIDATE else ""
        for number in range(experiment.replicates):
            attempts.append(
                another(state, name, AttemptKind.ARM, rule=rule, tier=wave.tier, hardware=hardware, extra=number)
            )
    for name in wave.again:
        last = state.experiments[name].attempts[-1:]
        avoid = state.attempts[last[0]].cluster if last else ""
        kind = AttemptKind.VALIDATION if wave.tier is Tier.VALIDATE else AttemptKind.REPLICATE
        hardware = validate if wave.tier is Tier.VALIDATE else ""
        for number in range(wave.replicates):
            attempts.append(
                another(state, name, kind, rule=rule, tier=wave.tier, hardware=hardware, avoid=avoid, extra=number)
            )
    return Approved(at=at, wave=wave.id, author=author, rule=rule, attempts=attempts)


def obey(store: VariantStore, state: State, intent: AnyIntent, author: str, at: float) -> list[Event]:
    """The events that carry the intent out. Raises Refused with a sentence when it cannot be."""
    match intent:
        case Approve(wave=name, trust=trust):
            return _approve(state, name, trust, author, at)
        case Reject(wave=name, reason=reason):
            return [Rejected(at=at, wave=_proposal(state, name).id, author=author, reason=reason)]
        case EditProposal(wave=name, draft=draft, what=what):
            return [intake.edited(store, state, _proposal(state, name), draft, author, what, at)]
        case Propose(draft=draft):
            return _propose(store, state, draft, author, at)
        case Hold(target=target):
            return [Held(at=at, author=author, target=_target(state, target))]
        case Resume(target=target):
            return [Resumed(at=at, author=author, target=_target(state, target))]
        case SetMode(mode=mode):
            return [ModeSet(at=at, mode=mode, author=author)]
        case SetEnvelope(envelope=envelope):
            return [EnvelopeSet(at=at, envelope=envelope, author=author)]
        case SetProposer(proposer=proposer):
            session = state.session.name
            return [
                ProposerSet(at=at, proposer=proposer, author=author),
                *intake.seat_outside(proposer, session, at),
            ]
        case SetBudget(usd=usd):
            if usd < 0:
                raise Refused("a budget is a number of dollars, 0 for no cap")
            return [BudgetSet(at=at, usd=usd, author=author)]
        case SetEarlyStopping(on=on):
            return [EarlyStoppingSet(at=at, on=on, author=author)]
        case Say(text=text):
            return [Said(at=at, author=author, text=text)]
        case Note(text=text, experiments=experiments, phase=phase):
            if phase:
                return [PhaseSet(at=at, author=author, phase=text)]
            for name in experiments:
                _experiment(state, name)
            return [FindingRecorded(at=at, author=author, claim=text, experiments=list(experiments))]
        case End(how=how, down=down, reason=reason):
            if how not in ("drain", "cancel"):
                raise Refused(f"a session ends by drain or cancel, not by {how!r}")
            return [Ending(at=at, author=author, how=how + "+down" * down, reason=reason or f"{author} ends it")]
        case Interrupt():
            return []
    return _runs(state, intent, author, at) or _waves(state, intent, author, at)


def _runs(state: State, intent: Any, author: str, at: float) -> list[Event]:
    match intent:
        case Kill(attempt=name, reason=reason):
            attempt = state.attempts.get(name)
            if attempt is None or name not in state.in_flight:
                raise Refused(f"{name} is not running")
            return [Cancelling(at=at, attempt=name, author=author, reason=reason or "killed")]
        case Rerun(experiment=name, hardware=hardware):
            return [_again(state, name, AttemptKind.REPLICATE, author, at, hardware)]
        case Promote(experiment=name):
            better = state.session.fleet.validate_hardware
            return [_again(state, name, AttemptKind.VALIDATION, author, at, better)]
        case MakeBase(experiment=name, reason=reason):
            experiment = _experiment(state, name)
            if not experiment.scores:
                raise Refused(f"{name} has no result yet: only measured code can be the base")
            why = reason or f"on {author}'s word"
            return [
                Decided(at=at, experiment=name, status=ExperimentStatus.KEPT, reason=why, author=author),
                IncumbentSet(at=at, experiment=name, reason=why, author=author),
            ]
        case Discard(experiment=name, reason=reason):
            if _experiment(state, name).status is ExperimentStatus.PROPOSED:
                raise Refused(f"{name} waits for approval: reject its wave, or drop it from it")
            why = reason or f"on {author}'s word"
            return [Decided(at=at, experiment=name, status=ExperimentStatus.DISCARDED, reason=why, author=author)]
        case Relaunch(cluster=name):
            cluster = state.clusters.get(name)
            if cluster is None:
                raise Refused(f"there is no cluster {name!r}")
            if cluster.state not in (ClusterState.GIVEN_UP, ClusterState.LOST, ClusterState.DOWN):
                raise Refused(f"{name} is {cluster.state}: only one that is down, lost or given up can be relaunched")
            fresh = msgspec.structs.replace(
                cluster, state=ClusterState.DOWN, failures=0, refusals=0, retry_at=0.0, message=""
            )
            return [ClusterSeen(at=at, cluster=fresh)]
        case Adopt(cluster=name):
            return [ClusterSeen(at=at, cluster=_adopted(state, name, at))]
    return []


def _adopted(state: State, name: str, at: float) -> Cluster:
    """The cluster as one to be found up: whether it can be is the fleet's to say."""
    kind = state.session.fleet.kind
    if kind != "sky":
        raise Refused(f"only a session on SkyPilot takes clusters over, and this one is on the {kind} fleet")
    if state.ending:
        raise Refused("the session is ending: it takes no cluster over")
    cluster = state.clusters.get(name, Cluster(name, since=at))
    if cluster.state not in (ClusterState.GIVEN_UP, ClusterState.LOST, ClusterState.DOWN):
        raise Refused(f"{name} is {cluster.state} in this session already")
    return msgspec.structs.replace(
        cluster,
        state=ClusterState.DOWN,
        failures=0,
        refusals=0,
        retry_at=0.0,
        message="",
        held=False,
        adopted=True,
    )


def _waves(state: State, intent: Any, author: str, at: float) -> list[Event]:
    match intent:
        case DropArm(experiment=name, reason=reason):
            experiment = _experiment(state, name)
            if experiment.status not in (
                ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING,
            ):  # fmt: skip
                raise Refused(f"{name} is {experiment.status}: there is nothing left to drop")
            return [ArmDropped(at=at, experiment=name, author=author, reason=reason)]
        case MoveWave(wave=name, before=before):
            _wave(state, name)
            return [WaveMoved(at=at, wave=name, rank=_rank_before(state, name, before), author=author)]
        case CancelWave(wave=name, reason=reason):
            wave = _wave(state, name)
            if wave.status not in (WaveStatus.PROPOSED, WaveStatus.APPROVED):
                raise Refused(f"{name} is {wave.status} already")
            return [WaveCancelled(at=at, wave=name, author=author, reason=reason)]
    raise Refused(f"this worker does not know the intent {type(intent).__name__}: restart it with `cockpit stop`")


def _approve(state: State, name: str, trust: bool, author: str, at: float) -> list[Event]:
    wave = _proposal(state, name)
    made: list[Event] = [approved(state, wave, author, f"person:{author}", at)]
    if trust and wave.proposer not in state.envelope.proposers:
        wider = msgspec.structs.replace(state.envelope, proposers=[*state.envelope.proposers, wave.proposer])
        made.append(EnvelopeSet(at=at, envelope=wider, author=author))
    return made


def _propose(store: VariantStore, state: State, draft: Draft, author: str, at: float) -> list[Event]:
    proposed, receipt = intake.take(store, state, draft, at)
    if proposed is None:
        raise Refused("; ".join(receipt.problems))
    made: list[Event] = [proposed]
    made += [Trouble(at=at, text=problem, about=draft.proposer) for problem in receipt.problems]
    return made


def _again(state: State, name: str, kind: AttemptKind, author: str, at: float, hardware: str) -> Queued:
    experiment = _experiment(state, name)
    if experiment.status is ExperimentStatus.PROPOSED:
        raise Refused(f"{name} waits for approval: approve {experiment.wave} first")
    waiting = [a for a in experiment.attempts if state.attempts[a].status is not AttemptStatus.ENDED]
    if len(waiting) >= 16:
        raise Refused(f"{name} has {len(waiting)} runs to come already")
    last = state.attempts[experiment.attempts[-1]] if experiment.attempts else None
    tier = Tier.VALIDATE if kind is AttemptKind.VALIDATION else Tier.SCREEN
    attempt = another(
        state, name, kind, rule=f"person:{author}", tier=tier, hardware=hardware, avoid=last.cluster if last else ""
    )
    return Queued(at=at, attempt=attempt, reason=f"{author} asked for it")


def _rank_before(state: State, name: str, before: str) -> float:
    ranks = sorted(wave.rank for wave in state.waves.values() if wave.id != name)
    if not before:
        return (ranks[-1] if ranks else 0.0) + 1.0
    at = _wave(state, before).rank
    lower = [rank for rank in ranks if rank < at]
    return (lower[-1] + at) / 2 if lower else at - 1.0


def _proposal(state: State, name: str) -> Wave:
    wave = _wave(state, name)
    if wave.status is not WaveStatus.PROPOSED:
        raise Refused(f"{name} is {wave.status} already" + f" (by {wave.decided_by})" * bool(wave.decided_by))
    return wave


def _wave(state: State, name: str) -> Wave:
    wave = state.waves.get(name)
    if wave is None:
        raise Refused(f"there is no wave {name!r}: `cockpit status` lists them")
    return wave


def _experiment(state: State, name: str) -> Experiment:
    experiment = state.experiments.get(name)
    if experiment is None:
        raise Refused(f"there is no experiment {name!r}: `cockpit results` lists them")
    return experiment


def _target(state: State, target: str) -> str:
    if target and target not in state.waves and target not in state.clusters:
        raise Refused(f"there is no wave or cluster {target!r} to hold or resume")
    return target
