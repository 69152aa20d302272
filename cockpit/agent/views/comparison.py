"""The comparison of two experiments, by the statistics of `cockpit.science` on the runs of this session."""

from typing import Any

from cockpit.agent.views.quoting import line
from cockpit.core.metric import Metric, rounded
from cockpit.core.model import Estimate
from cockpit.core.state import State
from cockpit.decide.evidence import noise_of, readings_of
from cockpit.science.compare import Comparison, compare


def comparison(state: State, a: str, b: str) -> dict[str, Any]:
    """Return the estimate of the metric of `a` less that of `b`, and which of them is better."""
    a_readings, b_readings = readings_of(state, a), readings_of(state, b)
    runs = ((a, a_readings), (b, b_readings))
    noise, metric = noise_of(state), state.session.metric
    found = compare(a_readings, b_readings, noise)
    answer: dict[str, Any] = {"a": a, "b": b, "runs": {a: len(a_readings), b: len(b_readings)}}
    if found is None:
        return answer | {
            "verdict": "No hardware class ran both; scores of different classes are never compared.",
            "classes": {name: sorted({reading.hardware for reading in readings}) for name, readings in runs},
        }
    return answer | {
        "verdict": _verdict(found, a, b),
        "metric": f"{metric.name}, {metric.better}",
        "difference": _shown(metric, found.pooled),
        "by_class": {line(name, 40): _shown(metric, estimate) for name, estimate in found.by_class.items()},
        "noise_units": round(found.noise_units, 2),
        "p_better_by_chance": round(found.p_value, 4),
        "ranking_flips_between_classes": found.flips,
        "run_sd": rounded(noise.run_sd, 6),
        "noise_measured_here": noise.measured,
    }


def _shown(metric: Metric, estimate: Estimate) -> dict[str, Any]:
    low, high = metric.interval(estimate.low, estimate.high)
    return {
        "mean": metric.number(estimate.mean, 6),
        "low": rounded(low, 6),
        "high": rounded(high, 6),
        "level": estimate.level,
        "runs": estimate.runs,
        "class": estimate.hardware,
    }


def _verdict(found: Comparison, a: str, b: str) -> str:
    if found.flips:
        return f"It depends on the hardware class: the classes rank {a} and {b} differently."
    if found.pooled.high < 0:
        return f"{a} is better than {b}, beyond the noise."
    if found.pooled.low > 0:
        return f"{a} is worse than {b}, beyond the noise."
    return f"Undecided: the difference of {a} and {b} is within the noise; more replicates may decide it."
