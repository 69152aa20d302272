"""What becomes of an experiment that has a result: more evidence, keep, discard; and who is the incumbent.

Screen: its first run only earns a place among the tests. Replicate: fresh runs on other clusters, judged by the
session's sequential rule. Validate: a run on the better class. Confirm: a run from the ledger's code that must bear the
rest out. Whoever passes becomes the incumbent. Read are open experiments, controls and the newest results, never all.
"""

import math
from collections import Counter

import msgspec

from cockpit.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    ClusterState,
    Estimate,
    Experiment,
    ExperimentStatus,
    Tier,
)
from cockpit.plan import actions as a
from cockpit.plan.evidence import RUNS_READ, UNCHOSEN, evidence_of, noise_of, reading, readings_of
from cockpit.plan.schedule import another, next_seed
from cockpit.plan.stack import WITHOUT
from cockpit.science.compare import Comparison, compare, difference, t_cdf, t_quantile
from cockpit.science.noise import Noise, Reading
from cockpit.science.sequential import LOOKS, SPENDING, Judgement, Verdict, judge, look_at, test_level
from cockpit.science.shrink import Prior, Shrunk, fit_prior, shrink
from cockpit.state import State

PROMISING = 0.35
"""An arm whose probability of being better than the incumbent, after shrinking, is at least this may be tested."""
CERTAIN = 0.99
"""With this probability the runs that a keep needs are queued together: waiting for one after another costs hours."""
OUTSHINES_SDS = 2.0
"""An arm better than all in tests by so much of a run's noise does not wait for a place."""
OUTCLASSED_SES = 3.0
BASE_RUNS_AT_MOST = 8
CLUSTERS_A_TEST = 8
"""One test at a time for so many clusters: the others go on screening."""
WAITING_A_TEST = 2
"""For each place among the tests, so many arms may wait for one."""
CONFIRMED_AT = 0.01
"""A confirmation that is worse than the evidence predicts, at this level, does not bear it out; unless it alone is
better than the incumbent, at the same level."""
CONTRADICTED_AT = 0.9
"""A better class contradicts when the experiment is worse there with this probability."""
STILL_HELPS_AT = 0.05
"""Without a kept change the incumbent must be worse at this level, or the change goes."""
SIDE_BY_SIDE = 2
"""Runs of the incumbent from the time of a test, before it ends with a keep: what scores may have moved meanwhile."""
MOVED_AT = 0.1
"""Those runs are better than its earlier ones at this level: the experiment must be better than those alone."""
TIE = 0.5
"""Simpler code wins ties: it may be worse by this share of a run's noise."""

_UP = (ClusterState.IDLE, ClusterState.BUSY)


class Case(msgspec.Struct, frozen=True):
    """What a decision rests on, gathered once for all of them."""

    noise: Noise
    incumbent: list[Reading]
    prior: Prior
    better_class: str

    def known_mean(self, state: State, experiment: str) -> float:
        """Its pooled difference to the incumbent by all its runs; 0 where there is none."""
        found = difference(readings_of(state, experiment), self.incumbent, self.noise)
        return found[0] if found else 0.0


def decide(state: State, now: float) -> list[a.Action]:
    if not state.incumbent:
        return _first(state)
    ready = [name for name in state.contenders if _settled(state, name)]
    if not ready and not _place_for_one_that_waits(state):
        return []
    case = gather(state)
    actions: list[a.Action] = _suspects(state, case.noise)
    if actions:
        return actions
    waiting: list[tuple[float, Experiment, Comparison, Shrunk]] = []
    crowned: list[tuple[float, list[a.Action]]] = []
    for name in ready:
        experiment = state.experiments[name]
        if name == state.incumbent:
            actions.append(a.Decide(name, ExperimentStatus.KEPT, experiment.reason))
            continue
        if WITHOUT in experiment.levels:
            decided = _ablated(state, case, experiment)
        elif experiment.test_level:
            decided = _tested(state, case, experiment)
        else:
            decided = _screened(state, case, experiment, waiting)
        if any(isinstance(action, a.Crown) for action in decided):
            crowned.append((case.known_mean(state, name), decided))
        else:
            actions.extend(decided)
    if crowned:
        # One at a time, the best first: the others passed against an incumbent that is none any more.
        actions.extend(min(crowned, key=lambda one: one[0])[1])
    else:
        actions.extend(_admit(state, case, waiting))
    return _numbered(state, actions)


