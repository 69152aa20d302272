"""Average and word the second metrics of an experiment."""

from statistics import fmean

from cockpit.core.state import State
from cockpit.decide.second_metrics import values_of


def second_means(state: State, experiment: str) -> dict[str, float]:
    """Return the mean of each second metric that the experiment's valid runs printed."""
    found = {name: values_of(state, experiment, name) for name in state.session.metric.others}
    return {name: fmean(values) for name, values in found.items() if values}


def second_words(state: State, experiment: str) -> str:
    """Return `peak_vram_mb 4800, test_acc 0.91`; empty if the session has no second metric, or none is printed."""
    return ", ".join(f"{name} {value:.6g}" for name, value in second_means(state, experiment).items())
