"""Decide on experiments that have a result: more evidence, keep or discard; and set the incumbent.

Screen: a few runs only decide which arms are tested. Replicate: fresh runs on other clusters, judged by the
session's sequential rule. Validate: a run on the better class. Confirm: a run from the ledger's code that must agree.
An experiment that passes all becomes the incumbent. Only open experiments, controls and the newest results are read.
"""

import math
from collections import Counter

import msgspec

from cockpit.core.cluster_events import ClusterFlagged
from cockpit.core.events import Decided, Event, IncumbentSet, Queued, Trouble
from cockpit.core.model import AttemptKind, AttemptStatus, Experiment, ExperimentStatus
from cockpit.core.state import WITHOUT, State
from cockpit.decide.ablation_test import ablated
from cockpit.decide.decision_context import DecisionContext, clusters_up, gather, margin_of, replicates
from cockpit.decide.evidence import RUNS_READ, SCREENING_KINDS, noise_of, readings_of
from cockpit.decide.experiment_test import final_runs, runs_at_most, tested
from cockpit.decide.rebasing import carries_test, first_runs, rebased_as
from cockpit.decide.rescoring import broken_rule
from cockpit.decide.result_batching import wait_for_results_until
from cockpit.decide.run_seeds import with_paired_seeds
from cockpit.decide.schedule import RunSpec, next_attempt
from cockpit.decide.screening import screens_first
from cockpit.decide.second_metrics import broken_constraint, unstated_units
from cockpit.science.compare import Comparison, compare, difference
from cockpit.science.noise import Noise
from cockpit.science.sequential import LOOKS, SPENDING, last_look, test_level
from cockpit.science.shrink import Shrunk, shrink

WORTH_SCREENING = 0.15
"""Probability that a test would show the arm's gain, from which an arm is screened again."""
WORTH_TESTING = 0.25
"""This probability from which a screened arm may be tested. A test of what it can hardly show takes runs and lowers the
level of the later ones: of an arm three times as noisy as the incumbent, 64 runs show a gain of one SD every fifth
time."""
CERTAIN = 0.96
"""Probability from which all runs that a keep needs are queued together: one after another they take hours."""
OUTSHINES_SDS = 2.0
"""An arm this many run SDs ahead of every arm under test skips the queue."""
TRAILS_SES = 2.0
"""An arm this many SEs behind the best tested one waits: if that one is kept, this arm cannot win."""
SCREENING_RUNS = 3
"""Runs of an arm before its test. The best of many single runs are the luckiest and the noisiest. Two more show how
noisy the arm is."""
SCREENING_TRIES = 4
"""Most screening runs that are queued for them."""
CLUSTERS_PER_TEST = 8
"""Clusters that are up for each test at a time. The others keep screening."""
WAITING_PER_TEST = 2
"""Arms that may wait for each test that fits on the clusters."""


class Candidate(msgspec.Struct, frozen=True):
    """An arm that may be tested, by its screening runs."""

    experiment: Experiment
    seen: Comparison
    shrunk: Shrunk
    p_shown: float
    """Probability that a test with all its runs would show the gain, at the level of the session's next test."""
    is_screened: bool
    """True if it has the runs that an arm has before its test."""
    carries_test: bool = False
    """Its change was under test when the incumbent was replaced, so it keeps its test without another screening run."""

    @property
    def is_promising(self) -> bool:
        return self.carries_test or self.p_shown >= self._worth

    @property
    def _worth(self) -> float:
        return WORTH_TESTING if self.is_screened else WORTH_SCREENING

    @property
    def why_not(self) -> str:
        """Return why it is not promising, in a clause; empty where it did not score better than the incumbent."""
        if self.seen.pooled.mean >= 0:
            return ""
        percent = math.floor(100 * self.p_shown)
        return f"; a test would show a gain with a probability of {percent}%, and {self._worth:.0%} is needed"

    @property
    def expected_gain(self) -> float:
        """Return the gain that its test is expected to show."""
        return -self.shrunk.mean * self.p_shown