def _numbered(state: State, actions: list[a.Action]) -> list[a.Action]:
    """With the queued runs of each experiment numbered through: two tests may each want runs of the incumbent."""
    queued: Counter[str] = Counter()
    numbered: list[a.Action] = []
    for action in actions:
        if isinstance(action, a.Queue):
            run = action.attempt
            number = state.attempt_number(run.experiment) + queued[run.experiment]
            seed = next_seed(state, run.experiment, queued[run.experiment])
            queued[run.experiment] += 1
            run = msgspec.structs.replace(run, id=f"{run.experiment}.{number}", seed=seed)
            action = msgspec.structs.replace(action, attempt=run)
        numbered.append(action)
    return numbered


def _place_for_one_that_waits(state: State) -> bool:
    tests = sum(state.experiments[name].test_level > 0 for name in state.undecided)
    waits = any(not state.experiments[name].test_level and name not in state.contenders for name in state.undecided)
    return waits and tests < _places(state) and not state.ending


def _places(state: State) -> int:
    up = sum(cluster.state in _UP and not cluster.held for cluster in state.clusters.values())
    return max(1, up // CLUSTERS_A_TEST)


def gather(state: State) -> Case:
    noise = noise_of(state)
    incumbent = evidence_of(state, state.incumbent)
    return Case(noise, incumbent, _prior(state, noise, incumbent), better_class(state, noise))


def better_class(state: State, noise: Noise) -> str:
    """The class validation runs on: the fleet's own word, else the one that measures clearly better; empty for none."""
    up = {cluster.hardware for cluster in state.clusters.values() if cluster.state in _UP and not cluster.held}
    named = state.session.fleet.validate_hardware if state.session else ""
    if named:
        return named if named in up and len(up) > 1 else ""
    offsets = {name: offset for name, offset in noise.classes.items() if name in up and name != noise.reference}
    best = min(offsets, key=lambda name: offsets[name].mean, default="")
    return best if best and offsets[best].mean < -2 * offsets[best].se else ""


def _first(state: State) -> list[a.Action]:
    if state.baseline not in state.contenders:
        return []
    reason = "the unchanged train.py"
    return [a.Decide(state.baseline, ExperimentStatus.KEPT, reason), a.Crown(state.baseline, reason)]


def _settled(state: State, experiment: str) -> bool:
    return all(
        state.attempts[name].status is AttemptStatus.ENDED for name in state.experiments[experiment].attempts[-16:]
    )


def _prior(state: State, noise: Noise, incumbent: list[Reading]) -> Prior:
    """Of the differences to the incumbent that arms have shown lately."""
    means, ses = [], []
    for name in state.recent:
        attempt = state.attempts[name]
        if attempt.kind is AttemptKind.ARM:
            found = difference(readings_of(state, attempt.experiment, AttemptKind.ARM), incumbent, noise)
            if found is not None:
                means.append(found[0])
                ses.append(found[1])
    return fit_prior(means, ses)


def _margin(case: Case, experiment: Experiment) -> float:
    """What a simplification may cost and still win."""
    simpler = experiment.lines_removed > experiment.lines_added and experiment.change.edits
    return TIE * case.noise.run_sd if simpler else 0.0


def _screened(
    state: State,
    case: Case,
    experiment: Experiment,
    waiting: list[tuple[float, Experiment, Comparison, Shrunk]],
) -> list[a.Action]:
    """An arm after its first run: dropped, or among those that wait for a test."""
    seen = compare(readings_of(state, experiment.id), case.incumbent, case.noise, margin=_margin(case, experiment))
    if seen is None:
        return _comparable(state, case, experiment)
    shrunk = shrink(case.prior, seen.pooled.mean - _margin(case, experiment), seen.se)
    if shrunk.p_better < PROMISING:
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, _said(seen), seen.pooled)]
    waiting.append((shrunk.mean, experiment, seen, shrunk))
    return []


def _comparable(state: State, case: Case, experiment: Experiment) -> list[a.Action]:
    """Runs in no class that the incumbent ran in, or on a cluster whose results are held back: once more elsewhere."""
    last = state.attempts[experiment.attempts[-1]]
    if sum(state.attempts[name].kind is AttemptKind.RETRY for name in experiment.attempts) >= 2:
        reason = "it could not be measured where the incumbent was"
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, reason)]
    hardware = case.incumbent[0].hardware if case.incumbent else ""
    again = another(
        state, experiment.id, AttemptKind.RETRY, rule=last.rule, tier=last.tier, hardware=hardware, avoid=last.cluster
    )
    return [a.Queue(again, "to compare it on a class where the incumbent was measured")]


