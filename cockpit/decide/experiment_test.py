"""Test one arm, from its first fresh runs to its keep: replicate, validate on the better class, confirm.

A confirmation is a run from the ledger's code that must agree with the other runs. The incumbent runs again beside each
test that ends with a keep: scores may drift with time.
"""

import math
from itertools import zip_longest

from cockpit.core.events import Event
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Estimate, Experiment, Tier
from cockpit.core.state import State
from cockpit.decide.decision_context import DecisionContext, clusters_up, margin_of, replicates
from cockpit.decide.evidence import FRESH_AT_LEAST, RUNS_READ, TEST_KINDS, reading, readings_of, runs_since_kept
from cockpit.decide.rebasing import may_be_rebased, rebased_as, will_be_rebased
from cockpit.decide.rescoring import no_rescore, rescore_problem
from cockpit.decide.schedule import RunSpec, next_attempt
from cockpit.science.compare import Comparison, compare, difference, t_cdf, t_quantile
from cockpit.science.reading import Reading
from cockpit.science.sequential import LOOKS, Judgement, LookOutcome, judge, last_look

OUTCLASSED_SES = 3.0
BASE_RUNS_AT_MOST = LOOKS[-1]
RUNS_PER_CLUSTER = 4
"""Most fresh runs of a test per cluster that is up, so that one arm does not take the night of a small fleet."""
RUNS_AT_LEAST = 8
CONFIRMED_AT = 0.01
"""A confirmation contradicts the evidence where it is worse than predicted at this level, unless it alone is better
than the incumbent at the same level."""
CONTRADICTED_AT = 0.99
"""The better class contradicts the evidence where the experiment is worse there with this probability. It has few runs,
and at a lower one their luck would stop keeps for the other class that hold there."""
SHOWN_AT = (0.01, 0.04)
"""The better class shows a gain where its own runs, beside the incumbent's there, have a p-value this small: after the
first validation, and after all of them. A keep that it does not show is a keep for the other class. At most the sum of
the levels is the share of the gains of the other class alone that are claimed for both."""
VALIDATIONS_AT_MOST = 4
SIDE_BY_SIDE = 2
"""Runs of an incumbent during a test, before it ends with a keep. They show how far scores have drifted meanwhile."""
WITNESSES = 3
"""Newest incumbents that may have these runs. Where two tests overlap and the first ends with a keep, the second does
not wait for runs of the new incumbent."""
WAITS_FROM = LOOKS[3]
"""Fresh runs from which a look waits for the incumbent's runs that were queued with them."""
BESIDE_AT = 0.02
"""The level at which these runs alone must show the gain. They are few, and scores drift in any way: only a comparison
side by side holds under each."""
MOVED_AT = 0.1
"""Where these runs are better than the incumbent's earlier ones at this level, the experiment must beat them alone."""


def tested(state: State, context: DecisionContext, experiment: Experiment) -> list[Event]:
    """Decide on an arm whose test has begun and that has no run under way."""
    fresh = readings_of(state, experiment.id, *TEST_KINDS)
    looked_at = _of_the_test(context, fresh)
    margin = margin_of(context, experiment)
    look = last_look(len(looked_at))
    if look >= WAITS_FROM and _is_base_coming(state, context, experiment, look):
        return []
    seen = compare(looked_at[:look], _base(state, context, experiment), context.noise, margin=margin)
    judged = judge(seen, context.noise, experiment.test_level, look)
    if judged.outcome is not LookOutcome.KEEP and seen is not None and (again := rebased_as(state, experiment.id)):
        reason = f"{context.summary(seen)}; {again} tests its change on {state.incumbent}"
        return context.discard(experiment, reason, seen.pooled)
    if judged.outcome is not LookOutcome.KEEP and will_be_rebased(state, experiment.id):
        return []
    if judged.outcome is LookOutcome.HOPELESS:
        said = f"{context.summary(seen)}; " if seen is not None else ""
        return context.discard(experiment, f"{said}{judged.why}", seen.pooled if seen is not None else None)
    if judged.outcome is LookOutcome.MORE:
        if seen is not None and (other := _outclassing(state, context, experiment, seen)):
            if may_be_rebased(state, experiment, state.experiments[other]):
                return []
            reason = f"{context.summary(seen)}; {other} is certainly better"
            return context.discard(experiment, reason, seen.pooled)
        if judged.want > runs_at_most(state) and seen is not None:
            reason = f"{context.summary(seen)}; {judged.why}, and {judged.want} runs are too many for this fleet"
            return context.discard(experiment, reason, seen.pooled)
        return _evidence(state, context, experiment, judged, len(looked_at))
    return _passed(state, context, experiment, fresh, judged)


