"""Dollars and time of runs and waves: spent so far, and still to come."""

import math
from collections.abc import Iterable

import msgspec

from cockpit.core.model import Attempt, AttemptStatus, ClusterState, Experiment, ExperimentStatus, Wave, WaveStatus
from cockpit.core.state import State
from cockpit.decide.budget import paid_usd
from cockpit.decide.schedule import expected_run_s

CPU = "CPU"
"""The class of a slot without an accelerator."""
_UNUSABLE = (ClusterState.GIVEN_UP, ClusterState.LOST)


class WaveCost(msgspec.Struct, frozen=True):
    """The part of a wave that is still to run."""

    runs: int
    usd: float
    ends_in_s: float


def run_usd(state: State, attempt: Attempt, now: float) -> float:
    """Return the dollars a run has cost up to `now`, at the prices of its time."""
    cluster = state.clusters.get(attempt.cluster)
    if cluster is None or not attempt.started_at:
        return 0.0
    return paid_usd(attempt, cluster, now)


def spent_usd(state: State, arms: Iterable[Experiment], now: float) -> float:
    """Return the dollars the arms' runs have cost up to `now`."""
    return sum(run_usd(state, state.attempts[name], now) for arm in arms for name in arm.attempts)


def run_cost_usd(state: State, hardware: str = "") -> float:
    """Return the expected dollars of one more run, on a class or at the mean price of the clusters."""
    clusters = [one for one in state.clusters.values() if one.state not in _UNUSABLE]
    prices = [one.usd_per_hour for one in clusters if not hardware or one.hardware == hardware]
    prices = prices or [one.usd_per_hour for one in clusters]
    return expected_run_s(state) / 3600 * sum(prices) / max(1, len(prices))


def hour_usd(state: State) -> float:
    """Return the dollars that an hour of the clusters that are up costs, those included that are billed as up."""
    up = (ClusterState.IDLE, ClusterState.BUSY)
    return sum(one.usd_per_hour for one in state.clusters.values() if one.state in up or one.billed)


def wave_cost(state: State, wave: Wave) -> WaveCost:
    """Estimate the runs still to come, their dollars, and when the last ends if all that waits before it runs first."""
    runs = sum(_runs_to_come(state, state.experiments[name]) for name in wave.arms)
    proposed = wave.status is WaveStatus.PROPOSED
    runs += len(wave.again) * wave.replicates if proposed else 0
    slots = max(1, sum(one.state not in _UNUSABLE for one in state.clusters.values()))
    ahead = len(state.waiting) + len(state.in_flight) if proposed else 0
    rounds = math.ceil((runs + ahead) / slots) if runs else 0
    return WaveCost(runs, runs * run_cost_usd(state), rounds * expected_run_s(state))


def _runs_to_come(state: State, arm: Experiment) -> int:
    if arm.status is ExperimentStatus.PROPOSED:
        return arm.replicates
    return sum(state.attempts[name].status is not AttemptStatus.ENDED for name in arm.attempts)


def device_word(state: State) -> str:
    """Return the device whose hours are counted: `CPU` or `GPU`, or `device` where the session has both."""
    kinds = {"CPU" if one.hardware == CPU else "GPU" for one in state.clusters.values()}
    return "device" if len(kinds) > 1 else next(iter(kinds), "GPU")
