"""A session in one object, for `cockpit status --json`, outside agents and scripts. Pure."""

from typing import Any

from cockpit.core.model import ExperimentStatus, Wave, WaveStatus
from cockpit.core.state import State, ending_text
from cockpit.core.totals import EarlyStops
from cockpit.decide.budget import Accounts, accounts
from cockpit.read.checks import origin_of, unchecked
from cockpit.read.forecasts import forecasts_of
from cockpit.read.launches import launch_note
from cockpit.read.model_cost import ModelCost, model_cost
from cockpit.read.needs import needs
from cockpit.read.proposer_results import ProposerResult, proposer_results
from cockpit.read.scores import kept_estimate, kept_experiments, score_of
from cockpit.read.second_metrics import second_means
from cockpit.science.forecast import Forecast

Json = dict[str, Any]


def status(state: State, now: float, worker: Json) -> Json:
    """Return the session at `now`. `worker` is the state of its worker. Names of numbers end in their units."""
    session = state.session
    books = accounts(state, now)
    return {
        "session": session.name,
        "mode": str(state.mode),
        "proposer": state.proposer,
        "fleet": session.fleet.kind,
        "simulated": session.fleet.simulated,
        "metric": {"name": session.metric.name, "direction": str(session.metric.direction)},
        "corpus": state.corpus,
        "preset": state.preset,
        "held": state.held,
        "ending": ending_text(state),
        "phase": state.phase,
        "worker": worker,
        "clusters": [_cluster(state, name, now) for name in state.clusters],
        "waves": [_wave(state, name) for name in state.waves],
        "experiments": counts(state),
        "best": _scored(state, state.incumbent),
        "baseline": _scored(state, state.baseline),
        "duty": round(books.duty, 4),
        "gpu_hours": round(books.gpu_hours, 4),
        "spend": _spend(state, books, now),
        "unchecked": unchecked(state),
        "proposers": [_proposer(one) for one in proposer_results(state)],
        "early_stops": _early_stops(state.early_stops),
        "needs": [need.sentence for need in needs(state, now)],
    }


def counts(state: State) -> dict[str, int]:
    """Count the experiments by status. `valid` counts each one with a result; `kept` leaves the baseline out.

    `not_run` counts those that were still queued when the session ended.
    """
    by = {status: state.status_counts.get(status, 0) for status in ExperimentStatus}
    return {
        "proposed": by[ExperimentStatus.PROPOSED],
        "queued": 0 if state.ended_at else by[ExperimentStatus.QUEUED],
        "not_run": by[ExperimentStatus.QUEUED] if state.ended_at else 0,
        "running": by[ExperimentStatus.RUNNING],
        "valid": by[ExperimentStatus.VALID] + by[ExperimentStatus.KEPT] + by[ExperimentStatus.DISCARDED],
        "crashed": by[ExperimentStatus.CRASHED],
        "kept": len(kept_experiments(state)),
        "discarded": by[ExperimentStatus.DISCARDED],
        "dropped": by[ExperimentStatus.DROPPED],
    }


def _spend(state: State, books: Accounts, now: float) -> Json:
    return {
        "gpu_usd": round(books.gpu_usd, 4),
        "api_usd": round(books.api_usd, 4),
        "tokens": {
            "input": state.spend.input_tokens,
            "cache_read": state.spend.cache_read_tokens,
            "cache_write": state.spend.cache_write_tokens,
            "output": state.spend.output_tokens,
        },
        "budget_usd": state.budget_usd,
        "model": _model_cost(model_cost(state, now)),
    }


def _early_stops(counted: EarlyStops) -> Json:
    return {
        "on": counted.on,
        "ended": counted.ended,
        "saved_hours": round(counted.saved_s / 3600, 4),
        "checked": counted.checked,
        "mistaken": counted.mistaken,
    }


def _model_cost(cost: ModelCost | None) -> Json | None:
    """Return the built-in researcher's cost against its estimate."""
    if cost is None:
        return None
    to_come = cost.to_come_usd
    return {
        "requests": cost.requests,
        "estimated_requests": cost.estimate.requests,
        "estimated_usd": round(cost.estimate.usd, 4),
        "estimated_hours": cost.estimate.hours,
        "effort": cost.estimate.effort,
        "usd_per_hour": None if cost.usd_per_hour is None else round(cost.usd_per_hour, 4),
        "to_come_usd": None if to_come is None else round(to_come, 4),
    }


def _proposer(one: ProposerResult) -> Json:
    return {
        "name": one.name,
        "share": round(one.share, 4),
        "arms": one.arms,
        "api_usd": round(one.api_usd, 4),
        "unmetered_turns": one.unmetered,
        "wall": one.wall,
        "kept": list(one.keeps),
    }


def _cluster(state: State, name: str, now: float) -> Json:
    cluster = state.clusters[name]
    idle = cluster.state == "idle"
    return {
        "name": name,
        "hardware": cluster.hardware,
        "state": str(cluster.state),
        "experiment": state.attempts[cluster.running].experiment if cluster.running else None,
        "attempt": cluster.running or None,
        "next": list(cluster.ahead),
        "idle_seconds": round(max(0.0, now - cluster.since), 1) if idle else 0.0,
        "held": cluster.held,
        "billed": cluster.billed,
        "message": cluster.message,
        "launch": launch_note(state, cluster, now),
    }


def _wave(state: State, name: str) -> Json:
    wave = state.waves[name]
    return {
        "wave": name,
        "proposer": wave.proposer,
        "kind": str(wave.kind),
        "status": str(wave.status),
        "question": wave.question,
        "factors": wave.factors,
        "arms": wave.arms,
        "held": wave.held,
        "rule": wave.rule,
        "reason": wave.reason,
        "forecast": _forecast(state, wave) if wave.status is WaveStatus.PROPOSED else {},
    }


def _forecast(state: State, wave: Wave) -> Json:
    """Return the forecast of a waiting wave by arm: crash probability and peak memory, each with its 90% interval."""
    found = forecasts_of(state, wave.arms)
    return {
        name: {
            "crash": _range(one.crash, 3),
            "peak_vram_mb": _range(one.peak_vram_mb, 0) if one.peak_vram_mb is not None else None,
            "runs": one.crash.runs,
        }
        for name, one in found.items()
    }


def _range(forecast: Forecast, digits: int) -> Json:
    return {name: round(getattr(forecast, name), digits) for name in ("mean", "low", "high")}


def _scored(state: State, name: str) -> Json | None:
    score = score_of(state, name)
    if score is None:
        return None
    experiment, metric = state.experiments[name], state.session.metric
    found: Json = {
        "experiment": name,
        metric.name: metric.number(score.mean, 6),
        "hardware": score.hardware,
        **({"others": second} if (second := second_means(state, name)) else {}),
        "scored": origin_of(state, experiment),
        "runs": {hardware: len(scores) for hardware, scores in experiment.scores.items()},
    }
    estimate = kept_estimate(state, name)
    if estimate is not None:
        low, high = metric.interval(estimate.low, estimate.high)
        found["gain"] = {
            "mean": metric.value(estimate.mean),
            "low": low,
            "high": high,
            "level": estimate.level,
            "against": estimate.against,
        }
    return found
