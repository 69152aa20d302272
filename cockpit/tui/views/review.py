"""The content of a wave's table of arms: what each row shows."""

import msgspec

from cockpit.core.model import Experiment, ExperimentStatus, Wave, WaveStatus
from cockpit.core.state import State, constants_of
from cockpit.read.checks import origin_mark
from cockpit.read.forecasts import LIKELY, ArmForecast, gigabytes, percent
from cockpit.read.scores import Difference, Score, difference_to_base, score_of
from cockpit.read.warnings import VERDICTS, MemoryLimits, verdict_words, warning
from cockpit.read.waves import is_baseline
from cockpit.read.wording import spread_words, with_minus
from cockpit.tui.figures import difference_words, score_words, value
from cockpit.tui.plain import plain

GLYPHS: dict[ExperimentStatus, tuple[str, str]] = {
    ExperimentStatus.PROPOSED: ("○", "dim"),
    ExperimentStatus.QUEUED: ("·", "dim"),
    ExperimentStatus.RUNNING: ("▶", "good"),
    ExperimentStatus.VALID: ("◇", "info"),
    ExperimentStatus.KEPT: ("◆", "good"),
    ExperimentStatus.DISCARDED: ("–", "dim"),
    ExperimentStatus.CRASHED: ("×", "bad"),
    ExperimentStatus.DROPPED: ("⊘", "faint"),
}

UNKNOWN = "unknown"
"""The memory of an arm that edits code: constants do not show what an edit takes."""

BASELINE_GLYPH = ("□", "info")


def glyph_of(state: State, experiment: Experiment) -> tuple[str, str]:
    """Return the glyph of an experiment's status, and its role."""
    return BASELINE_GLYPH if is_baseline(state, experiment) else GLYPHS[experiment.status]


class ArmView(msgspec.Struct, frozen=True):
    id: str
    glyph: str
    ink: str
    levels: dict[str, str]
    """Constant to its value here; a value equal to the base's is in `same`."""
    same: frozenset[str]
    patch: str
    runs: int
    score: Score | None
    value: str
    """The value of its score in words; empty without a score."""
    mark: str
    """The mark of the origin of its score."""
    delta: float | None
    delta_words: str
    crash: str
    """The probability that a waiting arm crashes, with its interval."""
    likely: bool
    """True if it deserves a warning."""
    memory: str
    """The forecast of its peak memory, `unknown` if it edits code; empty without enough runs."""
    warning: str
    """A duplicate, a crash it repeats, memory it likely exceeds, or its verdict."""


def columns(state: State, wave: Wave) -> list[str]:
    """Return the constants that the table has a column for: factors first, then what any arm changes."""
    names = list(wave.factors)
    for arm in wave.arms:
        names.extend(name for name in state.experiments[arm].change.constants if name not in names)
    return names


def arm_view(
    state: State,
    arm: Experiment,
    names: list[str],
    memory: MemoryLimits | None = None,
    forecast: ArmForecast | None = None,
) -> ArmView:
    base = constants_of(state, arm.base) if arm.base in state.experiments else {}
    mine = {**base, **arm.change.constants}
    score, delta = score_of(state, arm.id), difference_to_base(state, arm)
    edits = len(arm.change.edits)
    glyph, ink = glyph_of(state, arm)
    return ArmView(
        id=plain(arm.id),
        glyph=glyph,
        ink=ink,
        levels={name: plain(value(mine[name])) for name in names if name in mine},
        same=frozenset(name for name in names if name in mine and base.get(name) == mine[name]),
        patch=f"+{arm.lines_added} −{arm.lines_removed}" if edits else "",
        runs=arm.replicates,
        score=score,
        value=score_words(state.session.metric, score.mean) if score else "",
        mark=origin_mark(state, arm) if score else "",
        delta=delta.mean if delta else None,
        delta_words=difference_words(state.session.metric, delta.mean) if delta else "",
        crash=percent(forecast.crash) if forecast else "",
        likely=forecast is not None and forecast.crash.mean >= LIKELY,
        memory=_memory_words(forecast, edits) if forecast else "",
        warning=plain(with_minus(_beside(state, arm, delta, warning(state, arm, memory)))),
    )


def _memory_words(forecast: ArmForecast, edits: int) -> str:
    if forecast.peak_vram_mb is not None:
        return gigabytes(forecast.peak_vram_mb)
    return UNKNOWN if edits else ""


def _beside(state: State, arm: Experiment, delta: Difference | None, said: str) -> str:
    """Return the words beside an arm's difference to its base. They do not repeat the difference itself."""
    if arm.estimate is None or said != verdict_words(state, arm) or arm.status not in VERDICTS:
        return said
    if delta is not None and delta.estimated:
        return f"{spread_words(arm.estimate)}, {arm.status}"
    return f"{said} against {arm.estimate.against}"


def settles(wave: Wave) -> list[tuple[str, str]]:
    """Return [(label, words)]: the purpose of the wave."""
    said = [("hypothesis", wave.hypothesis), ("refuted by", wave.would_change_mind), ("design", wave.design),
            ("reason", wave.reason)]  # fmt: skip
    return [(label, words) for label, words in said if words]


def is_waiting(wave: Wave) -> bool:
    return wave.status is WaveStatus.PROPOSED
