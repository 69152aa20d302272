"""The proposer `tpe`: Optuna's tree-structured Parzen estimator over the constants, with many arms in flight.

It keeps nothing: each time it is asked, a study is made from the state, so that a restart changes nothing. The sampler
is told each experiment as its difference to the baseline in the same hardware class; a crash as the worst difference
seen; what is in flight as running, for which the sampler assumes the worst rather than go there again (the constant
liar of Ginsbourger et al., 2010).
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
from cockpit.science.search_space import Choice, Dimension, Ladder, Real, fit_overrides, position, value_at

if TYPE_CHECKING:
    import optuna

TRIALS_TOLD_AT_MOST = 400
"""An ask costs more with each trial told: the best of them, and the last of the rest."""
BEST_TOLD_AT_MOST = 150
STARTUP_RUNS = 24
"""Until so many experiments have ended, arms are small steps from the base: in so many dimensions, draws from the whole
space mostly crash, and the sampler has nothing to go by."""
STARTUP_CHANGES = 3
STARTUP_REACH = 0.2
"""Of a dimension's length, to either side."""
DRAWS_AN_ARM = 8


class Told(msgspec.Struct, frozen=True):
    """One experiment as the sampler is told it."""

    positions: dict[str, float]
    """By constant, from 0 to 1."""
    difference: float | None
    """To the baseline, in val_bpb; None while it is in flight."""


class Study(msgspec.Struct, frozen=True):
    """All that the sampler needs of the state."""

    around: SearchBase
    told: tuple[Told, ...]
    seed: int


class Tpe:
    """Proposes numbers where a probabilistic model of the good ones and of the bad ones differ most."""

    name = "tpe"

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        study = api.read(study_of)
        if study is None:
            raise ProposerTrouble("tpe waits for the baseline to be there")
        if not study.around.dimensions:
            raise ProposerTrouble("tpe finds no constants that it knows how to vary: propose patches", 3600.0)
        changes = draw(study, request.arms, request.ask)
        if not changes:
            raise ProposerTrouble("tpe drew only what was tried before")
        receipt = api.propose(
            Draft(
                proposer=self.name,
                question=f"do other numbers beat {study.around.base}?",
                base=study.around.base,
                arms=tuple(Arm(Change(constants=change), why=_why(change)) for change in changes),
                kind=WaveKind.FILLER if request.reason == "filler" else WaveKind.WAVE,
            )
        )
        if receipt.status == "refused":
            raise ProposerTrouble(f"none of tpe's arms could be taken: {receipt.problems[0]}")


def study_of(state: State) -> Study | None:
    """What there is to learn from; None while there is no baseline. Reads every experiment once."""
    around = search_base(state)
    if around is None:
        return None
    references = _references(state)
    ended: list[tuple[Experiment, float | None]] = []
    in_flight: list[Experiment] = []
    for experiment in state.experiments.values():
        difference = _difference(experiment, references)
        gave_nothing = experiment.status in (ExperimentStatus.CRASHED, ExperimentStatus.DISCARDED)
        if difference is not None or gave_nothing:
            ended.append((experiment, difference))
        elif experiment.status is not ExperimentStatus.DROPPED:
            in_flight.append(experiment)
    worst = max((difference for _, difference in ended if difference is not None), default=0.0)
    kept = _kept([(experiment, worst if difference is None else difference) for experiment, difference in ended])
    told = [Told(_positions(around, experiment), difference) for experiment, difference in kept]
    running = [Told(_positions(around, experiment), None) for experiment in in_flight[-TRIALS_TOLD_AT_MOST:]]
    return Study(around, (*told, *running), state.session.seed)


def draw(study: Study, arms: int, ask: int) -> list[dict[str, Value]]:
    """At most `arms` changes to the base's constants, all different and none tried before. Deterministic."""
    ended = sum(told.difference is not None for told in study.told)
    dice = random.Random(f"{study.seed}|{ask}")
    if ended < STARTUP_RUNS:
        drawn: Iterator[dict[str, Value]] = (_step(study, dice) for _ in range(arms * DRAWS_AN_ARM))
    else:
        drawn = _sampled(study, arms * DRAWS_AN_ARM, dice.getrandbits(32))
    found: list[dict[str, Value]] = []
    for values in drawn:
        change = fit_overrides(study.around.constants, values)
        if change and change not in found and not study.around.was_tried(change):
            found.append(change)
        if len(found) == arms:
            break
    return found


