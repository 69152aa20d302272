"""An event-driven fleet for benchmarks/search.py: a night of 16 clusters in a second, but for the policy."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from benchmarks.search_surface import Slot, Surface, measure

TRAIN_S = 300.0
START_S = 30.0
"""The time of a run outside its training budget: import, compile and final evaluation."""
CRASH_S = 33.0
"""The length of a failed run, as in the trials."""
HANDOVER_S = 5.0
"""Between two runs on a cluster that has the next one queued."""
HOURS = 8.0


@dataclass(frozen=True)
class Job:
    config: Mapping[str, Any]
    tag: Any = None


@dataclass(frozen=True)
class Result:
    job: Job
    slot: Slot
    at: float
    val_bpb: float | None
    """None where it crashed."""


@dataclass
class Report:
    """The record of a policy: it fills in keeps and bests, the fleet the rest."""

    keeps: list[tuple[float, Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)
    """(time, kept configuration, replaced configuration)."""
    bests: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)
    """(time, the configuration that it would report as its best from then on)."""
    valid: int = 0
    crashed: int = 0
    busy_s: float = 0.0
    train_s: float = 0.0
    clusters: int = 0
    controls: int = 0
    estimate: Any = None


class Policy(Protocol):
    report: Report

    def next(self, now: float, slot: Slot) -> Job | float | None:
        """Return a job for an idle cluster; or when to ask again; or None: ask when something has ended."""

    def ended(self, result: Result) -> None: ...


def run(policy: Policy, slots: list[Slot], surface: Surface, seed: int, hours: float = HOURS) -> Report:
    rng = np.random.default_rng([seed, 7])
    end, now, order = hours * 3600, 0.0, 0
    idle = list(slots)
    events: list[tuple[float, int, Result | None]] = []
    report = policy.report
    report.clusters = len(slots)
    asked_for: set[float] = set()
    while now < end:
        waiting = []
        for slot in idle:
            job = policy.next(now, slot)
            if isinstance(job, Job):
                crashed = surface.crashes(job.config)
                takes = HANDOVER_S + (CRASH_S if crashed else START_S + TRAIN_S)
                value = None if crashed else measure(rng, surface.score(job.config), slot)
                report.busy_s += min(takes - HANDOVER_S, max(0.0, end - now))
                order += 1
                heapq.heappush(events, (now + takes, order, Result(job, slot, now + takes, value)))
                continue
            waiting.append(slot)
            if job is not None and job not in asked_for:
                asked_for.add(job)
                order += 1
                heapq.heappush(events, (job, order, None))
        idle = waiting
        if not events:
            break
        now, _, result = heapq.heappop(events)
        if result is None or now > end:
            continue
        if result.val_bpb is None:
            report.crashed += 1
        else:
            report.valid += 1
            report.train_s += TRAIN_S
        policy.ended(result)
        idle.append(result.slot)
    return report
