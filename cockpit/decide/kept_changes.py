"""The changes kept on the way to the incumbent, and those that no ablation has dropped again yet."""

from cockpit.core.model import ExperimentStatus
from cockpit.core.state import WITHOUT, State


def kept_changes(state: State) -> list[str]:
    """Return the kept experiments that the incumbent consists of, oldest first; empty while it is the baseline."""
    found = [one.experiment for one in state.incumbencies if one.experiment != state.baseline]
    return list(dict.fromkeys(found)) if found and found[-1] == state.incumbent else []


def unablated(state: State) -> list[str]:
    """Return the kept experiments whose change no ablation has dropped from the incumbent yet.

    The one kept last on top of the others was measured against exactly that, and what an ablation kept needs no other.
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
    """Name the kept changes without an ablation in a sentence; empty for none."""
    names = unablated(state)
    if not names:
        return ""
    was, it = ("was", "it") if len(names) == 1 else ("were", "each")
    return f"{', '.join(names)} {was} kept and not dropped again since, to see whether {it} still helps"