def _step(study: Study, dice: random.Random) -> dict[str, Value]:
    """A small step from the base in a few dimensions."""
    chosen = dice.sample(sorted(study.around.dimensions), min(STARTUP_CHANGES, len(study.around.dimensions)))
    values: dict[str, Value] = {}
    for name in chosen:
        dimension = study.around.dimensions[name]
        if isinstance(dimension, Choice):
            values[name] = dice.choice(dimension.options)
            continue
        place = position(dimension, study.around.constants[name]) + dice.uniform(-STARTUP_REACH, STARTUP_REACH)
        values[name] = value_at(dimension, place)
    return values


def _sampled(study: Study, most: int, seed: int) -> Iterator[dict[str, Value]]:
    """Optuna's draws, each made knowing those before it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution(dimension) for name, dimension in study.around.dimensions.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed)
    made = optuna.create_study(sampler=sampler)
    states = optuna.trial.TrialState
    made.add_trials(
        [
            optuna.trial.create_trial(
                params={name: _told(study.around.dimensions[name], place) for name, place in told.positions.items()},
                distributions=distributions,
                value=told.difference,
                state=states.RUNNING if told.difference is None else states.COMPLETE,
            )
            for told in study.told
        ]
    )
    for _ in range(most):
        params = made.ask(fixed_distributions=distributions).params
        yield {name: _value(study.around.dimensions[name], place) for name, place in params.items()}


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    import optuna

    match dimension:
        case Real():
            return optuna.distributions.FloatDistribution(0.0, 1.0)
        case Ladder(rungs):
            return optuna.distributions.IntDistribution(0, len(rungs) - 1)
        case Choice(options):
            return optuna.distributions.CategoricalDistribution(range(len(options)))


def _told(dimension: Dimension, place: float) -> float:
    """A position as the sampler's distribution has it: as it is, or as the number of the rung or option."""
    match dimension:
        case Real():
            return place
        case Ladder(rungs):
            return int(place * len(rungs))
        case Choice(options):
            return int(place * len(options))


def _value(dimension: Dimension, drawn: float) -> Value:
    match dimension:
        case Real():
            return value_at(dimension, drawn)
        case Ladder(rungs):
            return rungs[int(drawn)]
        case Choice(options):
            return options[int(drawn)]


def _references(state: State) -> dict[str, float]:
    """Hardware class to the baseline's mean score there. Where it has not run, the incumbent's stands in, put right
    by how far it lies below the baseline in a class both have run in."""
    base = {hw: _mean(scores) for hw, scores in state.experiments[state.baseline].scores.items() if scores}
    if not state.incumbent:
        return base
    best = {hw: _mean(scores) for hw, scores in state.experiments[state.incumbent].scores.items() if scores}
    gains = [best[hardware] - base[hardware] for hardware in best if hardware in base]
    if gains:
        base.update({hw: score - _mean(gains) for hw, score in best.items() if hw not in base})
    return base


def _difference(experiment: Experiment, references: Mapping[str, float]) -> float | None:
    """The mean difference of its runs to the same class's reference; None where nothing can be said."""
    differences = [
        score - references[hardware]
        for hardware, scores in experiment.scores.items()
        if hardware in references
        for score in scores
    ]
    return _mean(differences) if differences else None


def _kept(ended: list[tuple[Experiment, float]]) -> list[tuple[Experiment, float]]:
    """The best, and of the others the last, in the order they were proposed."""
    if len(ended) <= TRIALS_TOLD_AT_MOST:
        return ended
    order = sorted(range(len(ended)), key=lambda index: (ended[index][1], index))
    best = order[:BEST_TOLD_AT_MOST]
    others = sorted(order[BEST_TOLD_AT_MOST:])[-(TRIALS_TOLD_AT_MOST - BEST_TOLD_AT_MOST) :]
    return [ended[index] for index in sorted([*best, *others])]


def _positions(around: SearchBase, experiment: Experiment) -> dict[str, float]:
    values = {**around.baseline, **experiment.overrides}
    return {name: position(dimension, values[name]) for name, dimension in around.dimensions.items()}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _why(change: Mapping[str, Value]) -> str:
    return f"drawn by TPE: {len(change)} constants differ from the base's"
