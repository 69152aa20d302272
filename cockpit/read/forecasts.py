"""Forecast crashes and memory of experiments that have not run, from the session's runs."""

import itertools
from collections.abc import Iterable, Mapping

import msgspec

from cockpit.core.model import Experiment, ExperimentStatus, Value
from cockpit.core.state import State, constants_of
from cockpit.read.wording import count
from cockpit.science.forecast import RUNS_LEAST, Forecast, crash_forecast, vram_forecast
from cockpit.science.search_space import position, search_space

READ = 400
"""The newest experiments that a forecast learns from."""


LIKELY = 0.3
"""A crash of this probability is worth a warning."""


class ArmForecast(msgspec.Struct, frozen=True):
    crash: Forecast
    """The interval of its probability."""
    peak_vram_mb: Forecast | None
    """None if too few runs printed theirs, and for an arm that edits code."""


def forecasts_of(state: State, arms: Iterable[str]) -> dict[str, ArmForecast]:
    """Return forecasts of experiments that have not run, from this session's own runs, failed ones included.

    An arm that changes constants is judged by what ran nearest to it. One that edits code is judged by how many of the
    session's edits crashed: constants do not show what an edit does. Arms are left out if nothing is known to vary,
    or if fewer than RUNS_LEAST runs tell of them.
    """
    measured = _measured(state)
    if len(measured) < RUNS_LEAST:
        return {}
    import numpy as np

    dimensions = search_space(constants_of(state, state.baseline), state.session.ranges)

    def place(of: Mapping[str, Value]) -> list[float]:
        return [position(dimension, of[name]) for name, dimension in dimensions.items()]

    places = np.asarray([place(constants_of(state, one.id)) for one in measured]).reshape(len(measured), -1)
    crashed = np.asarray([one.status is ExperimentStatus.CRASHED for one in measured], dtype=bool)
    peaks = [_peak_vram_mb(state, one) for one in measured]
    said = np.asarray([peak > 0 for peak in peaks], dtype=bool)
    edited = np.asarray([bool(one.change.edits) for one in measured], dtype=bool)
    found: dict[str, ArmForecast] = {}
    for name in arms:
        if state.experiments[name].change.edits:
            if edited.sum() < RUNS_LEAST:
                continue
            nowhere = np.zeros((int(edited.sum()), 0))
            found[name] = ArmForecast(crash_forecast(nowhere, crashed[edited], np.zeros(0), near=len(nowhere)), None)
        elif dimensions:
            at = np.asarray(place(constants_of(state, name)))
            vram = vram_forecast(places[said], [peak for peak in peaks if peak > 0], at)
            found[name] = ArmForecast(crash_forecast(places, crashed, at), vram)
    return found


def forecast_words(found: Mapping[str, ArmForecast]) -> str:
    """Return the forecast of waiting arms, in a sentence; empty if there is none."""
    if not found:
        return ""
    worst = max(found, key=lambda name: found[name].crash.mean)
    crash = found[worst].crash
    likely = sum(one.crash.mean >= LIKELY for one in found.values())
    if likely:
        said = f"{likely} of {len(found)} arms likely to crash, {worst} the most: {percent(crash)}"
    else:
        said = f"crashes are unlikely: {percent(crash)} at most, in {worst}"
    peaks = {name: one.peak_vram_mb for name, one in found.items() if one.peak_vram_mb is not None}
    if peaks:
        name, peak = max(peaks.items(), key=lambda pair: pair[1].mean)
        said += f"; memory up to {gigabytes(peak)} ({name})"
    return f"{said}; from {count(crash.runs, 'run')} so far"


def percent(crash: Forecast) -> str:
    return f"{100 * crash.mean:.0f}% [{100 * crash.low:.0f}, {100 * crash.high:.0f}]"


def gigabytes(peak: Forecast) -> str:
    mean, low, high = (f"{mb / 1024:.1f}" for mb in (peak.mean, peak.low, peak.high))
    return f"{mean} GB [{low}, {high}]"


def _measured(state: State) -> list[Experiment]:
    """Return the newest experiments that gave a result or crashed."""
    newest = itertools.islice(reversed(state.experiments.values()), READ)
    return [one for one in newest if one.scores or one.status is ExperimentStatus.CRASHED]


def _peak_vram_mb(state: State, experiment: Experiment) -> float:
    """Return the peak memory of its first run; 0 if it printed none."""
    first = next((state.attempts[name] for name in experiment.attempts[:1]), None)
    return first.metrics.peak_vram_mb if first is not None and first.metrics is not None else 0.0
