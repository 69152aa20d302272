"""Compare a score from outside with the printed one, the runner's clock and the incumbent."""

import math
from statistics import stdev

import msgspec

from cockpit.core.model import Metrics
from cockpit.core.rescore import Rescore

PRINTED_TOLERANCE = 0.0003
"""Share by which the printed score may differ: kernels compiled for training round differently."""
GPU_PRINTED_TOLERANCE = 0.001
"""The same on a GPU, where it was not measured. The score from outside counts, so that it is worth nothing to a run."""
PART_TOLERANCE = 0.005
"""The same where a part of the text was scored, beyond the difference that the incumbent has on the same part."""
PART_SES = 4.0
"""Standard errors that it may differ by where a part was scored: of the gain on the incumbent where both were scored on
the same parts, up to PART_TOLERANCE; of the score where there is no incumbent."""
UNEVEN_SHARE = 0.1
"""Share of an honest gain by which it may differ between the two texts: their documents differ."""
UNEVEN_SES = 4.0
"""Standard errors of that difference that are allowed in addition. They are taken part for part of each text, so that
it does not count that one part is harder than another."""
SEALED_TOLERANCE_ALONE = 0.05
"""Share of the score by which the sealed shard may be worse where no incumbent was scored, and the ratio of the two
texts is unknown; standard errors are added."""
OVERHEAD_FACTOR = 1.5
OVERHEAD_SLACK_S = 2.0
OVERHEAD_SHARE = 0.05
"""Work outside the training clock that is allowed: this factor of the incumbent's, these seconds, and this share of the
training. Evaluation and rehearsal are subtracted first, by the model's own pace."""
PAST_BUDGET_STEPS = 1.5
PAST_BUDGET_SHARE = 0.02
"""Training past the budget that is allowed: these steps of its own, or this share of the budget. The last step may end
later."""
STEP_FACTOR = 4.0
"""Times the incumbent's step that its own may take for this: the number of steps is printed by the run itself."""
OVERHEADS_AT_MOST = 3.0
"""Times the baseline's overhead by which that of all keeps together may grow."""
REHEARSAL_STEPS = 2
PACE_FACTOR = 3.0
"""Times the incumbent's seconds that evaluation and rehearsal may take: a model can run slowly in the scorer on
purpose, and the number of steps is printed by the run itself."""
GPU_OVERHEAD_FACTOR = 2.0
GPU_OVERHEAD_SLACK_S = 60.0
"""On a GPU compilation takes long and varies: twice the incumbent's seconds and this slack are allowed."""
OVERHEAD_ALONE_S = 60.0
"""Seconds outside the training clock of a first run."""
FORWARD_FACTOR = 3.0
"""A training step takes at least as long as its forward pass; the scorer's is slower, since nothing is compiled."""

KNOWS = "knows the public validation text"

Base = tuple[Rescore, Metrics] | None
"""A score to compare with, and the numbers that its run printed."""

PRINTED, SEALED, CLOCK, TOKENS = "loss against bpb", "sealed against public", "training clock", "throughput"


def judged(
    found: Rescore,
    printed: Metrics,
    base: Base,
    on_cpu: bool,
    baseline: Base = None,
    budget_s: float = 0.0,
) -> Rescore:
    """Return the score with the probes that it passed, or with the first one that it fails.

    It is compared with the incumbent, `base`, and with the `baseline`: each of many keeps may know a little of the
    public text, or work a little longer, and all of them together too much. `budget_s` is 0 where training has no
    limit.
    """
    if found.trouble or found.failed:
        return found
    tried = [(PRINTED, _printed(found, printed, base, on_cpu))]
    if found.sealed_bpb:
        tried.append((SEALED, _sealed(found, base, baseline[0] if baseline else None)))
    clock = _past_budget(printed, base, budget_s) or _clock(found, printed, base, baseline, on_cpu)
    tried.append((CLOCK, clock or _scorers(found, printed, base, on_cpu)))
    if found.tokens_per_s and printed.training_seconds:
        tried.append((TOKENS, _tokens(found, printed)))
    passed = list(found.passed)
    for name, failed in tried:
        if failed:
            return msgspec.structs.replace(found, failed=failed, passed=tuple(passed))
        passed.append(name)
    return msgspec.structs.replace(found, passed=tuple(passed))


