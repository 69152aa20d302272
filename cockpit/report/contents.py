"""The contents of a session's report, gathered from its state. Pure. The templates escape the text."""

from datetime import UTC, datetime

import msgspec

from cockpit.core.metric import Metric
from cockpit.core.model import ExperimentStatus, Value, Wave, WaveKind
from cockpit.core.running_time import running_h
from cockpit.core.state import State, constants_of
from cockpit.core.totals import Spend
from cockpit.decide.budget import Accounts, accounts
from cockpit.decide.evidence import noise_of
from cockpit.decide.kept_changes import unablated_summary
from cockpit.read.changes import change_words
from cockpit.read.checks import checks_of, origin_of, unchecked
from cockpit.read.costs import device_word
from cockpit.read.counterfactual import Best, OneGpu, best_so_far, one_gpu, one_gpu_words
from cockpit.read.early_stops import early_stopping_summary
from cockpit.read.effects import effects_of
from cockpit.read.kept_stack import KeptChange, Stack, stack_of
from cockpit.read.model_cost import model_cost, model_cost_words
from cockpit.read.proposer_results import ProposerResult, gpu_hours_by_proposer, proposer_results
from cockpit.read.scores import Difference, Score, comparison_class, score_of
from cockpit.read.waves import best_arm, wave_word
from cockpit.report.bars import Bar, bars_of, strongest
from cockpit.report.chart import Chart, charts
from cockpit.report.reproduce import Command, commands, commands_place
from cockpit.report.status import counts
from cockpit.report.story import Sentence, story
from cockpit.report.verdict import tried_variants, verdict
from cockpit.science.effects import FactorEffects
from cockpit.science.noise import Noise

WAVES_AT_MOST = 120
KEPT_AT_MOST = 200
SAID_AT_MOST = 150


class Kept(msgspec.Struct, frozen=True):
    """A change that was kept, with the evidence it was kept on."""

    experiment: str
    change: KeptChange
    reason: str
    author: str
    scores: dict[str, list[float]]
    checks: str
    """How its runs were confined and scored, in a clause."""
    certificate: str
    """The digest of its certificate; empty for none."""


class BestVariant(msgspec.Struct, frozen=True):
    experiment: str
    what: str
    origin: str
    """How its scores were produced, in the words of `origin_of`."""
    scores: dict[str, list[float]]
    changed: tuple[tuple[str, Value | None, Value], ...]
    """(constant, the baseline's value, its own) of each constant that differs; None for a new constant."""
    constants: dict[str, Value]
    """All its constants."""
    kept: Kept | None
    """Its evidence; None for the baseline."""


class WaveReport(msgspec.Struct, frozen=True):
    wave: Wave
    word: str
    """Its status in words."""
    measured: int
    crashed: int
    kept: int
    best: str
    best_score: Score | None
    best_origin: str
    """How that score was produced."""
    best_difference: Difference | None
    """The best arm's difference to the wave's base."""
    effects: FactorEffects
    bars: list[Bar]


class Said(msgspec.Struct, frozen=True):
    at: float
    author: str
    text: str
    kind: str


class Heading(msgspec.Struct, frozen=True):
    """The facts below the title: when and where the session ran, and the number of variants of each outcome."""

    made: str
    fleet: str
    corpus: str
    preset: str
    commit: str
    hours: float
    counts: dict[str, int]
    tried: int
    """Variants with a score; the baseline is left out."""
    without_score: int
    """Variants that were discarded without a score: their runs were ended early."""


class Costs(msgspec.Struct, frozen=True):
    """The time and money spent, and who spent it."""

    books: Accounts
    device: str
    """The device whose hours are counted: `CPU`, `GPU` or `device`."""
    proposers: list[ProposerResult]
    proposer_hours: dict[str, float]
    early: str
    """The savings and mistakes of early stopping; empty if no run was ended early."""
    budget_usd: float
    spend: Spend
    model_cost: str
    """The built-in researcher's cost against its estimate; empty without one."""


class Contents(msgspec.Struct, frozen=True):
    name: str
    simulated: bool
    metric: Metric
    heading: Heading
    verdict: str
    unchecked: list[str]
    """Sentences on what this session leaves unchecked."""
    hardware: str
    """The class that comparisons are made in. The best line and the baseline's score are of this class."""
    baseline: Score | None
    baseline_origin: str
    best: BestVariant | None
    charts: list[Chart]
    line: list[Best]
    one_gpu: OneGpu | None
    one_gpu_words: str
    """The one device of the counterfactual."""
    stack: Stack
    kept: list[Kept]
    kept_left_out: int
    unablated: str
    """The kept changes that were not ablated, in a sentence; empty for none."""
    story: list[Sentence]
    strongest: list[Bar]
    waves: list[WaveReport]
    waves_left_out: int
    said: list[Said]
    commands: list[Command]
    commands_place: str
    """The folder that they are run in."""
    noise: Noise
    costs: Costs


