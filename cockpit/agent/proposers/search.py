"""The proposer `search`: numeric arms from this session's own results, at once and without a model."""

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.agent.proposers.evolution import Tried, are_first_steps, next_arms
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Experiment, ExperimentStatus, Outcome, Value, WaveKind
from cockpit.core.state import State, constants_of
from cockpit.decide.evidence import edits_behind, noise_of, readings_of
from cockpit.read.prior import first_to_try
from cockpit.science.compare import reference_score
from cockpit.science.noise import Noise
from cockpit.science.search_space import Dimension, fit_overrides, holds, search_space

MAX_EXPERIMENTS = 400
"""The newest experiments that are read, besides the best."""
FEW_CLUSTERS = 2
"""Clusters up to which a person reads each arm, so that the first ones are visible steps. Sixteen showed no gain by
them."""
NO_BASELINE_RETRY_S = 10.0
EXHAUSTED_RETRY_S = 600.0


class SearchHistory(msgspec.Struct, frozen=True):
    """The search's input from the state."""

    dimensions: dict[str, Dimension]
    base: str
    """The incumbent, or the baseline before there is one."""
    base_constants: dict[str, Value]
    tried: list[Tried]
    pending: list[dict[str, Value]]
    seed: int
    by_steps: bool
    """True where the first arms are visible steps."""


class Search:
    name = "search"

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        history = api.read(search_history)
        if not history.base:
            raise ProposerTrouble("search waits for the baseline", retry_in_s=NO_BASELINE_RETRY_S)
        first = api.read(lambda state: prior_arms(state, history)[: request.arms])
        taken = len(api.propose(_prior_draft(history, first, request)).experiments) if first else 0
        if taken == request.arms:
            return
        pending = [*history.pending, *({**history.base_constants, **arm.change.constants} for arm in first)]
        arms = request.arms - taken
        try:
            found = searched(history, pending, arms)
        except ValueError as error:
            raise ProposerTrouble(f"search cannot propose: {error}", retry_in_s=EXHAUSTED_RETRY_S) from None
        if not found and taken:
            return
        if not found:
            raise ProposerTrouble("search has tried everything near the best", retry_in_s=EXHAUSTED_RETRY_S)
        api.propose(draft(history, found, request))


def searched(history: SearchHistory, pending: Sequence[Mapping[str, Value]], arms: int) -> list[dict[str, Value]]:
    """Return up to `arms` configurations to try next. Raises ValueError where no constant can be varied."""
    base, tried = history.base_constants, history.tried
    return next_arms(history.dimensions, base, tried, pending, arms, history.seed, history.by_steps)


def prior_arms(state: State, history: SearchHistory) -> list[Arm]:
    """Return the gains from before the session as arms on the base, if its constants can take their values."""
    arms: dict[str, Arm] = {}
    for finding in first_to_try(state):
        dimensions = history.dimensions
        if not all(name in dimensions and holds(dimensions[name], value) for name, value in finding.constants.items()):
            continue
        change = fit_overrides(history.base_constants, finding.constants)
        if change:
            arms.setdefault(repr(sorted(change.items())), Arm(Change(change), why=f"{finding.source}: {finding.text}"))
    return list(arms.values())


def _prior_draft(history: SearchHistory, arms: Sequence[Arm], request: ProposalRequest) -> Draft:
    question = "Do the gains from before this session hold here?"
    return _wave(history, question, "A change that helped the same repository before helps again.", arms, request)


def _wave(
    history: SearchHistory, question: str, hypothesis: str, arms: Sequence[Arm], request: ProposalRequest
) -> Draft:
    kind = WaveKind.FILLER if request.reason == "filler" else WaveKind.WAVE
    return Draft(
        proposer=Search.name, question=question, hypothesis=hypothesis, base=history.base, arms=tuple(arms), kind=kind
    )


def draft(history: SearchHistory, found: Sequence[Mapping[str, Value]], request: ProposalRequest) -> Draft:
    """Return the wave of the configurations `found`."""
    arms = []
    for constants in found:
        changed = {name: value for name, value in constants.items() if history.base_constants.get(name) != value}
        arms.append(Arm(Change(changed), why=", ".join(f"{name} {value}" for name, value in changed.items())))
    if are_first_steps(history.by_steps, [*history.tried, *history.pending]):
        question = f"Is a step of one or two constants from {history.base} better?"
        return _wave(history, question, "A few constants matter, and a step shows which.", arms, request)
    question = "Is a mix of the best configurations better, or a small change of one?"
    return _wave(history, question, "Good configurations lie near, and between, the best ones.", arms, request)


def search_history(state: State) -> SearchHistory:
    """Return the newest experiments and the best, with their scores on one scale."""
    noise = noise_of(state)
    base = state.incumbent or state.baseline
    code = edits_behind(state, base)
    tried: list[Tried] = []
    pending: list[dict[str, Value]] = []
    for experiment in _experiments(state):
        if edits_behind(state, experiment.id) != code:
            continue
        constants = constants_of(state, experiment.id)
        if experiment.scores:
            if readings := readings_of(state, experiment.id):
                score = reference_score(readings, noise)
                tried.append(Tried(constants, score.mean, score.se))
        elif experiment.status is ExperimentStatus.CRASHED:
            tried.append(Tried(constants, None))
        elif (expected := _expected_score(state, experiment, noise)) is not None:
            tried.append(Tried(constants, *expected))
        elif experiment.status is not ExperimentStatus.DROPPED:
            pending.append(constants)
    base_constants = constants_of(state, base)
    at_baseline = constants_of(state, state.baseline) if state.baseline else base_constants
    seed = state.session.seed * 1_000_003 + state.asks_total
    dimensions = search_space(at_baseline, state.session.ranges)
    by_steps = len(state.clusters) <= FEW_CLUSTERS
    return SearchHistory(dimensions, base, base_constants, tried, pending, seed, by_steps)


def _experiments(state: State) -> list[Experiment]:
    newest = itertools.islice(reversed(state.experiments.values()), MAX_EXPERIMENTS)
    best = (state.experiments[one.experiment] for ranked in state.best.values() for one in ranked)
    return list({experiment.id: experiment for experiment in (*newest, *best)}.values())


def _expected_score(state: State, experiment: Experiment, noise: Noise) -> tuple[float, float] | None:
    """Return the forecast of an arm that was stopped as hopeless, on the reference class, and its standard error.

    A forecast counts for less than a score, by its error. None for any other arm.
    """
    for attempt in (state.attempts[name] for name in experiment.attempts):
        if attempt.outcome is Outcome.HOPELESS and attempt.expected_se:
            offset = noise.classes.get(attempt.hardware)
            return attempt.expected_score - (offset.mean if offset else 0.0), max(attempt.expected_se, noise.run_sd)
    return None
