"""An intent with its author, its time and its state, and the lookups that its handlers share."""

from collections.abc import Callable
from typing import Any

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.events import Event
from cockpit.core.intents import Intent
from cockpit.core.model import Experiment, Wave, WaveStatus
from cockpit.core.nearest import did_you_mean
from cockpit.core.shares import shares_of
from cockpit.core.state import State


class Refused(CockpitError):
    """The intent cannot be carried out; each argument is one sentence for its author."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class Prepared(msgspec.Struct, frozen=True):
    """A wave whose variants are stored in git, and a sentence for each arm that was left out."""

    wave: Wave
    experiments: list[Experiment]
    problems: tuple[str, ...] = ()


class IntentRequest(msgspec.Struct, frozen=True):
    """An intent's author, its time and the state it is checked against."""

    state: State
    author: str
    at: float
    prepared: Prepared | None = None


Handlers = dict[type[Intent], Callable[[IntentRequest, Any], list[Event]]]
"""Functions that carry an intent out, by its type. Each raises Refused."""


def waiting_proposal(state: State, name: str) -> Wave:
    """Return the wave where it is still a proposal. Raises Refused."""
    wave = wave_named(state, name)
    if wave.status is not WaveStatus.PROPOSED:
        by = f" (by {wave.decided_by})" if wave.decided_by else ""
        raise Refused(f"{name} is {wave.status} already{by}")
    return wave


def wave_named(state: State, name: str) -> Wave:
    """Return the wave of this name. Raises Refused, with the nearest name."""
    wave = state.waves.get(name)
    if wave is None:
        raise Refused(f"there is no wave {name!r}: {did_you_mean(name, state.waves) or '`cockpit status` lists them'}")
    return wave


def experiment_named(state: State, name: str) -> Experiment:
    """Return the experiment of this name. Raises Refused, with the nearest name."""
    experiment = state.experiments.get(name)
    if experiment is None:
        near = did_you_mean(name, state.experiments)
        raise Refused(f"there is no experiment {name!r}: {near or '`cockpit results` lists them'}")
    return experiment


def target_named(state: State, target: str) -> str:
    """Return the name of a wave or a cluster; empty for the session. Raises Refused, with the nearest name."""
    if target and target not in state.waves and not shares_of(state, target):
        near = did_you_mean(target, state.waves) or did_you_mean(target, state.clusters)
        raise Refused(f"there is no wave or cluster {target!r} to hold or resume" + (f": {near}" if near else ""))
    return target
