"""The proposer `tpe`: Optuna's tree-structured Parzen estimator over the constants, with many arms in flight.

It keeps nothing: each request makes a study from the state, so a restart changes nothing. The sampler gets
each experiment's difference to the baseline in the same hardware class, and the worst difference for a crash. It gets
experiments in flight as running and assumes the worst of them, to avoid proposing them again (the constant liar of
Ginsbourger et al., 2010).
"""

import random
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.agent.proposers.search_base import SearchBase, search_base
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Experiment, ExperimentStatus, Value, WaveKind
from cockpit.core.state import State
from cockpit.science.search_space import Choice, Dimension, Ladder, Real, fit_overrides, moved_to, position

if TYPE_CHECKING:
    import optuna

MAX_TRIALS = 400
"""Each trial makes a request slower, so the sampler gets only the best of them and the newest of the rest."""
MAX_BEST_TRIALS = 150
STARTUP_RUNS = 24
"""Until this many experiments have ended, arms are small steps from the base. In this many dimensions most draws from
the whole space crash, and the sampler has nothing to learn from."""
STARTUP_CHANGES = 3
STARTUP_STEP = 0.2
"""The longest step to either side, as a share of the dimension's length."""
DRAWS_PER_ARM = 8
NO_CONSTANTS_RETRY_S = 3600.0


class StudyTrial(msgspec.Struct, frozen=True):
    """One experiment in the sampler's input."""

    positions: dict[str, float]
    """By constant, from 0 to 1."""
    difference: float | None
    """The difference to the baseline's score; None while the experiment is in flight."""


class Study(msgspec.Struct, frozen=True):
    """The sampler's input."""

    base: SearchBase
    trials: tuple[StudyTrial, ...]
    seed: int


class Tpe:
    name = "tpe"

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        study = api.read(study_of)
        if study is None:
            raise ProposerTrouble("tpe waits for the baseline")
        if not study.base.dimensions:
            raise ProposerTrouble("tpe finds no constants that it can vary: propose patches", NO_CONSTANTS_RETRY_S)
        changes = draw(study, request.arms, request.ask)
        if not changes:
            raise ProposerTrouble("tpe drew only configurations that were tried before")
        receipt = api.propose(
            Draft(
                proposer=self.name,
                question=f"Do other constants beat {study.base.experiment}?",
                base=study.base.experiment,
                arms=tuple(Arm(Change(constants=change), why=_why(change)) for change in changes),
                kind=WaveKind.FILLER if request.reason == "filler" else WaveKind.WAVE,
            )
        )
        if receipt.status == "refused":
            raise ProposerTrouble(f"every arm of tpe was refused: {receipt.problems[0]}")


def study_of(state: State) -> Study | None:
    """Return the sampler's input; None without a baseline. Reads every experiment once."""
    base = search_base(state)
    if base is None:
        return None
    references = _references(state)
    ended: list[tuple[Experiment, float | None]] = []
    in_flight: list[Experiment] = []
    for experiment in state.experiments.values():
        difference = _difference(experiment, references)
        without_score = experiment.status in (ExperimentStatus.CRASHED, ExperimentStatus.DISCARDED)
        if difference is not None or without_score:
            ended.append((experiment, difference))
        elif experiment.status is not ExperimentStatus.DROPPED:
            in_flight.append(experiment)
    worst = max((difference for _, difference in ended if difference is not None), default=0.0)
    selected = _selected(
        [(experiment, worst if difference is None else difference) for experiment, difference in ended]
    )
    trials = [StudyTrial(_positions(base, experiment), difference) for experiment, difference in selected]
    running = [StudyTrial(_positions(base, experiment), None) for experiment in in_flight[-MAX_TRIALS:]]
    return Study(base, (*trials, *running), state.session.seed)


def draw(study: Study, arms: int, ask: int) -> list[dict[str, Value]]:
    """Return at most `arms` different, untried changes to the base's constants. Deterministic."""
    ended = sum(trial.difference is not None for trial in study.trials)
    dice = random.Random(f"{study.seed}|{ask}")
    if ended < STARTUP_RUNS:
        drawn: Iterator[dict[str, Value]] = (_small_step(study, dice) for _ in range(arms * DRAWS_PER_ARM))
    else:
        drawn = _sampled(study, arms * DRAWS_PER_ARM, dice.getrandbits(32))
    found: list[dict[str, Value]] = []
    for values in drawn:
        change = fit_overrides(study.base.constants, values)
        if change and change not in found and not study.base.was_tried(change):
            found.append(change)
        if len(found) == arms:
            break
    return found


