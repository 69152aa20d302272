"""Build the body of a keep's certificate from the session's state. Pure."""

import platform
import sys
from typing import Any

import msgspec

from cockpit import __version__
from cockpit.core.metric import Metric
from cockpit.core.model import Attempt, AttemptKind, Estimate, Experiment
from cockpit.core.rescore import Rescore
from cockpit.core.state import State
from cockpit.decide.evidence import noise_of
from cockpit.read.checks import unchecked
from cockpit.science.noise import Noise

FORMAT = 1
Json = dict[str, Any]


def body(state: State, ledger_events: int, ledger_link: str, key: str) -> Json:
    """Return the body of the certificate of the newest keep: plain JSON values."""
    kept = state.incumbencies[-1]
    experiment = state.experiments[kept.experiment]
    rescore = _rescore(state, experiment)
    runs = [run for run in (state.attempts[name] for name in experiment.attempts) if run.metrics]
    metric = state.session.metric
    estimate = kept.estimate or experiment.estimate
    return {
        "format": FORMAT,
        **_rules(state),
        **_code(state, experiment),
        "kept_at": kept.at,
        "kept_by": kept.author,
        "reason": kept.reason,
        "runs": [_run(metric, run) for run in runs],
        "noise": _noise(noise_of(state)),
        "level": experiment.test_level,
        "estimate": _estimate(metric, estimate) if estimate else None,
        "rescore": msgspec.to_builtins(rescore) if rescore else None,
        "probes": list(rescore.passed) if rescore else [],
        "unchecked": unchecked(state),
        "versions": {"cockpit": __version__, "python": platform.python_version(), "platform": sys.platform},
        "ledger": {"events": ledger_events, "link": ledger_link},
        "previous": list(state.certificates.values())[-1] if state.certificates else "",
        "key": key,
    }


def _rules(state: State) -> Json:
    """Return the rules under which all runs of the session are compared."""
    session = state.session
    return {
        "session": session.name,
        "simulated": session.fleet.simulated,
        "corpus": state.corpus,
        "data": state.data,
        "preset": state.preset,
        "time_budget_s": session.time_budget_s,
        "metric": {"name": session.metric.name, "direction": str(session.metric.direction)},
    }


def _code(state: State, experiment: Experiment) -> Json:
    """Return the code of an experiment and of its base, by commits and hashes."""
    base = state.experiments.get(experiment.base)
    return {
        "experiment": experiment.id,
        "commit": experiment.commit,
        "script": state.session.script,
        "files": list(state.session.editable),
        "files_sha256": experiment.file_hashes,
        "protected_sha256": state.experiments[state.baseline].protected_hashes,
        "train_sha256": experiment.train_hash,
        "prepare_sha256": experiment.prepare_hash,
        "base": experiment.base,
        "base_commit": base.commit if base else "",
    }


def _run(metric: Metric, run: Attempt) -> Json:
    return {
        "attempt": run.id,
        "kind": str(run.kind),
        "class": run.hardware,
        "seed": run.seed,
        metric.name: metric.value(run.metrics.score) if run.metrics else None,
        "confinement": run.wall,
    }


def _noise(noise: Noise) -> Json:
    return {
        "run_sd": noise.run_sd,
        "degrees_of_freedom": noise.df,
        "readings": noise.readings,
        "seed_correlation": noise.seed_correlation,
    }


def _estimate(metric: Metric, estimate: Estimate) -> Json:
    """Return an estimate in values of the metric."""
    low, high = metric.interval(estimate.low, estimate.high)
    found: Json = msgspec.to_builtins(estimate)
    return found | {"mean": metric.value(estimate.mean), "low": low, "high": high}


def _rescore(state: State, experiment: Experiment) -> Rescore | None:
    runs = (state.attempts[name] for name in reversed(experiment.attempts))
    found = (run.rescore for run in runs if run.kind is AttemptKind.CONFIRMATION and run.rescore)
    return next((one for one in found if one.public_bpb and not one.failed), None)
