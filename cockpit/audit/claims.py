"""Judge a claimed gain from its repeats and those of the program that it is compared with. Pure."""

import math
from collections.abc import Sequence
from enum import StrEnum
from statistics import fmean, variance

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.plausible import LARGEST, is_plausible
from cockpit.science.compare import t_cdf, t_quantile

LEVEL = 0.05
"""Error level of a claim: at most this share of the claims without a gain is judged real."""
COPIES_LEVEL = 0.001
"""Chance of two equal values among those of a group below which equal values are copies."""
EQUAL_SDS = 0.5
"""Margin, in run SDs, within which a program with fewer steps counts as equally good."""


class AuditError(CockpitError):
    """The results cannot be audited; the message is one sentence."""


class Judgement(StrEnum):
    REAL = "real"
    NOT_SHOWN = "not shown"
    INVALID = "invalid"


class Finding(msgspec.Struct, frozen=True):
    """The judgement on one claimed gain."""

    claim: str
    judgement: Judgement
    reason: str


class Audit(msgspec.Struct, frozen=True):
    """The findings on all claimed gains, and a sentence for each part that was not read."""

    findings: list[Finding]
    notes: list[str] = []


class Group(msgspec.Struct, frozen=True):
    """The repeats of one program; lower values are better."""

    name: str
    values: tuple[float, ...]
    steps: int = 0
    """Training steps; 0 if they are unknown."""
    problem: str = ""
    """Why its values do not count, in a sentence; empty if they do."""


def judged(new: Group, old: Group, metric: Metric = VAL_BPB) -> Finding:
    """Judge the claim that `new` is better than `old`, or as good with fewer steps. Their values are scores."""
    claim = f"{new.name} against {old.name}"
    if problem := problem_of(new) or problem_of(old):
        return Finding(claim, Judgement.INVALID, problem)
    if min(len(new.values), len(old.values)) < 2:
        return Finding(claim, Judgement.NOT_SHOWN, "one of the two was run only once, so its noise is unknown")
    mean, low, high, p_value, sd = difference(new.values, old.values)
    runs = f"{len(new.values)} and {len(old.values)} runs"
    told = f"{metric.signed(mean)} {metric.span(low, high)} in {runs}"
    if new.steps > old.steps > 0:
        return Finding(claim, Judgement.NOT_SHOWN, f"{told}: with {new.steps:,} steps instead of {old.steps:,}")
    if p_value <= LEVEL:
        return Finding(claim, Judgement.REAL, told)
    if 0 < new.steps < old.steps:
        steps = f"{new.steps:,} steps instead of {old.steps:,}"
        if high <= EQUAL_SDS * sd:
            return Finding(claim, Judgement.REAL, f"{told}: as good with {steps}")
        return Finding(
            claim, Judgement.NOT_SHOWN, f"{told}: with {steps} {'it is worse' if low > 0 else 'it may be worse'}"
        )
    return Finding(claim, Judgement.NOT_SHOWN, f"{told}: within the noise (p = {p_value:.2f})")


def problem_of(group: Group) -> str:
    """Return why a group's values are not those of independent runs, in a sentence; empty if they are."""
    if group.problem:
        return group.problem
    if not group.values:
        return f"{group.name} has no value"
    if not all(map(is_plausible, group.values)):
        return f"{group.name} has a value that is not finite, or is larger than {LARGEST:.0e}"
    if len(group.values) > 2 and len(set(group.values)) == 1:
        return f"all {len(group.values)} values of {group.name} are equal: they are one run, or repeats of one seed"
    if copies := _copies(group.values):
        return f"{copies} of the {len(group.values)} values of {group.name} are copies of others, to the last digit"
    return ""


def _copies(values: Sequence[float]) -> int:
    """Return how many values equal another one where chance seldom makes two equal; 0 for none."""
    distinct = set(values)
    copies = len(values) - len(distinct)
    if not copies or len(distinct) < 2:
        return 0
    unit = 10.0 ** -max(len(f"{value!r}".partition(".")[2]) for value in distinct)
    pairs = len(values) * (len(values) - 1) / 2
    expected = pairs * unit / (2 * math.sqrt(math.pi * variance(distinct)))
    return copies if expected**copies / math.factorial(copies) < COPIES_LEVEL else 0


def difference(new: Sequence[float], old: Sequence[float]) -> tuple[float, float, float, float, float]:
    """Return the mean difference, its 90% interval, the one-sided p-value (Welch) and the pooled SD of a run."""
    n, m = len(new), len(old)
    v, w = variance(new), variance(old)
    mean, sd = fmean(new) - fmean(old), math.sqrt(((n - 1) * v + (m - 1) * w) / (n + m - 2))
    se = math.sqrt(v / n + w / m)
    if se == 0:
        return mean, mean, mean, float(mean >= 0), sd
    df = se**4 / ((v / n) ** 2 / (n - 1) + (w / m) ** 2 / (m - 1))
    half = t_quantile(1 - LEVEL, df) * se
    return mean, mean - half, mean + half, t_cdf(mean / se, df), sd