def _printed(found: Rescore, printed: Metrics, base: Base, on_cpu: bool) -> str:
    expected = printed.score
    allowed = (PRINTED_TOLERANCE if on_cpu else GPU_PRINTED_TOLERANCE) * found.public_bpb
    if not found.whole and base is not None and base[1].score:
        expected *= base[0].public_bpb / base[1].score
        share = PART_TOLERANCE
        if is_comparable(found, base[0]):
            share = min(share, PRINTED_TOLERANCE + PART_SES * _error(base[0].public_parts, found.public_parts))
        allowed = share * found.public_bpb
    elif not found.whole:
        allowed += PART_SES * found.public_se
    if abs(found.public_bpb - expected) <= allowed:
        return ""
    return f"printed {printed.score:.4f}, and its model scores {found.public_bpb:.4f} on the same text"


def _sealed(found: Rescore, base: Base, baseline: Rescore | None) -> str:
    others = {"incumbent": base[0] if base is not None and base[0] != baseline else None, "baseline": baseline}
    comparable = {name: other for name, other in others.items() if other is not None and is_comparable(found, other)}
    if comparable:
        return next(filter(None, (_unconfirmed(found, other, name) for name, other in comparable.items())), "")
    ratio = found.sealed_bpb / found.public_bpb if found.public_bpb else math.inf
    error = math.hypot(found.sealed_se, found.public_se) / max(found.public_bpb, 1e-9)
    if ratio <= 1 + SEALED_TOLERANCE_ALONE + PART_SES * error:
        return ""
    return f"{KNOWS}: it scores {found.public_bpb:.4f} there and {found.sealed_bpb:.4f} on the sealed shard"


def is_comparable(one: Rescore, other: Rescore) -> bool:
    """Return True if two models were scored on the same parts of both texts."""
    pairs = (one.public_parts, other.public_parts), (one.sealed_parts, other.sealed_parts)
    same = all(len(mine) == len(its) > 1 and min(*mine, *its) > 0 for mine, its in pairs)
    return same and one.public_tokens == other.public_tokens


def _unconfirmed(found: Rescore, base: Rescore, name: str) -> str:
    """Compare the gain on the public text with the gain on the sealed shard, each against the score of `base`.

    An honest gain shows on both. A model that has memorised the public text gains on it alone.
    """
    public, sealed = _gain(base.public_bpb, found.public_bpb), _gain(base.sealed_bpb, found.sealed_bpb)
    error = math.hypot(_error(base.public_parts, found.public_parts), _error(base.sealed_parts, found.sealed_parts))
    least = public - UNEVEN_SHARE * abs(public) - UNEVEN_SES * error
    if sealed >= least:
        return ""
    return (
        f"{KNOWS}: against the {name} it gains {_share(public)} there and {_share(sealed)} on the sealed shard,"
        f" where an honest model gains at least {_share(least)}"
    )


def _gain(before: float, after: float) -> float:
    return math.log(before / after)


def _share(gain: float) -> str:
    """Return a gain, which is a logarithm, in percent of the score before."""
    return f"{-100 * math.expm1(-gain):.1f}%"