def promote(state: State, now: float) -> list[Event]:
    """Decide on the experiments that have a result newer than the last decision on them."""
    if not state.incumbent:
        return _first(state, now)
    more_to_come = now < wait_for_results_until(state, now)
    ready = [
        state.experiments[name]
        for name in state.contenders
        if _settled(state, name) and not (more_to_come and _is_screened(state.experiments[name]))
    ]
    if not ready and (more_to_come or not _has_free_test_slot(state, now)):
        return []
    context = gather(state, now)
    return _flagged(state, context.noise, now) or _numbered(state, _decisions(state, context, ready, more_to_come))


def _decisions(state: State, context: DecisionContext, ready: list[Experiment], more_to_come: bool) -> list[Event]:
    events: list[Event] = []
    passed: list[tuple[float, list[Event]]] = []
    candidates: list[Candidate] = []
    for experiment in ready:
        decided = _decided(state, context, experiment, candidates)
        if any(isinstance(event, IncumbentSet) for event in decided):
            passed.append((context.known_mean(state, experiment.id), decided))
        else:
            events.extend(decided)
    if passed:
        # One at a time, the best first: the others passed against an incumbent that is replaced now.
        return events + min(passed, key=lambda one: one[0])[1]
    return events if more_to_come else events + _admit(state, context, candidates)


def _decided(
    state: State, context: DecisionContext, experiment: Experiment, candidates: list[Candidate]
) -> list[Event]:
    """Decide on one experiment, or add it to the candidates for a test."""
    if experiment.id == state.incumbent:
        return [context.decided(experiment, ExperimentStatus.KEPT, experiment.reason)]
    if broken := broken_constraint(state, experiment):
        return context.discard(experiment, broken)
    if broken := broken_rule(state, experiment):
        return context.discard(experiment, broken)
    if WITHOUT in experiment.levels:
        return ablated(state, context, experiment)
    if experiment.test_level:
        return tested(state, context, experiment)
    candidate = _candidate(state, context, experiment)
    if candidate is None:
        return _comparable(state, context, experiment)
    if not candidate.is_promising:
        reason = context.summary(candidate.seen) + candidate.why_not
        return context.discard(experiment, reason, candidate.seen.pooled)
    candidates.append(candidate)
    return []


def _candidate(state: State, context: DecisionContext, experiment: Experiment) -> Candidate | None:
    """Compare an arm with the incumbent; None if no class has both."""
    margin = margin_of(context, experiment)
    runs = readings_of(state, experiment.id)
    seen = compare(runs, context.incumbent, context.noise, margin=margin)
    found = difference(runs, context.incumbent, context.noise)
    if seen is None or found is None:
        return None
    shrunk = shrink(context.prior, msgspec.structs.replace(found, mean=found.mean - margin))
    look = last_look(runs_at_most(state))
    p_value = test_level(state.tests + 1, state.test_keeps) * SPENDING[LOOKS.index(look)]
    p_shown = shrunk.p_shown(look, context.noise.variance_of(state.incumbent), p_value)
    is_screened = len(readings_of(state, experiment.id, *SCREENING_KINDS)) >= SCREENING_RUNS
    return Candidate(experiment, seen, shrunk, p_shown, is_screened, carries_test(state, experiment))


def _numbered(state: State, events: list[Event]) -> list[Event]:
    """Number the queued runs of each experiment, and choose their seeds: two tests may each want runs of the
    incumbent."""
    queued: Counter[str] = Counter()
    numbered: list[Event] = []
    for event in events:
        if isinstance(event, Queued):
            run = event.attempt
            number = state.attempt_number(run.experiment) + queued[run.experiment]
            queued[run.experiment] += 1
            run = msgspec.structs.replace(run, id=f"{run.experiment}.{number}")
            event = msgspec.structs.replace(event, attempt=run)
        numbered.append(event)
    return with_paired_seeds(state, numbered)


