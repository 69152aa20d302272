"""End first runs of arms that can no longer reach the incumbent. Validations and other evidence always finish.

One in ten of these runs continues as a check, because only such runs show the mistakes of the rule. The
curves and scores of the checks are among the finished runs that the rule predicts from, so that mistakes make it more
careful.

A curve is judged only by those of runs with the same schedule: an arm that decays its learning rate later is behind all
others until its end.
"""

import hashlib
import re
from functools import lru_cache

from msgspec.structs import replace

from cockpit.core.curves import Curve, points_of
from cockpit.core.events import EarlyStopSkipped, Event
from cockpit.core.fold.runs import RECENT
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Outcome, Tier
from cockpit.core.state import WITHOUT, State
from cockpit.decide.evidence import readings_of
from cockpit.decide.schedule import cancelling
from cockpit.science.forecast import CURVES_NEEDED, Finished, forecast_curve

LOOKS = (0.3, 0.5, 0.7)
"""Fractions of the budget at which a run's curve is judged."""
LOOK_LASTS = 0.1
"""A run is judged at its first step line within this fraction of the budget after a look."""
CHECKED_ONE_IN = 10

_SCHEDULE = re.compile(r"(?i)warm_?up|warm_?down|cool_?down|(?<!weight_)decay|anneal|sched|cosine|final_lr|min_lr")
"""Words in constants and edits that change a run's schedule, and with it the shape of its curve."""


def stop_early(state: State, now: float) -> list[Event]:
    """Cancel the running arms whose curves do not lead below the incumbent; let the checks among them run on."""
    if not state.early_stops.on or not state.incumbent:
        return []
    events: list[Event] = []
    bars: dict[str, float | None] = {}
    finished_in: dict[str, dict[frozenset[str], list[Finished]]] = {}
    for attempt in (one for name in state.in_flight if _due(state, one := state.attempts[name])):
        if attempt.hardware not in bars:
            bars[attempt.hardware] = _bar(state, attempt.hardware)
            finished_in[attempt.hardware] = _finished_by_schedule(state, attempt.hardware)
        bar = bars[attempt.hardware]
        finished = finished_in[attempt.hardware].get(schedule_of(state, attempt.experiment), [])
        if bar is None or len(finished) < CURVES_NEEDED:
            continue
        seen = forecast_curve(points_of(attempt.curve), finished, bar)
        if seen is None or not seen.hopeless:
            continue
        text = state.session.metric.text
        low, high = sorted((seen.final.low, seen.final.high), key=state.session.metric.value)
        reason = (
            f"its curve leads to {text(seen.final.mean)} [{text(low)}, {text(high)}] at "
            f"{100 * seen.fraction:.0f}% of its budget, the incumbent has {text(bar)}; "
            f"of {seen.ended} finished runs this would have ended {seen.wrongly} wrongly"
        )
        if is_checked(state, attempt.id):
            events.append(EarlyStopSkipped(at=now, attempt=attempt.id, bar=bar, reason=reason))
        else:
            cancel = cancelling(attempt.id, reason, now, Outcome.HOPELESS)
            events.append(replace(cancel, expected_score=seen.final.mean, expected_se=seen.se))
    return events


def is_checked(state: State, attempt: str) -> bool:
    """Return True if the attempt continues as a check. Its name and the session's seed decide, also after a restart."""
    seed = state.session.seed
    drawn = hashlib.sha256(f"{seed} {attempt}".encode()).digest()
    return int.from_bytes(drawn[:8]) % CHECKED_ONE_IN == 0


def _due(state: State, attempt: Attempt) -> bool:
    if (
        attempt.kind is not AttemptKind.ARM
        or attempt.tier is not Tier.SCREEN
        or attempt.cancelling
        or attempt.skipped_stop
    ):
        return False
    if WITHOUT in state.experiments[attempt.experiment].levels:
        return False  # all runs of an ablation are evidence
    if attempt.status is not AttemptStatus.RUNNING or attempt.progress is None:
        return False
    return any(look <= attempt.progress.fraction < look + LOOK_LASTS for look in LOOKS)


def _bar(state: State, hardware: str) -> float | None:
    """Return the incumbent's mean in the class; None if it was not measured there."""
    scores = [one.score for one in readings_of(state, state.incumbent) if one.hardware == hardware]
    return sum(scores) / len(scores) if scores else None


def schedule_of(state: State, experiment: str) -> frozenset[str]:
    """Return everything that makes an experiment's schedule differ from the baseline's: constants, and edits by id."""
    return _schedule(state, experiment, {})


def _schedule(state: State, experiment: str, edited_in: dict[str, frozenset[str]]) -> frozenset[str]:
    overrides = state.experiments[experiment].overrides
    constants = {f"{name} {overrides[name]!r}" for name in _schedule_constants(tuple(overrides))}
    edited = _schedule_edits(state, experiment, edited_in)
    return edited | constants if constants else edited


def _schedule_edits(state: State, experiment: str, edited_in: dict[str, frozenset[str]]) -> frozenset[str]:
    """Return the experiments that edited the schedule, from the root to this one; `edited_in` holds those known."""
    line: list[str] = []
    while experiment and experiment not in edited_in:
        line.append(experiment)
        experiment = state.experiments[experiment].base
    edited = edited_in[experiment] if experiment else frozenset()
    for name in reversed(line):
        if any(_is_of_schedule(edit.search + edit.replace) for edit in state.experiments[name].change.edits):
            edited |= {name}
        edited_in[name] = edited
    return edited


@lru_cache(maxsize=1024)
def _schedule_constants(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if _is_of_schedule(name))


@lru_cache(maxsize=1024)
def _is_of_schedule(text: str) -> bool:
    return _SCHEDULE.search(text) is not None


@lru_cache(maxsize=2 * RECENT)
def _finished(curve: Curve, score: float) -> Finished:
    """Unpack a run's curve once: every decision reads the same few dozen."""
    return Finished(points_of(curve), score)


def _finished_by_schedule(state: State, hardware: str) -> dict[frozenset[str], list[Finished]]:
    """Return the newest finished runs of the class that have a curve, by their schedule."""
    found: dict[frozenset[str], list[Finished]] = {}
    edited_in: dict[str, frozenset[str]] = {}
    for attempt in (state.attempts[name] for name in state.recent):
        if attempt.hardware == hardware and attempt.outcome is Outcome.VALID and attempt.metrics and attempt.curve:
            schedule = _schedule(state, attempt.experiment, edited_in)
            found.setdefault(schedule, []).append(_finished(attempt.curve, attempt.metrics.score))
    return found
