"""The content of a cluster's card. `cockpit.tui.widgets.cards` draws it if clusters are few."""

import msgspec

from cockpit.core.curves import Point, points_of
from cockpit.core.model import Attempt, Cluster, ExperimentStatus, Outcome
from cockpit.core.state import State
from cockpit.read.rival import rival_curve
from cockpit.read.scores import run_difference
from cockpit.tui.figures import difference_words, score_words
from cockpit.tui.plain import plain
from cockpit.tui.views.changes import NOTHING, Wording, joined
from cockpit.tui.views.clusters import ClusterView, about, cluster_view
from cockpit.tui.views.review import GLYPHS, glyph_of

RESULTS = 6

_MARKS = {
    Outcome.CRASH: ExperimentStatus.CRASHED,
    Outcome.TIMEOUT: ExperimentStatus.CRASHED,
    Outcome.MISMATCH: ExperimentStatus.CRASHED,
    Outcome.LOST: ExperimentStatus.DROPPED,
    Outcome.CANCELLED: ExperimentStatus.DROPPED,
}
"""The mark of a run without a result. A run with a result has the mark of its experiment."""


class ResultView(msgspec.Struct, frozen=True):
    """A run that ended on the cluster."""

    experiment: str
    glyph: str
    ink: str
    score: str
    """The value of its metric; if it has none, what became of it."""
    delta: str
    """The difference to its experiment's base."""
    is_better: bool
    about: Wording


class CardView(msgspec.Struct, frozen=True):
    cluster: ClusterView
    question: str
    """The question of the running arm's wave, else the arm's reason."""
    following: Wording
    """The next run and its change."""
    curve: list[Point]
    rival: list[Point]
    """The incumbent's curve, in the same class where it ran there."""
    results: list[ResultView]
    """The newest first."""
    logged: str
    """The attempt whose log is this cluster's newest."""


def card_view(state: State, cluster: Cluster, now: float) -> CardView:
    held = state.active(cluster)
    running = held[0] if held else None
    ended = [
        attempt
        for attempt in (state.attempts[name] for name in reversed(state.recent))
        if attempt.cluster == cluster.name
    ][:RESULTS]
    curve = points_of(running.curve) if running else []
    logged = cluster.running or (ended[0].id if ended else "")
    return CardView(
        cluster=cluster_view(state, cluster, now),
        question=_question(state, running) if running else "",
        following=_following(state, held[1]) if len(held) > 1 else NOTHING,
        curve=curve,
        rival=rival_curve(state, running.hardware) if running and curve else [],
        results=[_result(state, attempt) for attempt in ended],
        logged=logged,
    )


def _question(state: State, attempt: Attempt) -> str:
    experiment = state.experiments[attempt.experiment]
    wave = state.waves[experiment.wave]
    return plain(f"{wave.id} {wave.question or experiment.why}")


def _following(state: State, attempt: Attempt) -> Wording:
    return joined(plain(attempt.experiment), about(state, attempt.experiment))


def _result(state: State, attempt: Attempt) -> ResultView:
    metric, experiment = state.session.metric, state.experiments[attempt.experiment]
    mark = _MARKS.get(attempt.outcome) if attempt.outcome else None
    glyph, ink = GLYPHS[mark] if mark else glyph_of(state, experiment)
    found = run_difference(state, attempt)
    delta = difference_words(metric, found.mean) if found else ""
    said = score_words(metric, attempt.metrics.score) if attempt.metrics is not None else str(attempt.outcome or "")
    return ResultView(
        plain(attempt.experiment),
        glyph,
        ink,
        said,
        delta,
        found is not None and found.mean < 0,
        about(state, attempt.experiment),
    )