def _small_step(study: Study, dice: random.Random) -> dict[str, Value]:
    """Return values near the base's in a few dimensions."""
    dimensions = study.base.dimensions
    values: dict[str, Value] = {}
    for name in dice.sample(sorted(dimensions), min(STARTUP_CHANGES, len(dimensions))):
        dimension = dimensions[name]
        if isinstance(dimension, Choice):
            values[name] = dice.choice(dimension.options)
            continue
        moved = position(dimension, study.base.constants[name]) + dice.uniform(-STARTUP_STEP, STARTUP_STEP)
        values[name] = moved_to(dimension, study.base.constants[name], moved)
    return values


def _sampled(study: Study, draws: int, seed: int) -> Iterator[dict[str, Value]]:
    """Yield Optuna's draws. Each takes the earlier ones into account."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dimensions = study.base.dimensions
    distributions = {name: _distribution(dimension) for name, dimension in dimensions.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed)
    optuna_study = optuna.create_study(sampler=sampler)
    states = optuna.trial.TrialState
    optuna_study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: _to_optuna(dimensions[name], at) for name, at in trial.positions.items()},
                distributions=distributions,
                value=trial.difference,
                state=states.RUNNING if trial.difference is None else states.COMPLETE,
            )
            for trial in study.trials
        ]
    )
    for _ in range(draws):
        params = optuna_study.ask(fixed_distributions=distributions).params
        base = study.base.constants
        yield {name: _from_optuna(dimensions[name], base[name], drawn) for name, drawn in params.items()}


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    import optuna

    match dimension:
        case Real():
            return optuna.distributions.FloatDistribution(0.0, 1.0)
        case Ladder(rungs):
            return optuna.distributions.IntDistribution(0, len(rungs) - 1)
        case Choice(options):
            return optuna.distributions.CategoricalDistribution(range(len(options)))


def _to_optuna(dimension: Dimension, at: float) -> float:
    """Return a position in the dimension's distribution: unchanged, or the index of the rung or option."""
    match dimension:
        case Real():
            return at
        case Ladder(rungs):
            return int(at * len(rungs))
        case Choice(options):
            return int(at * len(options))


def _from_optuna(dimension: Dimension, base: Value, drawn: float) -> Value:
    match dimension:
        case Real():
            return moved_to(dimension, base, drawn)
        case Ladder(rungs):
            return rungs[int(drawn)]
        case Choice(options):
            return options[int(drawn)]


def _references(state: State) -> dict[str, float]:
    """Return the baseline's mean score by hardware class.

    In a class where only the incumbent has run, the reference is its score, corrected by its mean gain over the
    baseline in the classes where both have run.
    """
    baseline = _class_means(state.experiments[state.baseline])
    if not state.incumbent:
        return baseline
    incumbent = _class_means(state.experiments[state.incumbent])
    gains = [incumbent[hardware] - baseline[hardware] for hardware in incumbent if hardware in baseline]
    if gains:
        baseline.update({name: score - _mean(gains) for name, score in incumbent.items() if name not in baseline})
    return baseline


def _class_means(experiment: Experiment) -> dict[str, float]:
    return {hardware: _mean(scores) for hardware, scores in experiment.scores.items() if scores}


def _difference(experiment: Experiment, references: Mapping[str, float]) -> float | None:
    """Return the mean difference of its runs to the reference of their class; None without a comparable run."""
    differences = [
        score - references[hardware]
        for hardware, scores in experiment.scores.items()
        if hardware in references
        for score in scores
    ]
    return _mean(differences) if differences else None


def _selected(ended: list[tuple[Experiment, float]]) -> list[tuple[Experiment, float]]:
    """Return the best experiments and the newest of the rest, in the order of proposal."""
    if len(ended) <= MAX_TRIALS:
        return ended
    order = sorted(range(len(ended)), key=lambda index: (ended[index][1], index))
    best = order[:MAX_BEST_TRIALS]
    rest = sorted(order[MAX_BEST_TRIALS:])[-(MAX_TRIALS - MAX_BEST_TRIALS) :]
    return [ended[index] for index in sorted([*best, *rest])]


def _positions(base: SearchBase, experiment: Experiment) -> dict[str, float]:
    values = {**base.baseline_constants, **experiment.overrides}
    return {name: position(dimension, values[name]) for name, dimension in base.dimensions.items()}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _why(change: Mapping[str, Value]) -> str:
    return f"drawn by TPE: {len(change)} constants differ from the base's"