def _of_the_test(context: DecisionContext, fresh: list[Reading]) -> list[Reading]:
    """Return the runs that the looks read: without those of the better class, which validate what the test has shown.

    A gain of the usual class alone would fail its looks with them.
    """
    if context.usual_class in ("", context.better_class):
        return fresh
    return [run for run in fresh if run.hardware != context.better_class]


def _base(state: State, context: DecisionContext, experiment: Experiment) -> list[Reading]:
    """Return the incumbent's runs that the test is compared with: under a drift those beside it, from a few on."""
    since = _began(state, experiment)
    beside = [one for one in context.incumbent if one.at >= since] if context.noise.drift.knots else []
    return beside if len(beside) >= FRESH_AT_LEAST else context.incumbent


def _began(state: State, experiment: Experiment) -> float:
    """Return when the first run of the experiment's test was queued; infinite before."""
    own = (state.attempts[name] for name in experiment.attempts)
    return min((run.queued_at for run in own if run.kind in TEST_KINDS), default=math.inf)


def runs_at_most(state: State) -> int:
    """Return the most fresh runs of a test on this fleet."""
    return max(RUNS_AT_LEAST, RUNS_PER_CLUSTER * clusters_up(state))


def _outclassing(state: State, context: DecisionContext, experiment: Experiment, seen: Comparison) -> str:
    """Return another experiment under test that is clearly better on fresh runs; empty for none."""
    for name in state.undecided:
        if name == experiment.id or not state.experiments[name].test_level:
            continue
        fresh = readings_of(state, name, *TEST_KINDS)
        found = difference(fresh, context.incumbent, context.noise) if len(fresh) >= LOOKS[0] else None
        if found is not None and found.mean + OUTCLASSED_SES * math.hypot(found.se, seen.se) < seen.pooled.mean:
            return name
    return ""


def _evidence(
    state: State, context: DecisionContext, experiment: Experiment, judged: Judgement, fresh: int
) -> list[Event]:
    failed = sum(
        state.attempts[name].kind is AttemptKind.REPLICATE and state.attempts[name].metrics is None
        for name in experiment.attempts
    )
    if failed >= LOOKS[0] and failed > fresh:
        reason = f"{failed} of its replicates gave no result"
        return context.discard(experiment, reason)
    more = replicates(state, context, experiment, max(1, judged.want - fresh), judged.why)
    beside = base_runs(state, context, experiment, max(judged.want, fresh + 1))
    return [event for pair in zip_longest(more, beside) for event in pair if event is not None]


def _is_base_coming(state: State, context: DecisionContext, experiment: Experiment, look: int) -> bool:
    """Return True if the incumbent has fewer results than the look, and a run of its own beside the test is to end."""
    if len(_base(state, context, experiment)) >= look:
        return False
    runs = _coming(state, _class_of_test(state, context, experiment))
    return any(run.kind is AttemptKind.REPLICATE for run in runs)


def _class_of_test(state: State, context: DecisionContext, experiment: Experiment) -> str:
    return context.usual_class or state.attempts[experiment.attempts[-1]].hardware


def _coming(state: State, hardware: str) -> list[Attempt]:
    """Return the runs of the incumbent in a class that are to end."""
    runs = (state.attempts[name] for name in state.experiments[state.incumbent].attempts[-RUNS_READ:])
    return [run for run in runs if run.status is not AttemptStatus.ENDED and run.hardware in ("", hardware)]


def base_runs(state: State, context: DecisionContext, experiment: Experiment, want: int) -> list[Event]:
    """Run the incumbent again if it has fewer runs than the arm: both sides of a difference have noise.

    Runs from before it was kept do not count. It was selected by them, so they flatter it and the next gain would look
    smaller.
    """
    hardware = _class_of_test(state, context, experiment)
    since = _began(state, experiment) if context.noise.drift.knots else -math.inf
    has = sum(one.hardware == hardware and one.at >= since for one in runs_since_kept(state, state.incumbent))
    has += len(_coming(state, hardware))
    rule = state.attempts[experiment.attempts[-1]].rule
    run = RunSpec(state.incumbent, AttemptKind.REPLICATE, rule, hardware=hardware)
    reason = f"to be as well known as {experiment.id}, which is tested against it"
    want = max(want, min(FRESH_AT_LEAST, clusters_up(state)))
    missing = min(want, BASE_RUNS_AT_MOST) - has
    return [context.queue(next_attempt(state, run), reason) for _ in range(missing)]


