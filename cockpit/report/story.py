"""The content of a session's report, gathered from its state. Pure; text is escaped where it is drawn."""

from datetime import UTC, datetime

import msgspec

from cockpit.core.model import Estimate, ExperimentStatus, Spend, Wave, WaveKind
from cockpit.core.state import State
from cockpit.decide.budget import Accounts, accounts
from cockpit.decide.early_stopping import early_stopping_summary
from cockpit.decide.evidence import noise_of
from cockpit.decide.kept_changes import unablated_summary
from cockpit.read.changes import change_words
from cockpit.read.checks import checks_of, unchecked
from cockpit.read.counterfactual import Best, OneGpu, best_so_far, one_gpu
from cockpit.read.effects import effects_of
from cockpit.read.score_dots import ScoreDots
from cockpit.read.scores import (
    Difference,
    Score,
    comparison_class,
    kept_estimate,
    kept_experiments,
    score_of,
)
from cockpit.read.waves import best_arm, wave_word
from cockpit.report.chart import PlottedDot, dots
from cockpit.report.status import counts
from cockpit.report.verdict import verdict
from cockpit.science.effects import FactorEffects
from cockpit.science.noise import Noise

WAVES_AT_MOST = 200


class Kept(msgspec.Struct, frozen=True):
    """A change that was kept, with the evidence it was kept on."""

    at: float
    experiment: str
    what: str
    reason: str
    author: str
    estimate: Estimate | None
    scores: dict[str, list[float]]
    checks: str
    """How its runs were confined and scored, in a clause."""
    certificate: str
    """The digest of its certificate; empty for none."""


class WaveReport(msgspec.Struct, frozen=True):
    wave: Wave
    word: str
    """Its standing."""
    measured: int
    crashed: int
    kept: int
    best: str
    best_score: Score | None
    best_difference: Difference | None
    """The best arm's difference to the wave's base."""
    effects: FactorEffects


class Said(msgspec.Struct, frozen=True):
    at: float
    author: str
    text: str
    kind: str


class Story(msgspec.Struct, frozen=True):
    name: str
    simulated: bool
    made: str
    fleet: str
    corpus: str
    preset: str
    commit: str
    hours: float
    verdict: str
    unchecked: list[str]
    """The things that nothing checks in this session, a sentence each."""
    counts: dict[str, int]
    hardware: str
    """The class that comparisons are made in. The chart's line and the baseline's score are of this class."""
    baseline: float | None
    best: Kept | None
    dots: list[PlottedDot]
    classes: list[str]
    """Hardware classes, the one that comparisons are made in first."""
    line: list[Best]
    alone: OneGpu | None
    kept: list[Kept]
    unablated: str
    """The kept changes that were not ablated, in a sentence; empty for none."""
    waves: list[WaveReport]
    waves_left_out: int
    said: list[Said]
    noise: Noise
    books: Accounts
    early: str
    """The savings and mistakes of early stopping; empty where no run was ended early."""
    budget_usd: float
    spend: Spend


def story(state: State, now: float) -> Story:
    """Return the contents of the report at `now`."""
    session = state.session
    hardware, noise = comparison_class(state), noise_of(state)
    baseline = score_of(state, state.baseline, hardware)
    scored = ScoreDots()
    scored.follow(state)
    kept = [_kept(state, i) for i in range(len(state.incumbencies))]
    newest = {one.experiment: one for one in kept}
    asked = [wave for wave in state.waves.values() if wave.kind is not WaveKind.FILLER]
    return Story(
        name=session.name,
        simulated=session.fleet.simulated,
        made=datetime.fromtimestamp(session.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        fleet=_fleet(state),
        corpus=state.corpus,
        preset=state.preset,
        commit=session.commit,
        hours=max(0.0, now - session.created_at) / 3600,
        verdict=verdict(state, now),
        unchecked=unchecked(state),
        counts=counts(state),
        hardware=hardware,
        baseline=baseline.mean if baseline else None,
        best=kept[-1] if kept else None,
        dots=dots(state, scored),
        classes=scored.classes(state),
        line=best_so_far(state, hardware),
        alone=one_gpu(state),
        kept=[newest[name] for name in kept_experiments(state)],
        unablated=unablated_summary(state),
        waves=[_wave(state, wave) for wave in asked[-WAVES_AT_MOST:]],
        waves_left_out=max(0, len(asked) - WAVES_AT_MOST),
        said=[Said(m.at, m.author, m.text, m.kind) for m in state.messages if m.kind in ("finding", "phase")],
        noise=noise,
        books=accounts(state, now),
        early=early_stopping_summary(state.early_stops),
        budget_usd=state.budget_usd,
        spend=state.spend,
    )


def _kept(state: State, index: int) -> Kept:
    incumbency = state.incumbencies[index]
    experiment = state.experiments[incumbency.experiment]
    return Kept(
        at=incumbency.at,
        experiment=experiment.id,
        what=change_words(experiment),
        reason=incumbency.reason,
        author=incumbency.author,
        estimate=kept_estimate(state, experiment.id),
        scores=experiment.scores,
        checks=checks_of(state, experiment),
        certificate=state.certificates.get(experiment.id, ""),
    )


def _fleet(state: State) -> str:
    by_class: dict[str, int] = {}
    for cluster in state.clusters.values():
        by_class[cluster.hardware or "?"] = by_class.get(cluster.hardware or "?", 0) + 1
    return ", ".join(f"{number} {hardware}" for hardware, number in by_class.items())


def _wave(state: State, wave: Wave) -> WaveReport:
    arms = [state.experiments[name] for name in wave.arms]
    best, difference = best_arm(state, arms)
    return WaveReport(
        wave=wave,
        word=wave_word(state, wave),
        measured=sum(bool(arm.scores) or arm.status is ExperimentStatus.CRASHED for arm in arms),
        crashed=sum(arm.status is ExperimentStatus.CRASHED for arm in arms),
        kept=sum(arm.status is ExperimentStatus.KEPT for arm in arms),
        best=best,
        best_score=score_of(state, best) if best else None,
        best_difference=difference,
        effects=effects_of(state, wave.id),
    )
