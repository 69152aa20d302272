"""What was kept on the way to the incumbent, and what of it was not yet dropped again to see whether it still helps."""

from cockpit.core.model import ExperimentStatus
from cockpit.core.state import State

WITHOUT = "without"
"""The factor that names, in an ablation, the kept experiment whose change was dropped."""


def kept_changes(state: State) -> list[str]:
    """The kept experiments that the incumbent is made of, oldest first; empty while it is the baseline."""
    found = [one.experiment for one in state.incumbencies if one.experiment != state.baseline]
    return list(dict.fromkeys(found)) if found and found[-1] == state.incumbent else []


def unablated(state: State) -> list[str]:
    """Kept experiments whose change is still to be dropped from the incumbent, to see whether it still helps.

    Not one kept last on top of the others, which was measured against exactly that; nor what an ablation kept.
    """
    kept = kept_changes(state)
    if not kept:
        return []
    before = kept[-2] if len(kept) > 1 else state.baseline
    if state.experiments[kept[-1]].base == before:
        kept = kept[:-1]
    settled = {
        experiment.levels[WITHOUT]
        for experiment in state.experiments.values()
        if WITHOUT in experiment.levels
        and experiment.status is not ExperimentStatus.DROPPED
        and (experiment.base == state.incumbent or experiment.estimate is not None)
    }
    return [name for name in kept if name not in settled and WITHOUT not in state.experiments[name].levels]


def unablated_summary(state: State) -> str:
    """What was kept and not looked at again, in a sentence; empty where there is none."""
    names = unablated(state)
    if not names:
        return ""
    was, it = ("was", "it") if len(names) == 1 else ("were", "each")
    return f"{', '.join(names)} {was} kept and not dropped again since, to see whether {it} still helps"