def _passed(
    state: State, context: DecisionContext, experiment: Experiment, fresh: list[Reading], judged: Judgement
) -> list[Event]:
    """Decide on an arm with enough evidence: queue its validation and confirmation, then keep or discard it."""
    confirmations = readings_of(state, experiment.id, AttemptKind.CONFIRMATION)
    if queued := final_runs(state, context, experiment, judged.why):
        return queued
    ended = [run.status is AttemptStatus.ENDED for run in _beside_test(state, context, experiment, state.incumbent)]
    if sum(ended) < min(SIDE_BY_SIDE, len(ended)) and not _witnessed(state, context, experiment):
        return []
    validations = _more_validations(state, context, experiment, fresh, judged.why)
    if validations is not None:
        return validations
    more = _more_beside(state, context, experiment, [*fresh, *confirmations], judged.why)
    if more is not None:
        return more
    seen = compare([*fresh, *confirmations], _base(state, context, experiment), context.noise)
    if seen is None or not confirmations:
        reason = "its confirmation gave no result"
        return context.discard(experiment, reason, seen.pooled if seen else None)
    if broken := rescore_problem(state, experiment):
        return context.discard(experiment, f"{context.summary(seen)}; {broken}", seen.pooled)
    if doubt := _contradiction(context, fresh, confirmations, seen) or _moved(
        state, context, experiment, [*fresh, *confirmations]
    ):
        return context.discard(experiment, f"{context.summary(seen)}; {doubt}", seen.pooled)
    if not _is_shown(state, context, experiment, fresh):
        return _kept_for_one_class(state, context, experiment, [*fresh, *confirmations], judged.why)
    reason = f"{context.summary(seen)}; {judged.why}"
    return context.keep(experiment, reason, seen.pooled)


def _is_shown(state: State, context: DecisionContext, experiment: Experiment, fresh: list[Reading]) -> bool:
    """Return True if the better class alone shows a gain, or there is none beside the class of the test."""
    if context.better_class in ("", context.usual_class):
        return True
    there = _on_better_class(state, context, experiment, fresh)
    tries = _tries([state.attempts[name] for name in experiment.attempts], AttemptKind.VALIDATION)
    level = SHOWN_AT[0] if tries < VALIDATIONS_AT_MOST else SHOWN_AT[1]
    return there is not None and there.p_value <= level


def _on_better_class(
    state: State, context: DecisionContext, experiment: Experiment, runs: list[Reading]
) -> Comparison | None:
    """Compare the experiment with the incumbent's runs beside its test in the better class; None without such runs.

    The incumbent has few other runs there. They are of other hours, or it was kept for them.
    """
    ids = {run.id for run in _beside(state, experiment, state.incumbent, context.better_class)}
    names = (name for name in state.experiments[state.incumbent].attempts[-RUNS_READ:] if name in ids)
    since = [one for name in names if (one := reading(state, state.attempts[name])) is not None]
    return compare([run for run in runs if run.hardware == context.better_class], since, context.noise)


def _more_validations(
    state: State, context: DecisionContext, experiment: Experiment, fresh: list[Reading], reason: str
) -> list[Event] | None:
    """Queue more validations, and runs of the incumbent beside them, where the first does not show the gain.

    None where no more are wanted, as where it contradicts the gain. Empty to wait for the incumbent's.
    """
    hardware = context.better_class
    if hardware in ("", context.usual_class):
        return None
    beside = _beside(state, experiment, state.incumbent, hardware)
    if any(run.status is not AttemptStatus.ENDED and not run.pin for run in beside):
        return []
    there = compare([run for run in fresh if run.hardware == hardware], context.incumbent, context.noise)
    if there is None or there.p_value > CONTRADICTED_AT or _is_shown(state, context, experiment, fresh):
        return None
    attempts = [state.attempts[name] for name in experiment.attempts]
    run = RunSpec(experiment.id, AttemptKind.VALIDATION, attempts[-1].rule, Tier.VALIDATE, hardware)
    base = RunSpec(state.incumbent, AttemptKind.REPLICATE, attempts[-1].rule, Tier.VALIDATE, hardware)
    why = f"{reason}: not shown on {hardware} yet ({context.summary(there)})"
    missing = VALIDATIONS_AT_MOST - _tries(attempts, AttemptKind.VALIDATION)
    missing_beside = min(missing, VALIDATIONS_AT_MOST - len(beside))
    specs = [one for number in range(missing) for one in ((run, base) if number < missing_beside else (run,))]
    return [context.queue(next_attempt(state, one), why) for one in specs] or None


