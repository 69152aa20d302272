"""results.tsv as autoresearch has it: a line an experiment, tab-separated, in the order they were proposed."""

from collections.abc import Iterator

from cockpit.core.model import Experiment, ExperimentStatus
from cockpit.core.state import State

HEADER = ("commit", "val_bpb", "memory_gb", "status", "description")
_STATUS = {
    ExperimentStatus.KEPT: "keep",
    ExperimentStatus.DISCARDED: "discard",
    ExperimentStatus.VALID: "discard",
    ExperimentStatus.CRASHED: "crash",
}


def results_tsv(state: State) -> Iterator[str]:
    """The lines, header first. A crash scores 0.000000, as in autoresearch; what is simulated says so.

    What was ended early has no score either, and is put down as a crash: whoever reads such a file takes every other
    line's score for one. What never ran is left out.
    """
    yield "\t".join(HEADER)
    simulated = bool(state.session and state.session.fleet.simulated)
    for experiment in state.experiments.values():
        status = _STATUS.get(experiment.status)
        if status is None:
            continue
        description = f"{experiment.id} {what(experiment)}"
        if experiment.status is ExperimentStatus.VALID:
            description += " (undecided)"
        elif experiment.status is ExperimentStatus.DISCARDED and not experiment.scores:
            if not any(state.attempts[name].started_at for name in experiment.attempts):
                continue
            status, description = _STATUS[ExperimentStatus.CRASHED], f"{description} (no score: {experiment.reason})"
        if simulated:
            description = f"SIMULATED {description}"
        yield "\t".join(
            (experiment.commit[:7], f"{score(experiment):.6f}", f"{memory_gb(state, experiment):.1f}", status,
             clean(description))
        )  # fmt: skip


def what(experiment: Experiment) -> str:
    """The change in a few words: its constants, its edits, or why it was made."""
    parts = [f"{name}={value}" for name, value in experiment.change.constants.items()]
    if experiment.change.edits:
        parts.append(experiment.why)
    return ", ".join(parts) or experiment.why


def score(experiment: Experiment) -> float:
    """Mean val_bpb in the class it did best in; 0 where it has no result."""
    means = [sum(scores) / len(scores) for scores in experiment.scores.values()]
    return min(means, default=0.0)


def memory_gb(state: State, experiment: Experiment) -> float:
    """The most that any of its runs used, in GiB."""
    peaks = [
        attempt.metrics.peak_vram_mb
        for attempt in (state.attempts[name] for name in experiment.attempts)
        if attempt.metrics is not None
    ]
    return max(peaks, default=0.0) / 1024


def clean(text: str) -> str:
    """One field of a line: no tab, no line end, nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