def _admit(state: State, case: Case, newly: list[tuple[float, Experiment, Comparison, Shrunk]]) -> list[a.Action]:
    """The most promising arms get the free places among the tests; of the rest a few wait, others are discarded."""
    queue = list(newly)
    known = {experiment.id for _, experiment, _, _ in newly}
    tests, tested_best = 0, 0.0
    for name in state.undecided:
        experiment = state.experiments[name]
        if experiment.test_level:
            tests += 1
            tested_best = min(tested_best, case.known_mean(state, name))
        elif name not in known and name not in state.contenders:
            seen = compare(readings_of(state, name), case.incumbent, case.noise, margin=_margin(case, experiment))
            if seen is not None:
                shrunk = shrink(case.prior, seen.pooled.mean - _margin(case, experiment), seen.se)
                queue.append((shrunk.mean, experiment, seen, shrunk))
    queue.sort(key=lambda entry: entry[0])
    places = _places(state)
    actions: list[a.Action] = []
    begun = 0
    for rank, (_, experiment, seen, shrunk) in enumerate(queue):
        if shrunk.p_better < PROMISING:
            actions.append(a.Decide(experiment.id, ExperimentStatus.DISCARDED, _said(seen), seen.pooled))
        elif tests + begun < places or (rank == 0 and shrunk.mean < tested_best - OUTSHINES_SDS * case.noise.run_sd):
            begun += 1
            level = test_level(state.tests + begun, state.test_keeps)
            reason = f"{_said(seen)}; {shrunk.mean:+.4f} after shrinking: tested on fresh runs"
            tested = _more(state, experiment, LOOKS[0], reason, level)
            if rank == 0 and shrunk.p_better >= CERTAIN:
                tested += _final_runs(state, case, experiment, reason)
            actions.extend(tested)
        elif rank >= places * (1 + WAITING_A_TEST):
            reason = f"{_said(seen)}; others looked better"
            actions.append(a.Decide(experiment.id, ExperimentStatus.DISCARDED, reason, seen.pooled))
        elif experiment.id in known:
            reason = f"{_said(seen)}; waits to be tested"
            actions.append(a.Decide(experiment.id, ExperimentStatus.VALID, reason, seen.pooled))
    return actions


def _more(state: State, experiment: Experiment, runs: int, reason: str, level: float = 0.0) -> list[a.Action]:
    last = state.attempts[experiment.attempts[-1]]
    return [
        a.Queue(
            another(
                state,
                experiment.id,
                AttemptKind.REPLICATE,
                rule=last.rule,
                avoid=last.cluster,
            ),
            reason,
            0.0 if number else level,
        )
        for number in range(runs)
    ]


def _tested(state: State, case: Case, experiment: Experiment) -> list[a.Action]:
    """An arm whose test has begun, and no run of which is under way."""
    fresh = readings_of(state, experiment.id, *UNCHOSEN)
    margin = _margin(case, experiment)
    look = look_at(len(fresh))
    seen = compare(fresh[:look], case.incumbent, case.noise, margin=margin)
    judged = judge(seen, case.noise, experiment.test_level, look)
    if judged.verdict is Verdict.HOPELESS and seen is not None:
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, f"{_said(seen)}; {judged.why}", seen.pooled)]
    if judged.verdict is Verdict.MORE:
        if seen is not None and (other := _outclassing(state, case, experiment, seen)):
            reason = f"{_said(seen)}; {other} is better for certain"
            return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, reason, seen.pooled)]
        return _evidence(state, case, experiment, judged, len(fresh))
    return _passed(state, case, experiment, fresh, judged)


def _ablated(state: State, case: Case, experiment: Experiment) -> list[a.Action]:
    """The incumbent without one kept change: discarded once it is clearly worse, else it becomes the incumbent.

    Nobody chose it for its score, so that all its runs are evidence.
    """
    without = experiment.levels[WITHOUT]
    if experiment.base != state.incumbent:
        reason = f"{experiment.base}, whose change it drops, is no longer the incumbent"
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, reason)]
    runs = readings_of(state, experiment.id)
    look = look_at(len(runs))
    seen = compare(runs[:look], case.incumbent, case.noise)
    tries = len(experiment.attempts)
    if look == 0 or seen is None:
        if tries >= 2 * LOOKS[0]:
            return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, "its runs gave too few results to decide")]
        return _more(state, experiment, max(1, LOOKS[0] - len(runs)), "to see whether the change still helps")
    index = LOOKS.index(look)
    if 1 - seen.p_value <= STILL_HELPS_AT * SPENDING[index]:
        reason = f"{_said(seen)}: the change of {without} still helps"
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, reason, seen.pooled)]
    if index + 1 < len(LOOKS) and tries < 2 * LOOKS[-1]:
        return _more(state, experiment, LOOKS[index + 1] - len(runs), f"{_said(seen)}: not settled")
    reason = f"{_said(seen)}: the change of {without} no longer helps"
    return [
        a.Decide(experiment.id, ExperimentStatus.KEPT, reason, seen.pooled),
        a.Crown(experiment.id, reason, seen.pooled),
    ]