def _has_free_test_slot(state: State, now: float) -> bool:
    tests = sum(state.experiments[name].test_level > 0 for name in state.undecided)
    waits = any(not state.experiments[name].test_level and name not in state.contenders for name in state.undecided)
    return waits and tests < _most_tests(state) and not state.ending and not screens_first(state, now)


def _most_tests(state: State) -> int:
    return max(1, clusters_up(state) // CLUSTERS_PER_TEST)


def _first(state: State, now: float) -> list[Event]:
    if state.baseline not in state.contenders:
        return []
    reason = f"the unchanged {state.session.script}"
    broken = broken_constraint(state, state.experiments[state.baseline])
    return [
        *([Trouble(at=now, text=f"the baseline does not keep to the constraints: {broken}")] if broken else []),
        *(Trouble(at=now, text=sentence) for sentence in unstated_units(state)),
        Decided(at=now, experiment=state.baseline, status=ExperimentStatus.KEPT, reason=reason),
        IncumbentSet(at=now, experiment=state.baseline, reason=reason),
    ]


def _settled(state: State, experiment: str) -> bool:
    return all(
        state.attempts[name].status is AttemptStatus.ENDED
        for name in state.experiments[experiment].attempts[-RUNS_READ:]
    )


def _is_screened(experiment: Experiment) -> bool:
    return not experiment.test_level and WITHOUT not in experiment.levels


def _comparable(state: State, context: DecisionContext, experiment: Experiment) -> list[Event]:
    """Rerun an arm on another class or cluster, if its class has no incumbent run or its cluster is flagged.

    Where a run of the incumbent in that class is to come, wait for it.
    """
    last = state.attempts[experiment.attempts[-1]]
    coming = (state.attempts[name] for name in state.experiments[state.incumbent].attempts[-RUNS_READ:])
    if last.cluster not in state.flagged and any(
        run.status is not AttemptStatus.ENDED and run.hardware == last.hardware for run in coming
    ):
        return []
    if sum(state.attempts[name].kind is AttemptKind.RETRY for name in experiment.attempts) >= 2:
        reason = "it could not be measured where the incumbent was"
        return context.discard(experiment, reason)
    hardware = context.incumbent[0].hardware if context.incumbent else ""
    run = RunSpec(experiment.id, AttemptKind.RETRY, last.rule, last.tier, hardware, avoid=last.cluster)
    return [context.queue(next_attempt(state, run), "to compare it on a class where the incumbent was measured")]


def _admit(state: State, context: DecisionContext, newly: list[Candidate]) -> list[Event]:
    """Begin tests of the most promising arms while there is capacity. A few others wait; discard the remaining ones."""
    admission = _Admission(state, context, newly)
    return [event for rank, one in enumerate(admission.queue) for event in admission.decide(rank, one)]


class _Admission:
    """The arms that may be tested, best first, and the places for them."""

    def __init__(self, state: State, context: DecisionContext, newly: list[Candidate]) -> None:
        self._state, self._context = state, context
        tests = [name for name in state.undecided if state.experiments[name].test_level]
        self._new = {one.experiment.id for one in newly}
        waiting = _waiting(state, context, self._new)
        self.queue = sorted([*newly, *waiting], key=lambda one: (not one.carries_test, -one.expected_gain))
        self._most_tests = _most_tests(state)
        self._free_places = self._most_tests - len(tests)
        self._begun = 0
        self._takes_tests = not screens_first(state, context.now)
        self._best_tested = min([0.0, *(context.known_mean(state, name) for name in tests)])
        certain = (one.shrunk.mean for one in self.queue if one.shrunk.p_better >= CERTAIN)
        self._leader = min([self._best_tested, *certain])

    def decide(self, rank: int, one: Candidate) -> list[Event]:
        """Decide on the arm at a rank of the queue, by the first rule that applies."""
        words = self._context.summary(one.seen)
        if again := rebased_as(self._state, one.experiment.id):
            return self._discard(one, f"{words}; {again} is its change on {self._state.incumbent}")
        if not one.is_promising:
            return self._discard(one, words + one.why_not)
        if self._takes_tests and (self._fits(one) or self._outshines(rank, one)):
            return _screened_again(self._state, self._context, one) or self._begin(rank, one)
        if rank >= self._most_tests * (1 + WAITING_PER_TEST):
            return self._discard(one, f"{words}; others looked better")
        if one.experiment.id in self._new:
            reason = f"{words}; waits to be tested"
            return [self._context.decided(one.experiment, ExperimentStatus.VALID, reason, one.seen.pooled)]
        return []

    def _fits(self, one: Candidate) -> bool:
        """Return True if there is a free place, and no arm so far ahead that this one cannot win."""
        trails = one.seen.pooled.mean - self._leader >= TRAILS_SES * one.seen.se and not one.carries_test
        return self._begun < self._free_places and not trails

    def _outshines(self, rank: int, one: Candidate) -> bool:
        """Return True for the first arm if it is far ahead of every arm under test: it needs no free place."""
        return rank == 0 and one.shrunk.mean < self._best_tested - OUTSHINES_SDS * self._context.noise.run_sd

    def _begin(self, rank: int, one: Candidate) -> list[Event]:
        self._begun += 1
        level = test_level(self._state.tests + self._begun, self._state.test_keeps)
        return _begin_test(self._state, self._context, one, level, rank == 0)

    def _discard(self, one: Candidate, reason: str) -> list[Event]:
        return self._context.discard(one.experiment, reason, one.seen.pooled)


def _screened_again(state: State, context: DecisionContext, one: Candidate) -> list[Event]:
    """Queue the screening runs that an arm lacks before its test.

    None where its gain is certain, or where a repeat is the same run again.
    """
    same_again = context.noise.takes_no_seed or context.noise.are_identical
    if one.carries_test or same_again or one.shrunk.p_better >= CERTAIN:
        return []
    missing = SCREENING_RUNS - len(readings_of(state, one.experiment.id, *SCREENING_KINDS))
    tries = sum(state.attempts[name].kind in SCREENING_KINDS for name in one.experiment.attempts)
    if missing <= 0 or tries >= SCREENING_TRIES:
        return []
    reason = f"{context.summary(one.seen)}; screened again before its test"
    return replicates(state, context, one.experiment, missing, reason, kind=AttemptKind.ARM)


def _waiting(state: State, context: DecisionContext, new: set[str]) -> list[Candidate]:
    """Return the arms that wait for a test already, without those whose screening runs are to end."""
    names = (name for name in state.undecided if name not in new and name not in state.contenders)
    untested = (one for name in names if not (one := state.experiments[name]).test_level and _settled(state, name))
    found = (_candidate(state, context, experiment) for experiment in untested)
    return [one for one in found if one is not None]


def _begin_test(state: State, context: DecisionContext, one: Candidate, level: float, is_first: bool) -> list[Event]:
    reason = (
        f"{context.summary(one.seen)}; {context.metric.signed(one.shrunk.mean)} "
        f"{context.metric.span(*one.shrunk.interval())} after shrinking: tested on fresh runs"
    )
    queued = replicates(state, context, one.experiment, first_runs(state, one.experiment), reason, level)
    if is_first and one.shrunk.p_better >= CERTAIN:
        queued += final_runs(state, context, one.experiment, reason)
    return queued


def _flagged(state: State, noise: Noise, now: float) -> list[Event]:
    """Flag clusters whose controls say that they do not measure like their class; clear those that do again."""
    found = noise_of(state, held_back=True).flagged if state.flagged else noise.flagged
    changed = {name: why for name, why in found.items() if name not in state.flagged}
    changed |= {name: f"{name} measures like its class again." for name in state.flagged if name not in found}
    return [
        ClusterFlagged(at=now, cluster=name, message=message, flagged=name in found)
        for name, message in changed.items()
    ]