def _kept_for_one_class(
    state: State, context: DecisionContext, experiment: Experiment, runs: list[Reading], reason: str
) -> list[Event]:
    """Keep a gain that the better class does not show, for the class that does; discard it where none does."""
    there = _on_better_class(state, context, experiment, runs)
    elsewhere = [run for run in runs if run.hardware != context.better_class]
    here = compare(elsewhere, context.incumbent, context.noise, margin=margin_of(context, experiment))
    said = f"not shown on {context.better_class}" + (f" ({context.summary(there)})" if there is not None else "")
    if here is None or here.p_value > experiment.test_level:
        estimate = here.pooled if here is not None else None
        return context.discard(experiment, f"{said}, and no other class alone shows it", estimate)
    return context.keep(
        experiment, f"{context.summary(here)} on {here.pooled.hardware} only, {said}; {reason}", here.pooled
    )


def final_runs(state: State, context: DecisionContext, experiment: Experiment, reason: str) -> list[Event]:
    """Queue the missing validation and confirmation, and runs of the incumbent beside them."""
    last = state.attempts[experiment.attempts[-1]]
    attempts = [state.attempts[name] for name in experiment.attempts]
    queued: list[Event] = []
    validated = any(one.hardware == context.better_class and one.kind in TEST_KINDS and one.metrics for one in attempts)
    if context.better_class and not validated and _tries(attempts, AttemptKind.VALIDATION) < 2:
        run = RunSpec(experiment.id, AttemptKind.VALIDATION, last.rule, Tier.VALIDATE, context.better_class)
        why = f"{reason}: validated on {context.better_class}"
        queued.append(context.queue(next_attempt(state, run), why))
        if not _beside(state, experiment, state.incumbent, context.better_class):
            base = RunSpec(state.incumbent, AttemptKind.REPLICATE, last.rule, Tier.VALIDATE, context.better_class)
            queued.append(context.queue(next_attempt(state, base), why))
    confirmed = any(one.kind is AttemptKind.CONFIRMATION and one.metrics and not no_rescore(one) for one in attempts)
    if not confirmed and _tries(attempts, AttemptKind.CONFIRMATION) < 2:
        kind = AttemptKind.CONFIRMATION
        run = RunSpec(experiment.id, kind, last.rule, hardware=context.usual_class, avoid=last.cluster)
        queued.append(context.queue(next_attempt(state, run), f"{reason}: once more from the ledger's code"))
    beside = len(_beside_test(state, context, experiment, state.incumbent))
    if beside < SIDE_BY_SIDE and _witnessed(state, context, experiment):
        return queued
    hardware = context.usual_class or last.hardware
    run = RunSpec(state.incumbent, AttemptKind.REPLICATE, last.rule, hardware=hardware)
    why = f"beside the test of {experiment.id}, to see whether scores have moved"
    return queued + [context.queue(next_attempt(state, run), why) for _ in range(SIDE_BY_SIDE - beside)]


def _beside(state: State, experiment: Experiment, base: str, hardware: str) -> list[Attempt]:
    """Return the runs of `base` in a class that were queued since the test began, with any outcome."""
    began = _began(state, experiment)
    runs = (state.attempts[name] for name in state.experiments[base].attempts[-RUNS_READ:])
    return [run for run in runs if run.queued_at >= began and (not hardware or run.hardware in ("", hardware))]


def _beside_test(state: State, context: DecisionContext, experiment: Experiment, base: str) -> list[Attempt]:
    """Return the runs of `base` in the test's class that were queued since the test began."""
    return _beside(state, experiment, base, _class_of_test(state, context, experiment))


def _witnessed(state: State, context: DecisionContext, experiment: Experiment) -> bool:
    """Return True if an earlier incumbent ran beside the test often enough, and scored as it had before."""
    for base in dict.fromkeys(one.experiment for one in state.incumbencies[-WITNESSES:-1]):
        since, before = _since(state, context, experiment, base)
        moved = compare(since, before, context.noise) if len(since) >= SIDE_BY_SIDE else None
        if moved is not None and moved.p_value > MOVED_AT:
            return True
    return False