def _outclassing(state: State, case: Case, experiment: Experiment, seen: Comparison) -> str:
    """Another experiment under test that is clearly better on fresh runs, so that this one need not be settled."""
    for name in state.undecided:
        if name == experiment.id or not state.experiments[name].test_level:
            continue
        fresh = readings_of(state, name, *UNCHOSEN)
        found = difference(fresh, case.incumbent, case.noise) if len(fresh) >= LOOKS[0] else None
        if found is not None and found[0] + OUTCLASSED_SES * math.hypot(found[1], seen.se) < seen.pooled.mean:
            return name
    return ""


def _evidence(state: State, case: Case, experiment: Experiment, judged: Judgement, fresh: int) -> list[a.Action]:
    failed = sum(
        state.attempts[name].kind is AttemptKind.REPLICATE and state.attempts[name].metrics is None
        for name in experiment.attempts
    )
    if failed >= LOOKS[0] and failed > fresh:
        reason = f"{failed} of its replicates gave no result"
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, reason)]
    more = _more(state, experiment, max(1, judged.want - fresh), judged.why)
    return [*more, *_base_runs(state, case, experiment, max(judged.want, fresh + 1))]


def _base_runs(state: State, case: Case, experiment: Experiment, want: int) -> list[a.Action]:
    """The incumbent again, where it has fewer runs than what is tested against it: a difference has two ends."""
    hardware = state.attempts[experiment.attempts[-1]].hardware
    has = sum(one.hardware == hardware for one in case.incumbent)
    has += sum(
        state.attempts[name].status is not AttemptStatus.ENDED
        for name in state.experiments[state.incumbent].attempts[-16:]
    )
    rule = state.attempts[experiment.attempts[-1]].rule
    return [
        a.Queue(
            another(state, state.incumbent, AttemptKind.REPLICATE, rule=rule, hardware=hardware),
            f"to be as well known as {experiment.id}, which is tested against it",
        )
        for _ in range(max(0, min(want, BASE_RUNS_AT_MOST) - has))
    ]


def _passed(
    state: State, case: Case, experiment: Experiment, fresh: list[Reading], judged: Judgement
) -> list[a.Action]:
    """The evidence is enough: validated on the better class and confirmed, or on the way there."""
    confirmations = readings_of(state, experiment.id, AttemptKind.CONFIRMATION)
    if queued := _final_runs(state, case, experiment, judged.why):
        return queued
    if any(run.status is not AttemptStatus.ENDED for run in _beside(state, experiment)):
        return []
    seen = compare([*fresh, *confirmations], case.incumbent, case.noise)
    if seen is None or not confirmations:
        reason = "its confirmation gave no result"
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, reason, seen.pooled if seen else None)]
    if doubt := _doubt(case, fresh, confirmations, seen) or _moved(state, case, experiment, [*fresh, *confirmations]):
        return [a.Decide(experiment.id, ExperimentStatus.DISCARDED, f"{_said(seen)}; {doubt}", seen.pooled)]
    reason = f"{_said(seen)}; {judged.why}"
    return [
        a.Decide(experiment.id, ExperimentStatus.KEPT, reason, seen.pooled),
        a.Crown(experiment.id, reason, seen.pooled),
    ]


def _final_runs(state: State, case: Case, experiment: Experiment, reason: str) -> list[a.Action]:
    """The validation and the confirmation that it has not had, and runs of the incumbent beside them."""
    last = state.attempts[experiment.attempts[-1]]
    attempts = [state.attempts[name] for name in experiment.attempts]
    queued: list[a.Action] = []
    validated = any(one.hardware == case.better_class and one.kind in UNCHOSEN and one.metrics for one in attempts)
    if case.better_class and not validated and _tries(attempts, AttemptKind.VALIDATION) < 2:
        run = another(
            state,
            experiment.id,
            AttemptKind.VALIDATION,
            rule=last.rule,
            tier=Tier.VALIDATE,
            hardware=case.better_class,
        )
        queued.append(a.Queue(run, f"{reason}: validated on {case.better_class}"))
    confirmed = any(one.kind is AttemptKind.CONFIRMATION and one.metrics for one in attempts)
    if not confirmed and _tries(attempts, AttemptKind.CONFIRMATION) < 2:
        run = another(
            state,
            experiment.id,
            AttemptKind.CONFIRMATION,
            rule=last.rule,
            avoid=last.cluster,
        )
        queued.append(a.Queue(run, f"{reason}: once more from the ledger's code"))
    beside = _beside(state, experiment)
    queued += [
        a.Queue(
            another(state, state.incumbent, AttemptKind.REPLICATE, rule=last.rule, hardware=last.hardware),
            f"beside the test of {experiment.id}, to see whether scores have moved",
        )
        for _ in range(SIDE_BY_SIDE - len(beside))
    ]
    return queued


