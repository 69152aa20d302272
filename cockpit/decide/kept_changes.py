"""The kept changes that the incumbent consists of, and those without an ablation."""

from cockpit.core.model import ExperimentStatus
from cockpit.core.state import WITHOUT, State


def kept_changes(state: State) -> list[str]:
    """Return the kept experiments that the incumbent consists of, oldest first; empty while it is the baseline."""
    found = [one.experiment for one in state.incumbencies if one.experiment != state.baseline]
    return list(dict.fromkeys(found)) if found and found[-1] == state.incumbent else []


def unablated(state: State) -> list[str]:
    """Return the kept experiments whose change no ablation has dropped from the incumbent yet.

    The newest keep needs none: it was measured against all the others. Neither does a keep of an ablation.
    """
    kept = kept_changes(state)
    if not kept:
        return []
    before = kept[-2] if len(kept) > 1 else state.baseline
    if state.experiments[kept[-1]].base == before:
        kept = kept[:-1]
    settled = {
        experiment.levels[WITHOUT]
        for experiment in (state.experiments[name] for name in state.ablations)
        if experiment.status is not ExperimentStatus.DROPPED
        and (experiment.base == state.incumbent or experiment.estimate is not None)
    }
    return [name for name in kept if name not in settled and WITHOUT not in state.experiments[name].levels]


def unablated_summary(state: State) -> str:
    """Name the kept changes without an ablation in a clause; empty for none."""
    names = unablated(state)
    return f"kept and not ablated since: {', '.join(names)}" if names else ""
