"""Sum up the results of each proposer: arms, GPU-hours, dollars of its model, and keeps."""

import msgspec

from cockpit.core.model import WaveKind
from cockpit.core.state import State, shares
from cockpit.read.scores import kept_experiments


class ProposerResult(msgspec.Struct, frozen=True):
    """One proposer's part in the session."""

    name: str
    share: float
    """Its part in the arms that proposers are asked for; 0 if it is not asked."""
    arms: int
    """The arms of its waves, without filler."""
    api_usd: float
    """Dollars that its model reported; turns without a report are not in it."""
    unmetered: int
    """Its turns without a report of their cost."""
    wall: str
    """The wall around its process, `unconfined` without one; empty if the worker starts none."""
    keeps: tuple[str, ...]
    """Its experiments that were kept, in order."""


def proposer_results(state: State) -> list[ProposerResult]:
    """Return the proposers that are asked, and those that proposed arms before, in this order."""
    asked = shares(state)
    whole = sum(asked.values())
    keeps: dict[str, list[str]] = {}
    for kept in kept_experiments(state):
        keeps.setdefault(state.waves[state.experiments[kept].wave].proposer, []).append(kept)
    names = dict.fromkeys((*filter(None, asked), *state.arms_proposed, *state.api_usd_by, *keeps))
    return [
        ProposerResult(
            name,
            asked.get(name, 0.0) / whole,
            state.arms_proposed.get(name, 0),
            state.api_usd_by.get(name, 0.0),
            state.unmetered.get(name, 0),
            state.agent_walls.get(name, ""),
            tuple(keeps.get(name, ())),
        )
        for name in names
    ]


def gpu_hours_by_proposer(state: State) -> dict[str, float]:
    """Return the hours of all runs of each proposer's arms, times the GPUs of their clusters. Reads every attempt."""
    hours: dict[str, float] = {}
    for attempt in state.attempts.values():
        wave = state.waves[state.experiments[attempt.experiment].wave]
        if wave.kind is WaveKind.BASELINE or not (attempt.started_at and attempt.ended_at):
            continue
        cluster = state.clusters.get(attempt.cluster)
        spent = (attempt.ended_at - attempt.started_at) / 3600 * (cluster.gpus if cluster else 1)
        hours[wave.proposer] = hours.get(wave.proposer, 0.0) + spent
    return hours
