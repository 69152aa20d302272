"""The content of a cluster's cell, as words and numbers; `cockpit.tui.widgets.grid` draws it."""

from collections.abc import Sequence

import msgspec

from cockpit.core.curves import Point, points_of
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Cluster, ClusterState, Progress
from cockpit.core.state import State
from cockpit.read.attempts import is_evaluating, trained_words
from cockpit.read.launches import launch_figures
from cockpit.read.rival import rival_curve, rival_loss
from cockpit.read.state_words import HELD, NO_CAPACITY, STARTING, SUSPECT, cluster_word, run_word
from cockpit.tui.plain import plain
from cockpit.tui.views.changes import NOTHING, Wording, change_wording, joined

STALE_AFTER_S = 45.0
"""Seconds without news after which a running cluster is shown dimmed, with the age of its news."""

_LOOKS: dict[ClusterState, tuple[str, str]] = {
    ClusterState.BUSY: ("▶", "good"),
    ClusterState.IDLE: ("○", "warn"),
    ClusterState.LAUNCHING: ("◌", "info"),
    ClusterState.DOWN: ("·", "faint"),
    ClusterState.LOST: ("!", "bad"),
    ClusterState.GIVEN_UP: ("✗", "bad"),
    ClusterState.STOPPING: ("◍", "dim"),
}

_WORD_LOOKS = {
    STARTING: ("◔", "info"),
    HELD: ("‖", "warn"),
    NO_CAPACITY: ("◌", "warn"),
}
"""Word to glyph and role, where a word tells more than the state."""

_KINDS = {
    AttemptKind.REPLICATE: "again",
    AttemptKind.RETRY: "retry",
    AttemptKind.VALIDATION: "validate",
    AttemptKind.CONTROL: "control",
    AttemptKind.CONFIRMATION: "confirm",
    AttemptKind.ABLATION: "ablate",
}


class ClusterView(msgspec.Struct, frozen=True):
    name: str
    hardware: str
    glyph: str
    word: str
    ink: str
    attempt: str = ""
    about: Wording = NOTHING
    """The change of the running arm: `ASPECT_RATIO 96  MATRIX_LR .04`."""
    fraction: float = -1.0
    """The fraction of the training budget; −1 if it is unknown."""
    trained: str = ""
    """The fraction as a percentage; empty if it is unknown."""
    remaining_s: float = 0.0
    waited_s: float = 0.0
    """Seconds since the run began, or was submitted, while it has printed no progress; else 0."""
    loss: float | None = None
    delta: float | None = None
    """Its loss less the incumbent's at the same progress, in the same class where that ran there."""
    facts: str = ""
    """Throughput, use, memory, temperature and power, of those that the run or its node reports."""
    curve: Sequence[Point] = ()
    rival: Sequence[Point] = ()
    """The incumbent's curve, in the same class where it ran there."""
    following: str = ""
    """The attempt queued behind."""
    idle_s: float = 0.0
    launch: str = ""
    """The usual time of a launch and its cost until now, to stand behind its time."""
    stale_s: float = 0.0
    """The age of the shown values in seconds if they are too old to trust; else 0."""
    message: str = ""


def cluster_view(state: State, cluster: Cluster, now: float, with_curve: bool = False) -> ClusterView:
    """Return the content of a cell. The curves are read only if the cell has room for them."""
    running = [name for name in (cluster.running, *cluster.ahead) if name in state.attempts]
    attempt = state.attempts[running[0]] if running else None
    glyph, word, ink = _look(state, cluster)
    heard_s = now - max(cluster.seen_at, cluster.since)
    shown = ClusterView(
        name=plain(cluster.name),
        hardware=plain(cluster.hardware),
        glyph=glyph,
        word=word,
        ink=ink,
        following=plain(running[1]) if len(running) > 1 else "",
        idle_s=max(0.0, now - cluster.since) if cluster.state is not ClusterState.BUSY else 0.0,
        launch=launch_figures(state, cluster, now),
        stale_s=heard_s if attempt is not None and cluster.running and heard_s > STALE_AFTER_S else 0.0,
        message=plain(state.flagged.get(cluster.name, "") or cluster.message),
    )
    return shown if attempt is None else _with_run(shown, state, attempt, now, with_curve)


def _look(state: State, cluster: Cluster) -> tuple[str, str, str]:
    """Return the glyph of a cluster, a word for it, and its role."""
    word = cluster_word(state, cluster)
    glyph, ink = _WORD_LOOKS.get(word) or _LOOKS[cluster.state]
    return glyph, word, "warn" if word == SUSPECT else ink


def _with_run(view: ClusterView, state: State, attempt: Attempt, now: float, with_curve: bool) -> ClusterView:
    """Return a cell with the run of its cluster."""
    shown = msgspec.structs.replace(
        view, attempt=plain(attempt.id), about=about(state, attempt.experiment, _KINDS.get(attempt.kind, ""))
    )
    progress = attempt.progress
    if progress is None:
        began = attempt.started_at or attempt.submitted_at or attempt.submitting_at
        return msgspec.structs.replace(shown, waited_s=max(0.0, now - began) if began else 0.0)
    rival, over = rival_loss(state, attempt, progress.fraction), is_evaluating(attempt)
    return msgspec.structs.replace(
        shown,
        fraction=1.0 if over else progress.fraction,
        trained=trained_words(attempt),
        remaining_s=0.0 if over else progress.remaining_s,
        loss=progress.loss,
        facts=run_facts(progress),
        curve=points_of(attempt.curve) if with_curve else (),
        rival=rival_curve(state, attempt.hardware) if with_curve else (),
        delta=progress.loss - rival if rival is not None else None,
    )


def run_facts(progress: Progress) -> str:
    """Return `1.67M tok/s  MFU 40%  44.0 GB  67 °C  612 W`, without unknown figures."""
    rate = progress.tokens_per_s
    parts = (
        (rate, f"{rate / 1e6:.2f}M tok/s" if rate >= 1e5 else f"{rate:,.0f} tok/s"),
        (progress.mfu_percent, f"MFU {progress.mfu_percent:.0f}%"),
        (progress.memory_mb, f"{progress.memory_mb / 1024:.1f} GB"),
        (progress.temperature_c, f"{progress.temperature_c:.0f} °C"),
        (progress.power_w, f"{progress.power_w:.0f} W"),
    )
    return "  ".join(words for number, words in parts if number > 0)


def about(state: State, experiment: str, kind: str = "") -> Wording:
    """Return the change of an experiment against its base, in as few words as distinguish it."""
    known = state.experiments.get(experiment)
    if known is None:
        return NOTHING
    return joined(kind, "baseline" if experiment == state.baseline else "", change_wording(known))


def standing(state: State, attempt: Attempt) -> str:
    """Return the word beside the name of a run whose log is shown; empty for one that trains or has ended."""
    word = run_word(state, attempt)
    return "" if attempt.status is AttemptStatus.ENDED or word == AttemptStatus.RUNNING else word
