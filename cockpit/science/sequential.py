"""Decide when the evidence is enough: one sequential test per promoted experiment, with a bounded rate of false keeps.

A screened run that looks better earns a test; it is not evidence, because it was chosen for looking good. The test uses
fresh runs only. It looks at the evidence after 2, 4, 8, 16, 32 and 64 of them and spends its error level over the looks
(Bonferroni over looks, the simplest of the alpha-spending plans of Lan & DeMets 1983, Biometrika 70: it holds under any
dependence). The level of each test comes from LORD++ (Javanmard & Montanari 2018, Ann. Stat. 46; Ramdas, Yang,
Wainwright & Jordan 2017, NeurIPS): the expected share of false keeps among all keeps stays below the stated rate
however many tests a session starts, and each keep earns further tests. Several tests run at once, so a level is fixed
when a test starts, from the keeps known then (the asynchronous form: Zrnic, Ramdas & Jordan 2021, JMLR 22).
"""

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from cockpit.science.compare import Comparison
from cockpit.science.noise import MEASURED_DF, Noise

FALSE_KEEP_RATE = 0.05
"""The expected share of false keeps among all keeps stays below this."""
LOOKS = (2, 4, 8, 16, 32, 64)
"""Numbers of fresh runs at which a test looks at the evidence."""
SPENDING = (0.05, 0.1, 0.15, 0.2, 0.25, 0.25)
"""The share of its level that a test spends at each look: little at first, where a few close runs of a noisy arm look
sure. A gain near one SD needs the last look; a hopeless test seldom gets there."""
HOPELESS_P = (0.5, 0.4, 0.25, 0.08, 0.015, 0.0)
"""The p-value above which a test ends at each look. Two runs say little about a gain near one SD. Sixteen runs that are
not nearly enough will not be enough with sixteen more."""
NO_SEED_TAKEN = "the code takes no seed, so its repeats are no evidence and luck cannot be told from a gain"
IDENTICAL = (
    "all repeats scored exactly the same: the code takes no seed, so its repeats are no evidence and luck "
    "cannot be told from a gain"
)
_DECAY = 1.6
_ZETA = 2.285765657
"""Riemann's zeta(1.6), which makes the fast discounts sum to one."""
_SPREAD = 20
"""Tests over which the slow discounts spread."""
_SPREAD_SUM = 0.0487708
"""The sum of (age + _SPREAD)^-2 over all ages from 1, which makes the slow discounts sum to one."""


class LookOutcome(StrEnum):
    """The outcome of a look: more runs, a keep, or the end of a hopeless test."""

    MORE = "more"
    KEEP = "keep"
    HOPELESS = "hopeless"


class Judgement(msgspec.Struct, frozen=True):
    outcome: LookOutcome
    look: int
    """Fresh runs at the last look; 0 before the first look."""
    want: int
    """Fresh runs needed at the next look; 0 after the last."""
    threshold: float
    """The p-value below which the look keeps."""
    why: str


def _discount(age: int) -> float:
    """Return the weight of a test this many tests after the wealth was earned; all weights sum to one.

    Half of them fall fast, for the large gains that come first. Half stay nearly level over the tests of a night: a
    gain near one SD has no chance at the level that the fast half leaves to the fortieth test.
    """
    if age < 1:
        return 0.0
    fast, slow = math.pow(age, -_DECAY) / _ZETA, math.pow(age + _SPREAD, -2) / _SPREAD_SUM
    return (fast + slow) / 2


def test_level(test: int, keeps: Sequence[int], rate: float = FALSE_KEEP_RATE) -> float:
    """Return the level of the session's `test`-th test (from 1), by LORD++.

    `keeps` holds, for each keep so far, how many tests had been started when it was made, ascending. Half the rate is
    the initial wealth. Raises ValueError on a rate outside (0, 1) or a test before the first.
    """
    if not 0 < rate < 1:
        raise ValueError(f"The false-keep rate must lie between 0 and 1, not at {rate}.")
    if test < 1:
        raise ValueError("Tests are numbered from 1.")
    initial = rate / 2
    level = initial * _discount(test)
    for number, started in enumerate(keeps):
        level += (rate - initial if number == 0 else rate) * _discount(test - started)
    return level


def last_look(fresh_runs: int) -> int:
    """Return the last look that this many fresh runs allow; 0 before the first."""
    return max((look for look in LOOKS if look <= fresh_runs), default=0)


def judge(comparison: Comparison | None, noise: Noise, level: float, look: int) -> Judgement:
    """Judge a look. `comparison` is of the first `look` fresh runs with the base; `level` is the test's.

    An experiment is never kept on noise that was not measured in this session.
    """
    if noise.takes_no_seed:
        return Judgement(LookOutcome.HOPELESS, look, 0, 0.0, NO_SEED_TAKEN)
    if look == 0 or comparison is None:
        return Judgement(LookOutcome.MORE, 0, LOOKS[0], 0.0, "not enough fresh runs in one class with its base")
    index = LOOKS.index(look)
    want = LOOKS[index + 1] if index + 1 < len(LOOKS) else 0
    threshold = level * SPENDING[index]
    p = comparison.p_value
    said = f"p {p:.2g} after {look} fresh runs, needs {threshold:.2g}"
    if noise.are_identical and look >= MEASURED_DF:
        return Judgement(LookOutcome.HOPELESS, look, 0, threshold, IDENTICAL)
    if p <= threshold:
        if noise.measured:
            return Judgement(LookOutcome.KEEP, look, want, threshold, said)
        return Judgement(LookOutcome.MORE, look, want or look, threshold, "the noise is not measured yet")
    if p > HOPELESS_P[index] or not want:
        return Judgement(LookOutcome.HOPELESS, look, 0, threshold, said)
    return Judgement(LookOutcome.MORE, look, want, threshold, said)
