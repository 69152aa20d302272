"""The content of a wave's row: its progress, its best arm and its money; the cost of a proposal."""

from dataclasses import dataclass

from cockpit.core.model import (
    Experiment,
    ExperimentStatus,
    Wave,
    WaveKind,
    WaveStatus,
)
from cockpit.core.state import State
from cockpit.read.costs import WaveCost, spent_usd, wave_cost
from cockpit.read.scores import difference_to_base
from cockpit.tui.figures import short_name, value
from cockpit.tui.plain import plain

_FINISHED = (
    ExperimentStatus.VALID,
    ExperimentStatus.KEPT,
    ExperimentStatus.DISCARDED,
    ExperimentStatus.CRASHED,
    ExperimentStatus.DROPPED,
)


@dataclass(frozen=True)
class WaveView:
    id: str
    glyph: str
    word: str
    ink: str
    proposer: str
    question: str
    shape: str
    """`AR 7 × MAT_LR 3`; `patch +1 −1`."""
    arms: int
    done: int
    best: str = ""
    best_delta: float | None = None
    spent_usd: float = 0.0
    coming_usd: float = 0.0
    ends_in_s: float = 0.0
    waiting: bool = False
    over: bool = False
    """Rejected or cancelled: what is not done of it never will be."""


def wave_view(state: State, wave: Wave, now: float) -> WaveView:
    arms = [state.experiments[name] for name in wave.arms]
    over = wave.status in (WaveStatus.REJECTED, WaveStatus.CANCELLED)
    done = sum(arm.status in _FINISHED and not (over and arm.status is ExperimentStatus.DROPPED) for arm in arms)
    running = sum(arm.status is ExperimentStatus.RUNNING for arm in arms)
    glyph, word, ink = _look(wave, running, len(arms) - done)
    best, delta = _best(state, arms)
    waiting = wave.status is WaveStatus.PROPOSED
    cost = wave_cost(state, wave) if waiting or wave.status is WaveStatus.APPROVED else WaveCost(0, 0.0, 0.0)
    return WaveView(
        id=wave.id,
        glyph=glyph,
        word=word,
        ink=ink,
        proposer=plain(wave.proposer),
        question=plain(wave.question),
        shape=shape(wave, arms),
        arms=len(arms),
        done=done,
        best=best,
        best_delta=delta,
        spent_usd=spent_usd(state, arms, now),
        coming_usd=cost.usd,
        ends_in_s=cost.ends_in_s,
        waiting=waiting,
        over=over,
    )


def _look(wave: Wave, running: int, unmeasured: int) -> tuple[str, str, str]:
    """Return glyph, word and role of a wave's status. It is `measured` once every arm has a result, then done."""
    match wave.status:
        case WaveStatus.PROPOSED:
            return "?", "proposed", "warn"
        case WaveStatus.APPROVED if wave.held:
            return "‖", "held", "warn"
        case WaveStatus.APPROVED:
            if running:
                return "▶", "running", "good"
            return ("·", "queued", "dim") if unmeasured else ("◔", "measuring", "info")
        case WaveStatus.DONE:
            return "✓", "done", "dim"
        case WaveStatus.REJECTED:
            return "✗", "rejected", "faint"
    return "⊘", "cancelled", "faint"


def shape(wave: Wave, arms: list[Experiment]) -> str:
    if wave.kind is WaveKind.BASELINE:
        return "baseline"
    if wave.factors:
        return " × ".join(f"{plain(short_name(name))} {len(levels)}" for name, levels in wave.factors.items())
    if len(arms) == 1:
        change = arms[0].change
        parts = [f"{plain(short_name(name))} {plain(value(level))}" for name, level in change.constants.items()]
        if change.edits:
            parts.append(f"patch +{arms[0].lines_added} −{arms[0].lines_removed}")
        return "  ".join(parts)
    names = {name for arm in arms for name in arm.change.constants}
    return ", ".join(sorted(plain(short_name(name)) for name in names)) or "patches"


def _best(state: State, arms: list[Experiment]) -> tuple[str, float | None]:
    """Return the kept arm, else the arm with the best difference to its base. The luckiest arm is not the best."""
    found: list[tuple[bool, float, str]] = []
    for arm in arms:
        delta = difference_to_base(state, arm)
        if delta is not None:
            found.append((arm.status is not ExperimentStatus.KEPT, delta.mean, arm.id))
    return (min(found)[2], min(found)[1]) if found else ("", None)