def _error(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    """Return the standard error of a gain, from the gains on the parts of the text."""
    return stdev(map(_gain, before, after)) / math.sqrt(len(before))


def counted(printed: Metrics, found: Rescore | None) -> Metrics:
    """Return the numbers of a run with the score from outside in place of the printed one, where all text was scored.

    The printed one may be a little better than it in every run, and would add up to a gain.
    """
    if found is None or not found.whole or not found.public_bpb or found.failed:
        return printed
    return msgspec.structs.replace(printed, score=round(found.public_bpb, 6))


def _past_budget(printed: Metrics, base: Base, budget_s: float) -> str:
    """Judge training past the budget: every step but the last ends within it."""
    if not budget_s or base is None or not printed.training_seconds or not base[1].training_seconds:
        return ""
    own, usual = (one.training_seconds / max(1, one.num_steps) for one in (printed, base[1]))
    allowed_s = max(PAST_BUDGET_SHARE * budget_s, PAST_BUDGET_STEPS * min(own, STEP_FACTOR * usual))
    if printed.training_seconds - budget_s <= allowed_s:
        return ""
    return (
        f"trained for {printed.training_seconds:.1f} s, and the budget is {budget_s:g} s;"
        f" its last step may end {allowed_s:.1f} s later"
    )


def _clock(found: Rescore, printed: Metrics, base: Base, baseline: Base, on_cpu: bool) -> str:
    measured = found.cpu_s if on_cpu else found.run_s
    outside_s = measured - printed.training_seconds
    if outside_s < -0.02 * measured - 1.0:
        return f"printed {printed.training_seconds:.1f} s of training, and its runner measured {measured:.1f} s in all"
    allowed_s = OVERHEAD_ALONE_S if on_cpu else OVERHEAD_ALONE_S + 4 * GPU_OVERHEAD_SLACK_S
    if on_cpu and base is not None:
        own, usual = _explained_s(found, printed), _explained_s(*base)
        allowed_s = sum(min(mine, PACE_FACTOR * its) for mine, its in zip(own, usual, strict=True))
        most_s = OVERHEADS_AT_MOST * _overhead_s(*baseline) if baseline else math.inf
        allowed_s += min(OVERHEAD_FACTOR * _overhead_s(*base), most_s) + _slack_s(printed)
    elif base is not None:
        allowed_s = GPU_OVERHEAD_FACTOR * (base[0].run_s - base[1].training_seconds) + GPU_OVERHEAD_SLACK_S
    if outside_s <= allowed_s:
        return ""
    return (
        f"worked for {outside_s:.0f} s outside its training clock, which says {printed.training_seconds:.1f} s;"
        f" {allowed_s:.0f} s are allowed: count all work but the evaluation, compilation included, or let the baseline"
        " do it too"
    )


def _overhead_s(found: Rescore, printed: Metrics) -> float:
    """Return the processor seconds that neither training nor evaluation nor rehearsal explains."""
    return max(0.0, found.cpu_s - printed.training_seconds - sum(_explained_s(found, printed)))


def _slack_s(printed: Metrics) -> float:
    return OVERHEAD_SLACK_S + OVERHEAD_SHARE * printed.training_seconds


def _scorers(found: Rescore, printed: Metrics, base: Base, on_cpu: bool) -> str:
    """Judge the work of the scorer: a model may train where it is loaded, or before its first answer."""
    if base is None:
        return ""
    if not on_cpu:
        worked_s, allowed_s = found.seconds, GPU_OVERHEAD_FACTOR * base[0].seconds + GPU_OVERHEAD_SLACK_S
    elif found.asked_tokens and base[0].asked_tokens and found.tokens_per_s and base[0].tokens_per_s:
        worked_s = _unexplained_s(found, base[0].tokens_per_s / PACE_FACTOR)
        allowed_s = OVERHEAD_FACTOR * max(0.0, _unexplained_s(base[0])) + _slack_s(printed)
    else:
        return ""
    if worked_s <= allowed_s:
        return ""
    return f"worked for {worked_s:.0f} s in the scorer beside its answers; {allowed_s:.0f} s are allowed"


def _unexplained_s(found: Rescore, least_pace: float = 0.0) -> float:
    """Return the processor seconds of the scorer that the pace of its model does not explain.

    A model may answer slowly on purpose, so that its pace explains other work: no pace below the least one counts.
    """
    return found.scorer_cpu_s - found.asked_tokens / max(found.tokens_per_s, least_pace)


def _explained_s(found: Rescore, printed: Metrics) -> tuple[float, float]:
    """Return the processor seconds of the evaluation, by the pace of the model itself, and of the rehearsal."""
    evaluation_s = found.public_tokens / found.tokens_per_s if found.tokens_per_s else 0.0
    return evaluation_s, REHEARSAL_STEPS * printed.training_seconds / max(1, printed.num_steps)


def _tokens(found: Rescore, printed: Metrics) -> str:
    rate = printed.total_tokens_M * 1e6 / printed.training_seconds
    if rate <= FORWARD_FACTOR * found.tokens_per_s:
        return ""
    return f"printed {rate:,.0f} tokens a second of training, and its model reads {found.tokens_per_s:,.0f} a second"
