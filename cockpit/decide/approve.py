"""Approve proposals that need no person: the baseline, filler, and waves within the envelope."""

import math

import msgspec

from cockpit.core.events import Approved, Event
from cockpit.core.model import DECISIONS, AttemptKind, ClusterState, Mode, Tier, Wave, WaveKind
from cockpit.core.state import State
from cockpit.decide.budget import accounts, committed_usd, is_price_known, run_usd
from cockpit.decide.run_seeds import first_seeds
from cockpit.decide.schedule import RunSpec, next_attempt


def approve(state: State, now: float) -> list[Event]:
    """Approve the oldest proposal that needs no person. Its cost counts before the next one is considered."""
    for name in state.proposals:
        wave = state.waves[name]
        if rule := rule_for(state, wave, now):
            return [approval(state, wave, DECISIONS, rule, now)]
    return []


def approval(state: State, wave: Wave, author: str, rule: str, at: float) -> Approved:
    """Approve a wave, with the first attempts of its arms. Replicates differ in seed."""
    hardware = state.session.fleet.validate_hardware if wave.tier is Tier.VALIDATE else ""
    seeds = first_seeds(state, wave, max((state.experiments[name].replicates for name in wave.arms), default=0))
    runs = [
        msgspec.structs.replace(
            next_attempt(state, RunSpec(name, AttemptKind.ARM, rule, wave.tier, hardware), number), seed=seed
        )
        for name in wave.arms
        for number, seed in enumerate(seeds[: state.experiments[name].replicates])
    ]
    kind = AttemptKind.VALIDATION if wave.tier is Tier.VALIDATE else AttemptKind.REPLICATE
    for name in wave.again:
        last = state.experiments[name].attempts[-1:]
        avoid = state.attempts[last[0]].cluster if last else ""
        run = RunSpec(name, kind, rule, wave.tier, hardware, avoid)
        runs += [next_attempt(state, run, extra=number) for number in range(wave.replicates)]
    return Approved(at=at, wave=wave.id, author=author, rule=rule, attempts=runs)


def rule_for(state: State, wave: Wave, now: float) -> str:
    """Return the rule that approves the wave: `baseline`, `filler` or `envelope`; empty if a person must decide."""
    if wave.kind is WaveKind.BASELINE:
        return "baseline"
    if state.mode is Mode.MANUAL:
        return ""
    if wave.kind is WaveKind.FILLER:
        return "filler" if state.envelope.filler else ""
    return "" if outside_envelope(state, wave, now) else "envelope"


def outside_envelope(state: State, wave: Wave, now: float) -> str:
    """Return why the envelope does not cover the wave, in a sentence; empty if it does."""
    envelope = state.envelope
    trusted = wave.proposer in envelope.proposers
    if state.mode is not Mode.AUTOPILOT and not trusted:
        return f"in {state.mode} mode a person approves {wave.proposer}'s waves"
    if envelope.proposers and not trusted:
        return f"the envelope does not name {wave.proposer} (`cockpit approve {wave.id} --trust` adds it)"
    if envelope.until and now > envelope.until:
        return "the envelope has ended (`cockpit envelope --hours 8` gives it 8 more)"
    size = len(wave.arms) + len(wave.again)
    if size > envelope.wave_size:
        allowing = f"`cockpit envelope --wave-size {size}` allows it"
        return f"{size} arms are more than the envelope's {envelope.wave_size} ({allowing})"
    if not envelope.patches and any(state.experiments[arm].change.edits for arm in wave.arms):
        return "the envelope allows constants only, and an arm edits code (`cockpit envelope --patches` allows it)"
    if not is_price_known(state):
        return "no cluster has told its price yet: the envelope counts once the first is up"
    runs = sum(state.experiments[arm].replicates for arm in wave.arms) + len(wave.again) * wave.replicates
    dearest = max((run_usd(state, cluster) for cluster in state.clusters.values()), default=0.0)
    # The first run of a launch under way is one of those that wait.
    launching = [cluster for cluster in state.clusters.values() if cluster.state is ClusterState.LAUNCHING]
    paid = sum(run_usd(state, cluster) for cluster in launching)
    cost, due = runs * dearest, committed_usd(state, now) - paid + max(paid, len(state.waiting) * dearest)
    if cost and due + cost > envelope.usd:
        return (
            f"it may cost ${cost:.2f} on top of ${due:.2f} spent and approved, and the envelope ends at"
            f" ${envelope.usd:.2f} (`cockpit envelope --usd {math.ceil(due + cost)}` allows it)"
        )
    if envelope.gpu_hours:
        to_come = len(state.waiting) + len(state.in_flight) + runs
        most_gpus = max((cluster.gpus for cluster in state.clusters.values()), default=1)
        hours = to_come * state.session.time_limit_s / 3600 * most_gpus
        in_all = accounts(state, now).gpu_hours + hours
        if in_all > envelope.gpu_hours:
            allowing = f"`cockpit envelope --gpu-hours {math.ceil(in_all)}` allows it"
            return f"it may take {hours:.1f} GPU-hours, past the envelope's {envelope.gpu_hours:g} ({allowing})"
    return ""
