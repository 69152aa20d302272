"""Name what became of each real gain in a simulated night: where a gain that was screened got lost."""

import re
from enum import StrEnum

from cockpit.core.model import AttemptKind, AttemptStatus, Experiment
from cockpit.core.state import State
from cockpit.decide.ablation import UNDER_WAY
from cockpit.decide.evidence import SCREENING_KINDS

EARLY_RUNS = 8
"""Fresh runs of the last early look."""

_LOOK = re.compile(r"p \S+ after (\d+) fresh runs, needs \S+$")
"""The end of a reason where a look ended the test."""


class Fate(StrEnum):
    """How far a real gain got."""

    SCREENED_ONCE = "screened once"
    NOT_TESTED = "screened twice, not tested"
    EARLY_LOOK = f"ended by a look at {EARLY_RUNS} runs at most"
    LATE_LOOK = "ended by a later look"
    SET_ASIDE = "ended for another arm or for want of runs"
    CONTRADICTED = "ended after its looks"
    UNDER_TEST = "under test at the night's end"
    WRONG_CLASS = "kept for a class without it"
    DROPPED = "kept, dropped by its ablation"
    KEPT = "kept"


UNTESTED = (Fate.SCREENED_ONCE, Fate.NOT_TESTED)


def fate_of_lost(state: State, arms: list[Experiment]) -> Fate:
    """Return the fate of a gain that was not kept. `arms` make its change, on one incumbent after another."""
    if not any(one.test_level for one in arms):
        runs = [state.attempts[name] for one in arms for name in one.attempts]
        screened = sum(run.kind in SCREENING_KINDS and run.status is AttemptStatus.ENDED for run in runs)
        return Fate.NOT_TESTED if screened > 1 else Fate.SCREENED_ONCE
    last = arms[-1]
    if not last.test_level or last.status in UNDER_WAY:
        return Fate.UNDER_TEST  # without a level it is a rebased arm, whose change was tested on an earlier incumbent
    if found := _LOOK.search(last.reason):
        return Fate.EARLY_LOOK if int(found[1]) <= EARLY_RUNS else Fate.LATE_LOOK
    confirmed = any(state.attempts[name].kind is AttemptKind.CONFIRMATION for name in last.attempts)
    return Fate.CONTRADICTED if confirmed else Fate.SET_ASIDE