def _since(
    state: State, context: DecisionContext, experiment: Experiment, base: str
) -> tuple[list[Reading], list[Reading]]:
    """Return the results of `base` during the experiment's test, and those before it."""
    ids = {run.id for run in _beside_test(state, context, experiment, base)}
    since: list[Reading] = []
    before: list[Reading] = []
    for name in state.experiments[base].attempts[-RUNS_READ:]:
        one = reading(state, state.attempts[name])
        if one is not None:
            (since if name in ids else before).append(one)
    return since, before


def _more_beside(
    state: State, context: DecisionContext, experiment: Experiment, runs: list[Reading], reason: str
) -> list[Event] | None:
    """Queue more runs of the incumbent where those beside the test do not show the gain alone; empty to wait for some.

    None where no more are wanted. There are twice as many each time, at most as many as the test has.
    """
    alone = _against_beside(state, context, experiment, runs)
    if alone is None or alone.p_value <= BESIDE_AT:
        return None
    ran = _beside_test(state, context, experiment, state.incumbent)
    if any(run.status is not AttemptStatus.ENDED and not run.pin for run in ran):
        return []
    missing = min(len(ran), len(runs) - len(ran))
    if missing <= 0:
        return None
    last = state.attempts[experiment.attempts[-1]]
    run = RunSpec(state.incumbent, AttemptKind.REPLICATE, last.rule, hardware=context.usual_class or last.hardware)
    why = f"{reason}: not shown against the incumbent's runs beside the test ({context.summary(alone)})"
    return [context.queue(next_attempt(state, run), why) for _ in range(missing)]


def _against_beside(
    state: State, context: DecisionContext, experiment: Experiment, runs: list[Reading]
) -> Comparison | None:
    """Compare the experiment with the incumbent's runs beside its test alone; None without such runs."""
    since, _ = _since(state, context, experiment, state.incumbent)
    return compare(runs, since, context.noise, margin=margin_of(context, experiment)) if since else None


def _moved(state: State, context: DecisionContext, experiment: Experiment, runs: list[Reading]) -> str:
    """Return why the gain may be drift; empty if it is not.

    It may be if the incumbent's runs beside the test do not show it. Where the incumbent too has scored better since
    the test began, they must show it at the test's level. A jump has no trend to subtract, and a random walk that is
    not clear yet has none either.
    """
    alone = _against_beside(state, context, experiment, runs)
    if alone is None:
        return ""
    gain = f" ({context.summary(alone)})"
    if alone.p_value > BESIDE_AT:
        return f"the incumbent's runs beside the test do not show the gain{gain}"
    if alone.p_value <= experiment.test_level:
        return ""
    since, before = _since(state, context, experiment, state.incumbent)
    moved = compare(since, before, context.noise) if before else None
    if moved is None or moved.p_value > MOVED_AT:
        return ""
    by = context.metric.signed(moved.pooled.mean)
    return f"the incumbent too scores {by} since the test began, and the gain is not beyond that{gain}"


def _tries(attempts: list[Attempt], kind: AttemptKind) -> int:
    return sum(attempt.kind is kind for attempt in attempts)


def _contradiction(
    context: DecisionContext, fresh: list[Reading], confirmations: list[Reading], seen: Comparison
) -> str:
    """Return the contradiction in evidence that is otherwise enough, in a clause; empty for none."""
    if seen.flips and not context.better_class:
        return "its ranking flips between hardware classes"
    there = seen.by_class.get(context.better_class)
    if there is not None and _p_worse(there, seen.df) > CONTRADICTED_AT:
        return f"it does not hold on {context.better_class} ({context.metric.signed(there.mean)})"
    against = compare(fresh, confirmations, context.noise)
    alone = compare(confirmations, context.incumbent, context.noise)
    is_worse = against is not None and against.p_value < CONFIRMED_AT
    if against is not None and is_worse and (alone is None or alone.p_value > CONFIRMED_AT):
        by = context.metric.signed(-against.pooled.mean)
        return f"run again from the ledger's code it scored {by} against its other runs"
    return ""


def _p_worse(estimate: Estimate, df: float) -> float:
    """Return the probability that the true difference is above zero, from the estimate's interval."""
    se = (estimate.high - estimate.low) / 2 / t_quantile((1 + estimate.level) / 2, df)
    return t_cdf(estimate.mean / se, df) if se > 0 else float(estimate.mean > 0)
