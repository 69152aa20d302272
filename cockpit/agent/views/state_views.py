"""Rows and records of the state for an agent: pure functions of the state. All their texts are plain."""

from collections.abc import Callable
from typing import Any

from cockpit.agent.arguments import QueryExperiments
from cockpit.agent.views.quoting import clip, line, plain, words_of_run
from cockpit.core.metric import Metric
from cockpit.core.model import Attempt, AttemptStatus, Estimate, Experiment, ExperimentStatus, Value
from cockpit.core.rescore import NO_SCORE
from cockpit.core.state import State
from cockpit.read import changes, wording
from cockpit.read.scores import comparison_class, score_of

ATTEMPTS_SHOWN = 12
"""The newest attempts in an experiment's record."""
ENDED_STATUSES = (ExperimentStatus.VALID, ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.CRASHED)


def change_words(experiment: Experiment, most: int = 160) -> str:
    """Return `DEPTH=10, WIDTH=768, code +12 −3 (purpose)` in at most `most` characters."""
    return line(changes.change_words(experiment), most)


def value_words(value: Value) -> str:
    """Return a constant as on the screen, in at most 60 characters."""
    return clip(plain(wording.value(value)), 60)


def row_columns(state: State) -> tuple[str, ...]:
    """Return the names of the columns of `row`. The score's is the session's metric."""
    name = state.session.metric.name
    return ("id", "wave", "tier", "status", "base", "change", name, "runs", "class", "vs_incumbent", "note")


def row(state: State, experiment: Experiment, hardware: str = "") -> list[Any]:
    """Return the experiment as `row_columns`."""
    metric = state.session.metric
    score = score_of(state, experiment.id, hardware)
    incumbent = score_of(state, state.incumbent, score.hardware) if score else None
    return [
        experiment.id,
        experiment.wave,
        str(experiment.tier),
        str(experiment.status),
        experiment.base,
        change_words(experiment),
        metric.number(score.mean, 5) if score else None,
        score.runs if score else 0,
        score.hardware if score else hardware,
        metric.number(score.mean - incumbent.mean, 5) if score and incumbent else None,
        verdict_of(experiment, 120) or line(experiment.why, 120),
    ]


def verdict_of(experiment: Experiment, most: int) -> str:
    """Return the reason of an experiment's end, in quotes if it may hold words of its run."""
    of_run = experiment.status is ExperimentStatus.CRASHED or NO_SCORE in experiment.reason
    return words_of_run(experiment.reason, most) if of_run else line(experiment.reason, most)


def matches(state: State, experiment: Experiment, query: QueryExperiments) -> bool:
    wanted = query.constants
    if wanted:
        baseline = state.session.constants
        for name, value in wanted.items():
            if experiment.overrides.get(name, baseline.get(name)) != value:
                return False
    if query.better_than is not None:
        score = score_of(state, experiment.id, query.hardware or comparison_class(state))
        if score is None or score.mean >= state.session.metric.score(query.better_than):
            return False
    return (
        (not query.status or experiment.status in query.status)
        and (query.wave is None or experiment.wave == query.wave)
        and (query.base is None or experiment.base == query.base)
        and (query.tier is None or experiment.tier == query.tier)
        and (query.proposer is None or state.waves[experiment.wave].proposer == query.proposer)
        and (query.edited is None or bool(experiment.change.edits) is query.edited)
        and (query.hardware is None or query.hardware in experiment.scores)
    )


def query(state: State, wanted: QueryExperiments) -> dict[str, Any]:
    found = [experiment for experiment in state.experiments.values() if matches(state, experiment, wanted)]
    hardware = wanted.hardware or ""

    def by_score(experiment: Experiment) -> tuple[bool, float]:
        score = score_of(state, experiment.id, hardware or comparison_class(state))
        return score is None, score.mean if score else 0.0

    match wanted.sort:
        case "score":
            found.sort(key=by_score)
        case "newest":
            found.reverse()
    rows = [row(state, experiment, hardware) for experiment in found[: wanted.limit]]
    return {"found": len(found), "columns": list(row_columns(state)), "rows": rows}


