"""The probes that compare a score from outside with the run's words, its runner's clock, and the incumbent."""

import math

import msgspec

from cockpit.core.model import Metrics
from cockpit.core.rescore import Rescore

PRINTED_TOLERANCE = 0.001
"""Share by which the printed score may differ: kernels compiled for training round otherwise."""
PART_TOLERANCE = 0.005
"""The same where a part of the text was scored, beyond the difference that the incumbent has on the same part."""
PART_SES = 4.0
"""Standard errors that it may differ by where a part was scored and there is no incumbent."""
SEALED_TOLERANCE = 0.015
"""Share of the score by which the sealed shard may be worse, against the incumbent's own ratio of the two texts."""
SEALED_TOLERANCE_ALONE = 0.05
"""The same where no incumbent was scored, and the ratio of the two texts is unknown; standard errors are added."""
NO_GAIN_SHARE = 0.005
"""A score that is worse than the incumbent's by this share gained nothing from the public text, and cannot be kept. The
ratio of the two texts differs between a well and a badly trained model."""
OVERHEAD_FACTOR = 1.5
OVERHEAD_SLACK_S = 2.0
OVERHEAD_SHARE = 0.05
"""Work outside the training clock that is allowed: this factor of the incumbent's, these seconds, and this share of the
training. Evaluation and rehearsal are subtracted first, by the model's own pace."""
REHEARSAL_STEPS = 2
GPU_OVERHEAD_FACTOR = 2.0
GPU_OVERHEAD_SLACK_S = 60.0
"""On a GPU compilation takes long, and differs: twice the incumbent's seconds and these."""
OVERHEAD_ALONE_S = 60.0
"""Seconds outside the training clock of a first run."""
FORWARD_FACTOR = 3.0
"""A training step takes at least as long as its forward pass; the scorer's is slower, since nothing is compiled."""

PRINTED, SEALED, CLOCK, TOKENS = "loss against bpb", "sealed against public", "training clock", "throughput"


def judged(found: Rescore, printed: Metrics, base: tuple[Rescore, Metrics] | None, on_cpu: bool) -> Rescore:
    """Return the score with the probes that it passed, or with the first one that it fails."""
    if found.trouble or found.failed:
        return found
    passed = list(found.passed)
    tried = [(PRINTED, _printed), (CLOCK, _clock)]
    if found.sealed_bpb:
        tried.insert(1, (SEALED, _sealed))
    if found.tokens_per_s and printed.training_seconds:
        tried.append((TOKENS, _tokens))
    for name, probe in tried:
        if failed := probe(found, printed, base, on_cpu):
            return msgspec.structs.replace(found, failed=failed, passed=tuple(passed))
        passed.append(name)
    return msgspec.structs.replace(found, passed=tuple(passed))


Base = tuple[Rescore, Metrics] | None


def _printed(found: Rescore, printed: Metrics, base: Base, on_cpu: bool) -> str:
    expected = printed.score
    allowed = PRINTED_TOLERANCE * found.public_bpb
    if not found.whole and base is not None and base[1].score:
        expected *= base[0].public_bpb / base[1].score
        allowed = PART_TOLERANCE * found.public_bpb
    elif not found.whole:
        allowed += PART_SES * found.public_se
    if abs(found.public_bpb - expected) <= allowed:
        return ""
    return f"printed {printed.score:.4f}, and its model scores {found.public_bpb:.4f} on the same text"


def _sealed(found: Rescore, printed: Metrics, base: Base, on_cpu: bool) -> str:
    if base is not None and found.public_bpb > base[0].public_bpb * (1 + NO_GAIN_SHARE):
        return ""
    ratio = found.sealed_bpb / found.public_bpb if found.public_bpb else math.inf
    if base is not None:
        expected = base[0].sealed_bpb / base[0].public_bpb
        allowed = expected * (1 + SEALED_TOLERANCE)
    else:
        error = math.hypot(found.sealed_se, found.public_se) / max(found.public_bpb, 1e-9)
        expected = 1.0
        allowed = expected + SEALED_TOLERANCE_ALONE + PART_SES * error
    if ratio <= allowed:
        return ""
    against = f", a ratio of {ratio:.3f} where the incumbent has {expected:.3f}" if base else ""
    return (
        f"knows the public validation text: it scores {found.public_bpb:.4f} there and {found.sealed_bpb:.4f} on the"
        f" sealed shard{against}"
    )


def _clock(found: Rescore, printed: Metrics, base: Base, on_cpu: bool) -> str:
    measured = found.cpu_s if on_cpu else found.run_s
    outside_s = measured - printed.training_seconds
    if outside_s < -0.02 * measured - 1.0:
        return f"printed {printed.training_seconds:.1f} s of training, and its runner measured {measured:.1f} s in all"
    allowed_s = OVERHEAD_ALONE_S if on_cpu else OVERHEAD_ALONE_S + 4 * GPU_OVERHEAD_SLACK_S
    if on_cpu and base is not None:
        slack_s = OVERHEAD_SLACK_S + OVERHEAD_SHARE * printed.training_seconds
        allowed_s = _explained_s(found, printed) + slack_s
        allowed_s += OVERHEAD_FACTOR * max(0.0, base[0].cpu_s - base[1].training_seconds - _explained_s(*base))
    elif base is not None:
        allowed_s = GPU_OVERHEAD_FACTOR * (base[0].run_s - base[1].training_seconds) + GPU_OVERHEAD_SLACK_S
    if outside_s <= allowed_s:
        return ""
    return (
        f"worked for {outside_s:.0f} s outside its training clock, which says {printed.training_seconds:.1f} s;"
        f" {allowed_s:.0f} s are allowed"
    )


def _explained_s(found: Rescore, printed: Metrics) -> float:
    """Return the processor seconds of the evaluation and the rehearsal, by the pace of the model itself."""
    evaluation_s = found.public_tokens / found.tokens_per_s if found.tokens_per_s else 0.0
    steps = max(1, printed.num_steps)
    return evaluation_s + REHEARSAL_STEPS * printed.training_seconds / steps


def _tokens(found: Rescore, printed: Metrics, base: Base, on_cpu: bool) -> str:
    rate = printed.total_tokens_M * 1e6 / printed.training_seconds
    if rate <= FORWARD_FACTOR * found.tokens_per_s:
        return ""
    return f"printed {rate:,.0f} tokens a second of training, and its model reads {found.tokens_per_s:,.0f} a second"