def contents(state: State, now: float) -> Contents:
    """Return the contents of the report at `now`."""
    session = state.session
    hardware = comparison_class(state)
    stack = stack_of(state, now)
    kept = [_kept(state, change) for change in stack.kept]
    counterfactual = one_gpu(state)
    heading = _heading(state, now)
    waves = [_wave(state, wave) for wave in state.waves.values() if wave.kind is not WaveKind.FILLER]
    said = [Said(m.at, m.author, m.text, m.kind) for m in state.messages if m.kind in ("finding", "phase")]
    return Contents(
        name=session.name,
        simulated=session.fleet.simulated,
        metric=session.metric,
        heading=heading,
        verdict=verdict(state, now),
        unchecked=unchecked(state),
        hardware=hardware,
        baseline=score_of(state, state.baseline, hardware),
        baseline_origin=origin_of(state, state.experiments[state.baseline]) if state.baseline else "",
        best=_best(state, kept),
        charts=charts(state, counterfactual.best if counterfactual else (), heading.hours),
        line=best_so_far(state, hardware),
        one_gpu=counterfactual,
        one_gpu_words=one_gpu_words(state),
        stack=stack,
        kept=kept[-KEPT_AT_MOST:],
        kept_left_out=max(0, len(kept) - KEPT_AT_MOST),
        unablated=unablated_summary(state),
        story=story(state, state.ended_at or now),
        strongest=strongest(wave.bars for wave in waves),
        waves=waves[-WAVES_AT_MOST:],
        waves_left_out=max(0, len(waves) - WAVES_AT_MOST),
        said=said[-SAID_AT_MOST:],
        commands=commands(state),
        commands_place=commands_place(state),
        noise=noise_of(state),
        costs=_costs(state, now),
    )


def _heading(state: State, now: float) -> Heading:
    experiments = state.experiments.values()
    return Heading(
        made=datetime.fromtimestamp(state.session.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        fleet=_fleet(state),
        corpus=state.corpus,
        preset=state.preset,
        commit=state.session.commit,
        hours=max(0.0, running_h(state, now)),
        counts=counts(state),
        tried=tried_variants(state),
        without_score=sum(one.status is ExperimentStatus.DISCARDED and not one.scores for one in experiments),
    )


def _costs(state: State, now: float) -> Costs:
    model = model_cost(state, now)
    return Costs(
        books=accounts(state, now),
        device=device_word(state),
        proposers=proposer_results(state),
        proposer_hours=gpu_hours_by_proposer(state),
        early=early_stopping_summary(state.early_stops),
        budget_usd=state.budget_usd,
        spend=state.spend,
        model_cost=model_cost_words(model) if model else "",
    )


def _kept(state: State, change: KeptChange) -> Kept:
    experiment = state.experiments[change.experiment]
    step = next(one for one in reversed(state.incumbencies) if one.experiment == change.experiment)
    return Kept(
        experiment=experiment.id,
        change=change,
        reason=step.reason,
        author=step.author,
        scores=dict(sorted(experiment.scores.items(), key=lambda one: -len(one[1]))),
        checks=checks_of(state, experiment),
        certificate=state.certificates.get(experiment.id, ""),
    )


def _best(state: State, kept: list[Kept]) -> BestVariant | None:
    experiment = state.experiments.get(state.incumbent)
    if experiment is None:
        return None
    constants = constants_of(state, experiment.id)
    before = state.session.constants
    changed = tuple((name, before.get(name), new) for name, new in constants.items() if before.get(name) != new)
    mine = next((one for one in kept if one.experiment == experiment.id), None)
    words, origin = change_words(experiment), origin_of(state, experiment)
    if mine is not None:
        words = f"the last of {len(kept)} kept changes, {mine.change.change}" if len(kept) > 1 else mine.change.change
    return BestVariant(experiment.id, words, origin, experiment.scores, changed, constants, mine)


def _fleet(state: State) -> str:
    by_class: dict[str, int] = {}
    for cluster in state.clusters.values():
        by_class[cluster.hardware or "?"] = by_class.get(cluster.hardware or "?", 0) + 1
    return ", ".join(f"{number} {hardware}" for hardware, number in by_class.items())


def _wave(state: State, wave: Wave) -> WaveReport:
    arms = [state.experiments[name] for name in wave.arms]
    best, difference = best_arm(state, arms)
    effects = effects_of(state, wave.id)
    return WaveReport(
        wave=wave,
        word=wave_word(state, wave),
        measured=sum(bool(arm.scores) or arm.status is ExperimentStatus.CRASHED for arm in arms),
        crashed=sum(arm.status is ExperimentStatus.CRASHED for arm in arms),
        kept=sum(arm.status is ExperimentStatus.KEPT for arm in arms),
        best=best,
        best_score=score_of(state, best) if best else None,
        best_origin=origin_of(state, state.experiments[best]) if best else "",
        best_difference=difference,
        effects=effects,
        bars=bars_of(wave.id, effects),
    )