def estimate_words(metric: Metric, estimate: Estimate | None) -> str:
    """Word an estimate in values of the metric."""
    if estimate is None:
        return ""
    return (
        f"{metric.signed(estimate.mean, 5)} {metric.span(estimate.low, estimate.high, 5)} at {estimate.level:.0%}"
        f" against {estimate.against} ({wording.runs_words(estimate)}, {estimate.hardware})"
    )


def record(state: State, name: str) -> dict[str, Any]:
    """Return one experiment in full. Raises KeyError for an unknown one."""
    experiment = state.experiments[name]
    wave = state.waves[experiment.wave]
    metric = state.session.metric
    return {
        "experiment": experiment.id,
        "wave": {"id": wave.id, "question": line(wave.question), "proposer": line(wave.proposer, 80)},
        "base": experiment.base,
        "status": str(experiment.status),
        "tier": str(experiment.tier),
        "change": change_words(experiment, 600),
        "differs_from_baseline": {key: experiment.overrides[key] for key in list(experiment.overrides)[:60]},
        "why": line(experiment.why, 600),
        "fixes": experiment.fixes,
        "verdict": verdict_of(experiment, 400),
        "estimate": estimate_words(metric, experiment.estimate),
        "scores": {
            name: [metric.number(score, 6) for score in scores[-16:]] for name, scores in experiment.scores.items()
        },
        "attempts": [_attempt_record(state, state.attempts[each]) for each in experiment.attempts[-ATTEMPTS_SHOWN:]],
        "attempts_in_all": len(experiment.attempts),
    }


def _attempt_record(state: State, attempt: Attempt) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": attempt.id,
        "kind": str(attempt.kind),
        "seed": attempt.seed,
        "status": str(attempt.outcome or attempt.status),
        "cluster": attempt.cluster,
        "class": attempt.hardware,
    }
    if attempt.cluster in state.flagged:
        shown["cluster_suspect"] = line(state.flagged[attempt.cluster])
    if attempt.metrics is not None:
        metrics = attempt.metrics
        shown |= {
            "steps": metrics.num_steps,
            "mfu_percent": metrics.mfu_percent,
            "peak_vram_mb": metrics.peak_vram_mb,
            "params_M": metrics.num_params_M,
            "tokens_M": metrics.total_tokens_M,
            **metrics.others,
            state.session.metric.name: state.session.metric.value(metrics.score),
        }
    if attempt.progress is not None and attempt.status is AttemptStatus.RUNNING:
        shown |= {"done": round(attempt.progress.fraction, 3), "loss": round(attempt.progress.loss, 4)}
    if attempt.message:
        shown["message"] = words_of_run(attempt.message)
    return shown


def crash_root(state: State, experiment: str) -> str:
    """Return the experiment that first tried the idea, found by following `fixes` back."""
    seen = set()
    while (fixes := state.experiments[experiment].fixes) in state.experiments and fixes not in seen:
        seen.add(fixes)
        experiment = fixes
    return experiment


def crashes_of_idea(state: State, experiment: str) -> int:
    """Count the crashed experiments of an idea: this one and those that it fixes."""
    count, seen, name = 0, set[str](), experiment
    while name in state.experiments and name not in seen:
        seen.add(name)
        count += state.experiments[name].status is ExperimentStatus.CRASHED
        name = state.experiments[name].fixes
    return count


def last_attempt(state: State, name: str, wanted: Callable[[str], bool] = bool) -> str:
    """Return the attempt `name`, or the last attempt of the experiment `name`. Raises KeyError without one."""
    if name in state.attempts:
        return name
    experiment = state.experiments.get(name)
    attempts = [each for each in experiment.attempts if wanted(each)] if experiment else []
    if not attempts:
        raise KeyError(name)
    return attempts[-1]