def _beside(state: State, experiment: Experiment) -> list[Attempt]:
    """The incumbent's runs that were queued since the experiment's test began, whatever came of them, in its class."""
    own = [state.attempts[name] for name in experiment.attempts]
    began = min((run.queued_at for run in own if run.kind in UNCHOSEN), default=math.inf)
    hardware = own[-1].hardware
    base = (state.attempts[name] for name in state.experiments[state.incumbent].attempts[-RUNS_READ:])
    return [run for run in base if run.queued_at >= began and (not hardware or run.hardware in ("", hardware))]


def _moved(state: State, case: Case, experiment: Experiment, runs: list[Reading]) -> str:
    """Why a gain may be that of the hour: the incumbent too has scored better since the test began, and against those
    runs alone the gain is not beyond the noise. A jump of a machine is no line that could be taken out of the scores.
    """
    ids = {run.id for run in _beside(state, experiment)}
    since: list[Reading] = []
    before: list[Reading] = []
    for name in state.experiments[state.incumbent].attempts[-RUNS_READ:]:
        one = reading(state, state.attempts[name])
        if one is not None:
            (since if name in ids else before).append(one)
    moved = compare(since, before, case.noise) if since and before else None
    if moved is None or moved.p_value > MOVED_AT:
        return ""
    alone = compare(runs, since, case.noise, margin=_margin(case, experiment))
    if alone is not None and alone.p_value <= experiment.test_level:
        return ""
    gain = f" ({_said(alone)})" if alone is not None else ""
    return (
        f"the incumbent too scores {moved.pooled.mean:+.4f} since its test began, and beside that it is no better{gain}"
    )


def _tries(attempts: list[Attempt], kind: AttemptKind) -> int:
    return sum(attempt.kind is kind for attempt in attempts)


def _doubt(case: Case, fresh: list[Reading], confirmations: list[Reading], seen: Comparison) -> str:
    """Why the evidence does not stand although it is enough; empty when it does."""
    if seen.flips:
        return "its ranking flips between hardware classes"
    there = seen.by_class.get(case.better_class)
    if there is not None and _p_worse(there, seen.df) > CONTRADICTED_AT:
        return f"it does not hold on {case.better_class} ({there.mean:+.4f})"
    against, alone = (compare(confirmations, others, case.noise) for others in (fresh, case.incumbent))
    is_worse = against is not None and against.pooled.mean > 0 and 1 - against.p_value < CONFIRMED_AT
    if against is not None and is_worse and (alone is None or alone.p_value > CONFIRMED_AT):
        return f"run again from the ledger's code it scored {against.pooled.mean:+.4f} against its other runs"
    return ""


def _p_worse(estimate: Estimate, df: float) -> float:
    """Probability that the true difference is above zero, from the estimate's interval."""
    se = (estimate.high - estimate.low) / 2 / t_quantile((1 + estimate.level) / 2, df)
    return t_cdf(estimate.mean / se, df) if se > 0 else float(estimate.mean > 0)


def _said(seen: Comparison) -> str:
    one = seen.pooled
    where = "" if math.isnan(one.mean) else f" [{one.low:+.4f}, {one.high:+.4f}]"
    flips = ", differently on each class" if seen.flips else ""
    return f"{one.mean:+.4f}{where} against {one.against} in {one.runs} run{'s' * (one.runs != 1)}{flips}"


def _suspects(state: State, noise: Noise) -> list[a.Action]:
    """Clusters whose controls say that they do not measure like their class, or that they do again."""
    found = noise_of(state, held_back=True).suspects if state.suspects else noise.suspects
    named = [a.Suspect(name, why, True) for name, why in found.items() if name not in state.suspects]
    cleared = [
        a.Suspect(name, f"{name} measures like its class again.", False) for name in state.suspects if name not in found
    ]
    return [*named, *cleared]
