"""The content of a cluster's cell, as words and numbers; `cockpit.tui.widgets.grid` draws it."""

from collections.abc import Sequence

import msgspec

from cockpit.core.curves import Point, points_of
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Cluster, ClusterState, Progress
from cockpit.core.state import State
from cockpit.read.attempts import is_evaluating
from cockpit.read.launches import NO_CAPACITY, UNUSABLE, cluster_word, launch_figures
from cockpit.read.rival import rival_curve, rival_loss
from cockpit.tui.plain import plain
from cockpit.tui.views.changes import NOTHING, Wording, change_wording, joined

STALE_AFTER_S = 45.0
"""Seconds without news after which a running cluster is shown dimmed, with the age of its news."""

EVALUATING = "evaluating"

_LOOKS: dict[ClusterState, tuple[str, str]] = {
    ClusterState.BUSY: ("▶", "good"),
    ClusterState.IDLE: ("○", "warn"),
    ClusterState.LAUNCHING: ("◌", "info"),
    ClusterState.DOWN: ("·", "faint"),
    ClusterState.LOST: ("!", "bad"),
    ClusterState.GIVEN_UP: ("✗", "bad"),
    ClusterState.STOPPING: ("◍", "dim"),
}

_KINDS = {
    AttemptKind.REPLICATE: "again",
    AttemptKind.RETRY: "retry",
    AttemptKind.VALIDATION: "validate",
    AttemptKind.CONTROL: "control",
    AttemptKind.CONFIRMATION: "confirm",
    AttemptKind.ABLATION: "ablate",
}


STARTING = "starting"
"""The word for a cluster whose run has been submitted, and that runs nothing yet."""


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
    remaining_s: float = 0.0
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
    glyph, word, ink = _look(state, cluster, attempt)
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
    return shown if attempt is None else _with_run(shown, state, attempt, with_curve)


def _look(state: State, cluster: Cluster, attempt: Attempt | None) -> tuple[str, str, str]:
    """Return the glyph of a cluster, a word for it, and its role."""
    glyph, ink = _LOOKS[cluster.state]
    word = cluster_word(cluster)
    idle = cluster.state is ClusterState.IDLE
    if idle and attempt is not None:
        glyph, word, ink = "◔", STARTING, "info"
    if cluster.held and idle:
        glyph, word = "‖", "held"
    elif cluster.held and cluster.state is ClusterState.BUSY:
        word = "busy, held"
    if cluster.name in state.flagged:
        word, ink = "suspect", "warn"
    if word == NO_CAPACITY:
        glyph, ink = _LOOKS[ClusterState.LAUNCHING][0], "warn"
    if attempt is not None and attempt.cancelling:
        word = "ending"
    elif attempt is not None and is_evaluating(attempt):
        word = EVALUATING
    return glyph, word, ink


def _with_run(view: ClusterView, state: State, attempt: Attempt, with_curve: bool) -> ClusterView:
    """Return a cell with the run of its cluster."""
    progress = attempt.progress
    begun = 0.0 if attempt.status is AttemptStatus.RUNNING else -1.0
    loss = progress.loss if progress else None
    rival = rival_loss(state, attempt, progress.fraction) if progress else None
    return msgspec.structs.replace(
        view,
        attempt=plain(attempt.id),
        about=about(state, attempt.experiment, _KINDS.get(attempt.kind, "")),
        fraction=progress.fraction if progress else begun,
        remaining_s=progress.remaining_s if progress else 0.0,
        loss=loss,
        facts=run_facts(progress) if progress else "",
        curve=points_of(attempt.curve) if with_curve else (),
        rival=rival_curve(state, attempt.hardware) if with_curve else (),
        delta=loss - rival if loss is not None and rival is not None else None,
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
    cluster = state.clusters.get(attempt.cluster)
    if cluster is not None and cluster.state is ClusterState.IDLE and cluster.ahead[:1] == [attempt.id]:
        return STARTING
    if is_evaluating(attempt):
        return EVALUATING
    return "" if attempt.status in (AttemptStatus.RUNNING, AttemptStatus.ENDED) else str(attempt.status)


def summary(state: State) -> str:
    """Return the number of clusters in each state, those that need a person first."""
    counts: dict[str, int] = {}
    for cluster in state.clusters.values():
        starts = cluster.state is ClusterState.IDLE and bool(cluster.ahead) and not cluster.held
        word = STARTING if starts else cluster_word(cluster)
        counts[word] = counts.get(word, 0) + 1
    order = (
        ClusterState.GIVEN_UP,
        UNUSABLE,
        ClusterState.LOST,
        NO_CAPACITY,
        ClusterState.IDLE,
        STARTING,
        ClusterState.LAUNCHING,
        ClusterState.STOPPING,
        ClusterState.BUSY,
        ClusterState.DOWN,
    )
    return "  ".join(f"{counts[name]} {name}" for name in order if counts.get(name))
