"""results.tsv in autoresearch's format: one tab-separated line an experiment, in the order they were proposed.

The columns are autoresearch's, then the hardware class of the score, since scores of two classes are never compared,
and how the score was produced.
"""

from collections.abc import Container, Iterator

from cockpit.core.metric import Metric, precise
from cockpit.core.model import Experiment, ExperimentStatus
from cockpit.core.state import State
from cockpit.read.changes import change_words
from cockpit.read.checks import origin_of
from cockpit.read.scores import Score, score_of

_STATUS = {
    ExperimentStatus.KEPT: "keep",
    ExperimentStatus.DISCARDED: "discard",
    ExperimentStatus.VALID: "discard",
    ExperimentStatus.CRASHED: "crash",
}


def results_tsv(state: State, only: Container[str] | None = None) -> Iterator[str]:
    """Yield the lines, header first. A crash scores 0.000000, as in autoresearch; simulated results say so.

    With `only`, yield only these experiments.

    An experiment that was ended early has no score and counts as a crash, because readers of such a file take the
    score of every other line as measured. Experiments that never ran are left out.
    """
    metric = state.session.metric
    yield "\t".join(("commit", clean(metric.name), "memory_gb", "status", "description", "class", "scored"))
    simulated = state.session.fleet.simulated
    for experiment in state.experiments.values():
        status = _STATUS.get(experiment.status)
        if status is None or (only is not None and experiment.id not in only):
            continue
        description = f"{experiment.id} {change_words(experiment)}"
        if experiment.status is ExperimentStatus.VALID:
            description += " (undecided)"
        elif experiment.status is ExperimentStatus.DISCARDED and not experiment.scores:
            if not any(state.attempts[name].started_at for name in experiment.attempts):
                continue
            status, description = _STATUS[ExperimentStatus.CRASHED], f"{description} (no score: {experiment.reason})"
        if simulated:
            description = f"SIMULATED {description}"
        score = score_of(state, experiment.id)
        yield "\t".join(
            (experiment.commit[:7], _value(metric, score), f"{memory_gb(state, experiment):.1f}",
             status, clean(description), clean(score.hardware if score else ""), origin_of(state, experiment))
        )  # fmt: skip


def _value(metric: Metric, score: Score | None) -> str:
    return precise(metric.value(score.mean) if score else 0.0)


def memory_gb(state: State, experiment: Experiment) -> float:
    """Return the peak memory of any of its runs, in GiB."""
    peaks = [
        attempt.metrics.peak_vram_mb
        for attempt in (state.attempts[name] for name in experiment.attempts)
        if attempt.metrics is not None
    ]
    return max(peaks, default=0.0) / 1024


def clean(text: str) -> str:
    """Return the text as one field: tabs, line ends and terminal escapes become spaces."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
