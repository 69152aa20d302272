"""The content of a wave's row: its progress, its best arm and its money; the cost of a proposal."""

import msgspec

from cockpit.core.model import (
    Experiment,
    ExperimentStatus,
    Wave,
    WaveKind,
    WaveStatus,
)
from cockpit.core.state import State
from cockpit.read.checks import origin_mark
from cockpit.read.costs import WaveCost, spent_usd, wave_cost
from cockpit.read.waves import FINISHED, best_arm, class_beside, wave_word
from cockpit.tui.figures import difference_words
from cockpit.tui.plain import plain
from cockpit.tui.views.changes import Wording, change_wording, short_of


class WaveView(msgspec.Struct, frozen=True):
    id: str
    glyph: str
    word: str
    ink: str
    proposer: str
    question: str
    shape: Wording
    """`ASPECT_RATIO 7 × MATRIX_LR 3`; `code +1 −1`."""
    arms: int
    done: int
    best: str = ""
    best_delta: float | None = None
    best_words: str = ""
    """The difference in words."""
    best_class: str = ""
    """The class of the difference, if it is not the class of comparisons."""
    best_mark: str = ""
    """The mark of the origin of its score."""
    spent_usd: float = 0.0
    coming_usd: float = 0.0
    ends_in_s: float = 0.0
    waiting: bool = False
    over: bool = False
    """True if it was rejected or cancelled: its open arms will not run."""


def wave_view(state: State, wave: Wave, now: float) -> WaveView:
    arms = [state.experiments[name] for name in wave.arms]
    over = wave.status in (WaveStatus.REJECTED, WaveStatus.CANCELLED)
    done = sum(arm.status in FINISHED and not (over and arm.status is ExperimentStatus.DROPPED) for arm in arms)
    word = wave_word(state, wave)
    glyph, ink = LOOKS[word]
    best, delta = best_arm(state, arms)
    waiting = word in ("proposed", "stale base")
    to_come = waiting or (wave.status is WaveStatus.APPROVED and not state.ended_at)
    cost = wave_cost(state, wave) if to_come else WaveCost(0, 0.0, 0.0)
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
        best_delta=delta.mean if delta else None,
        best_words=difference_words(state.session.metric, delta.mean) if delta else "",
        best_class=class_beside(state, delta) if delta else "",
        best_mark=origin_mark(state, state.experiments[best]) if best else "",
        spent_usd=spent_usd(state, arms, now),
        coming_usd=cost.usd,
        ends_in_s=cost.ends_in_s,
        waiting=waiting,
        over=over,
    )


LOOKS = {
    "proposed": ("?", "warn"),
    "stale base": ("?", "bad"),
    "held": ("‖", "warn"),
    "running": ("▶", "good"),
    "queued": ("·", "dim"),
    "measuring": ("◔", "info"),
    "done": ("✓", "dim"),
    "not run": ("⊘", "faint"),
    "rejected": ("✗", "faint"),
    "cancelled": ("⊘", "faint"),
}
"""Glyph and role of each standing."""


def shape(wave: Wave, arms: list[Experiment]) -> Wording:
    if wave.kind is WaveKind.BASELINE:
        return Wording("baseline", "baseline")
    if wave.factors:
        counts = [(name, len(levels)) for name, levels in wave.factors.items()]
        full = " × ".join(f"{plain(name)} {number}" for name, number in counts)
        return Wording(full, " × ".join(f"{short_of(name)} {number}" for name, number in counts), tuple(wave.factors))
    if len(arms) == 1:
        return change_wording(arms[0])
    names = sorted({name for arm in arms for name in arm.change.constants})
    full = ", ".join(map(plain, names)) or "patches"
    return Wording(full, ", ".join(map(short_of, names)) or full, tuple(names))
