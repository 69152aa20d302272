"""Intern equal values (names, reasons, dicts) as one object, for `cockpit.core.fold`.

A hundred thousand records hold the same few values, and each event and snapshot is decoded with copies of its own.
Sharing them changes no value of the state.
"""

import sys
from collections.abc import Sequence
from typing import Any

from msgspec import msgpack
from msgspec.structs import replace

from cockpit.core.model import Attempt, Estimate, Experiment, Wave
from cockpit.core.state import State


def intern_wave(wave: Wave, experiments: Sequence[Experiment]) -> None:
    """Share the names of a wave and its arms, which hold each other's, and the words that many waves have."""
    intern = sys.intern
    wave.proposer, wave.base, wave.design = intern(wave.proposer), intern(wave.base), intern(wave.design)
    wave.question, wave.hypothesis = intern(wave.question), intern(wave.hypothesis)
    names = {experiment.id: experiment.id for experiment in experiments}
    wave.arms = [names.get(arm, arm) for arm in wave.arms]
    for experiment in experiments:
        experiment.wave = wave.id
        intern_experiment(experiment)


def intern_experiment(experiment: Experiment) -> None:
    intern = sys.intern
    experiment.base = intern(experiment.base)
    experiment.prepare_hash = intern(experiment.prepare_hash)
    experiment.why, experiment.reason = intern(experiment.why), intern(experiment.reason)
    if experiment.file_hashes:
        experiment.file_hashes = {intern(path): digest for path, digest in experiment.file_hashes.items()}
    constants = experiment.change.constants
    if constants:
        constants = {intern(name): value for name, value in constants.items()}
        experiment.change = replace(experiment.change, constants=constants)
    experiment.levels = _same(experiment.levels, constants)
    experiment.overrides = _same(experiment.overrides, constants)
    if experiment.estimate is not None:
        experiment.estimate = intern_estimate(experiment.estimate)


def _same(mine: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return `other` if both encode equally: 1, 1.0 and True are equal, but encode differently."""
    return other if mine == other and msgpack.encode(mine) == msgpack.encode(other) else mine


def intern_estimate(estimate: Estimate) -> Estimate:
    return replace(estimate, against=sys.intern(estimate.against), hardware=sys.intern(estimate.hardware))


def intern_attempt(state: State, attempt: Attempt) -> None:
    attempt.experiment = state.experiments[attempt.experiment].id
    attempt.rule, attempt.hardware = sys.intern(attempt.rule), sys.intern(attempt.hardware)
    attempt.cluster, attempt.pin = sys.intern(attempt.cluster), sys.intern(attempt.pin)
