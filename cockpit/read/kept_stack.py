"""The stack: the kept changes in order, each with its gain, cost and ablation; the total gain, and the pace of keeps.

A gain is the estimate of a difference as the session holds it: negative is better. `Pace` counts improvements, which
are positive.
"""

from bisect import bisect_left

import msgspec

from cockpit.core.model import Estimate, Experiment, ExperimentStatus
from cockpit.core.running_time import running_s
from cockpit.core.state import WITHOUT, Incumbency, State
from cockpit.decide.budget import accounts
from cockpit.decide.kept_changes import unablated
from cockpit.read.changes import change_steps
from cockpit.read.checks import origin_of
from cockpit.read.costs import run_usd
from cockpit.read.effects import gain_of, is_clear
from cockpit.read.scores import kept_estimate, kept_experiments
from cockpit.read.wording import estimate_words
from cockpit.science.pace import gain_per_hour

PACE_KEEPS = 5
"""The last keeps that the pace is taken from."""
MILLI = 1e-3


class KeptChange(msgspec.Struct, frozen=True):
    """A kept change, in the order of the keeps."""

    experiment: str
    at: float
    """When it became the incumbent for the last time."""
    change: str
    """`MATRIX_LR 0.04 → 0.05`, against the experiment that the gain is a difference to."""
    estimate: Estimate | None
    """The difference that it was kept on."""
    runs: int
    """Its valid runs in all classes."""
    runs_usd: float
    """Dollars of all runs that ended since the keep before it, or since the beginning."""
    origin: str
    """How its score came to be, as `origin_of` words it."""
    ablation: str
    """The result of leaving the change out of the incumbent again, in a clause; empty if no ablation is due."""


class Pace(msgspec.Struct, frozen=True):
    """The pace of improvement by the last keeps, up to now."""

    keeps: int
    """The number of keeps that it is taken from."""
    ran_h: float
    """Hours that the session has run since its baseline was measured."""
    since_keep_s: float
    """Seconds since the last keep."""
    gain_per_hour: float
    """The gains of those keeps over the hours from the keep before them until now: the expected gain of an hour."""
    low: float
    """Lower end of its interval."""
    high: float


class Stack(msgspec.Struct, frozen=True):
    kept: tuple[KeptChange, ...]
    total: Estimate | None
    """The incumbent against the baseline; None while they are the same, or share no class."""
    spent_usd: float
    """All dollars of the session so far."""
    pace: Pace | None
    """None before the first keep."""
    usd_per_milli: float | None
    """Dollars spent for a thousandth of the metric; None while the total gain is within the noise."""


def stack_of(state: State, now: float) -> Stack:
    """Return the stack at `now`."""
    names = kept_experiments(state)
    steps = {one.experiment: one for one in state.incumbencies}
    usd = _usd_between(state, [steps[name].at for name in names])
    ablations = _ablations(state)
    kept = tuple(
        _kept(state, steps[name], cost, ablations.get(name, "")) for name, cost in zip(names, usd, strict=True)
    )
    compared = gain_of(state)
    total = compared.pooled if compared else None
    spent = accounts(state, now).total_usd
    clear = total is not None and total.mean < 0 and is_clear(total)
    return Stack(
        kept=kept,
        total=total,
        spent_usd=spent,
        pace=pace_of(state, state.ended_at or now),
        usd_per_milli=spent / (-total.mean / MILLI) if total is not None and clear and spent else None,
    )


def pace_of(state: State, now: float) -> Pace | None:
    """Return the pace of keeps at `now`; None before the first."""
    kept = set(kept_experiments(state))
    last = {one.experiment: running_s(state, one.at) for one in state.incumbencies if one.experiment in kept}
    if not last:
        return None
    keeps = sorted(last.items(), key=lambda keep: keep[1])
    counted = keeps[-PACE_KEEPS:]
    before = keeps[: -len(counted)]
    measured, ran = running_s(state, _measured_from(state)), running_s(state, now)
    hours = max(1.0, ran - (before[-1][1] if before else measured)) / 3600
    estimates = (kept_estimate(state, name) for name, _ in counted)
    gains = [max(0.0, -one.mean) if one is not None else 0.0 for one in estimates]
    found = gain_per_hour(gains, hours)
    since_keep_s = max(0.0, ran - keeps[-1][1])
    return Pace(len(counted), (ran - measured) / 3600, since_keep_s, found.mean, found.low, found.high)


def pace_words(pace: Pace) -> str:
    """Return the gain expected of the next hour with its interval, two digits each: `0.00076 (0.00029 to 0.0025)`."""
    mean, low, high = (f"{float(f'{one:.2g}'):.10g}" for one in (pace.gain_per_hour, pace.low, pace.high))
    return f"{mean} ({low} to {high})"


def kept_words(state: State, name: str) -> str:
    """Return `e0345 kept: MATRIX_LR 0.04 → 0.05, −0.0006 ± 0.0002 over 6 runs`."""
    estimate = kept_estimate(state, name)
    said = change_steps(state, state.experiments[name], measured_against(state, name))
    return f"{name} kept: {said}" + (f", {estimate_words(state.session.metric, estimate)}" if estimate else "")


def measured_against(state: State, name: str) -> str:
    """Return the experiment that a keep's gain is a difference to: the incumbent of its time, else its base."""
    estimate = kept_estimate(state, name)
    return estimate.against if estimate else state.experiments[name].base


def _kept(state: State, step: Incumbency, usd: float, ablation: str) -> KeptChange:
    experiment = state.experiments[step.experiment]
    return KeptChange(
        experiment=experiment.id,
        at=step.at,
        change=change_steps(state, experiment, measured_against(state, experiment.id)),
        estimate=kept_estimate(state, experiment.id),
        runs=sum(len(scores) for scores in experiment.scores.values()),
        runs_usd=usd,
        origin=origin_of(state, experiment),
        ablation=ablation,
    )


def _usd_between(state: State, ends: list[float]) -> list[float]:
    """Return the dollars of the runs that ended up to each time and after the one before."""
    usd = [0.0] * (len(ends) + 1)
    for attempt in state.attempts.values():
        if attempt.ended_at and attempt.started_at:
            usd[bisect_left(ends, attempt.ended_at)] += run_usd(state, attempt, attempt.ended_at)
    return usd[: len(ends)]


def _ablations(state: State) -> dict[str, str]:
    """Return the result of leaving each kept change out: the newest, or the ablation still to come where one is due."""
    newest = {
        str(one.levels[WITHOUT]): one
        for one in (state.experiments[name] for name in state.ablations)
        if one.status is not ExperimentStatus.DROPPED
    }
    return dict.fromkeys(unablated(state), "not ablated") | {
        name: _ablation(state, one) for name, one in newest.items()
    }


def _ablation(state: State, newest: Experiment) -> str:
    """Return the result of an ablation, in a clause."""
    if newest.estimate is None:
        return {
            ExperimentStatus.PROPOSED: "ablation proposed",
            ExperimentStatus.QUEUED: "ablation queued",
            ExperimentStatus.CRASHED: "its ablation crashed",
            ExperimentStatus.DISCARDED: "its ablation gave no result",
        }.get(newest.status, "ablation under way")
    if newest.status is ExperimentStatus.KEPT:
        return f"dropped by {newest.id}: {estimate_words(state.session.metric, newest.estimate)} without it"
    return f"ablated: {estimate_words(state.session.metric, newest.estimate)} without it"


def _measured_from(state: State) -> float:
    """Return when the baseline was first the incumbent; the beginning where it never was."""
    return next((one.at for one in state.incumbencies), state.session.created_at)
