"""The intents: requests of a person or an agent, which a screen or a command puts into the worker's inbox."""

import math
from typing import Any

import msgspec

from cockpit.core.knobs import KnobRange
from cockpit.core.model import Change, EndMode, Envelope, Mode, Tier, Value, WaveKind
from cockpit.core.whole_text import with_whole_text

ARMS_AT_MOST = 256
"""Arms of one wave."""
FACTORS_AT_MOST = 16
"""Factors of one wave."""
CONSTANTS_AT_MOST = 256
"""Constants that one arm may set."""
INTENT_BYTES_AT_MOST = 4 << 20
"""Bytes of one intent in the inbox. A wave of 64 arms that each replace a whole train.py takes 2 MB."""
REPLICATES_AT_MOST = 16
"""Runs of one arm that a draft may ask for."""


class Arm(msgspec.Struct, frozen=True, omit_defaults=True):
    """One cell of a draft."""

    change: Change
    why: str = ""
    levels: dict[str, Value] = {}
    experiment: str = ""
    """In an edited proposal, the experiment that this arm is already. In a new one, an experiment of an earlier wave
    that is measured again unchanged, in the draft's tier and with its replicates."""
    fixes: str = ""
    """The crashed experiment whose idea this arm tries again."""


class Draft(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wave as a proposer gives it. With `factors` and no arms, the arms are the full grid of their levels."""

    proposer: str
    """Empty for the author of the intent."""
    question: str
    hypothesis: str = ""
    base: str = ""
    """The experiment to build on; empty for the incumbent."""
    factors: dict[str, list[Value]] = {}
    design: str = ""
    """The fraction of the factors' grid that the arms are, in words; empty for the full grid."""
    arms: tuple[Arm, ...] = ()
    tier: Tier = Tier.SCREEN
    replicates: int = 1
    would_change_mind: str = ""
    kind: WaveKind = WaveKind.WAVE


def size_problem(draft: Draft) -> str:
    """Return why the draft is too large to expand, without expanding it; empty if it is not."""
    if len(draft.factors) > FACTORS_AT_MOST:
        return f"{len(draft.factors)} factors are too many for one wave: give at most {FACTORS_AT_MOST}"
    for name, levels in draft.factors.items():
        if len(levels) > ARMS_AT_MOST:
            return f"{len(levels)} levels of {name[:80]} are too many: give at most {ARMS_AT_MOST}"
    arms = len(draft.arms) or (math.prod(len(levels) for levels in draft.factors.values()) if draft.factors else 0)
    if arms > ARMS_AT_MOST:
        return f"{arms} arms are too many for one wave: propose at most {ARMS_AT_MOST}"
    most = max((len(arm.change.constants) + len(arm.levels) for arm in draft.arms), default=0)
    if most > 2 * CONSTANTS_AT_MOST:
        return f"an arm sets {most} constants and levels: give at most {CONSTANTS_AT_MOST}"
    return ""


class Intent(msgspec.Struct, frozen=True, tag=True, tag_field="kind", omit_defaults=True):
    pass


class Approve(Intent, frozen=True):
    wave: str
    trust: bool = False
    """Also let the envelope approve this proposer's later waves."""


class Reject(Intent, frozen=True):
    wave: str
    reason: str = ""


class EditProposal(Intent, frozen=True):
    """Replace a waiting proposal by `draft`; `what` describes the change in a sentence."""

    wave: str
    draft: Draft
    what: str


class Propose(Intent, frozen=True):
    """Propose a wave."""

    draft: Draft


class Hold(Intent, frozen=True):
    """Start nothing new in `target`: a wave, a cluster, or empty for the session."""

    target: str = ""


class Resume(Intent, frozen=True):
    target: str = ""


class SetMode(Intent, frozen=True):
    mode: Mode


class SetEnvelope(Intent, frozen=True):
    envelope: Envelope


class SetProposer(Intent, frozen=True):
    proposer: str
    outside: bool = False
    """True for an agent that connects from outside. Without it an unknown name is refused as a typing error."""


class SetBudget(Intent, frozen=True):
    usd: float


class SetEarlyStopping(Intent, frozen=True):
    """End runs early that cannot reach the incumbent any more (`on`), or let every run finish."""

    on: bool


class SetKnob(Intent, frozen=True):
    """Set the range of a knob, pin or exclude it; an empty range frees it."""

    knob: str
    range: KnobRange


class Say(Intent, frozen=True):
    text: str


class Interrupt(Intent, frozen=True):
    """End the turn of every proposer."""


class Kill(Intent, frozen=True):
    attempt: str
    reason: str = ""


class Rerun(Intent, frozen=True):
    """Run the experiment once more, with another seed."""

    experiment: str
    hardware: str = ""


class Promote(Intent, frozen=True):
    """Run the experiment on the better class."""

    experiment: str


class MakeBase(Intent, frozen=True):
    """Make the experiment the incumbent without a test."""

    experiment: str
    reason: str = ""


class Discard(Intent, frozen=True):
    experiment: str
    reason: str = ""


class DropArm(Intent, frozen=True):
    experiment: str
    reason: str = ""


class MoveWave(Intent, frozen=True):
    """Run the wave before the wave `before`; empty for last."""

    wave: str
    before: str = ""


class CancelWave(Intent, frozen=True):
    wave: str
    reason: str = ""


class Relaunch(Intent, frozen=True):
    """Launch a cluster again that was given up."""

    cluster: str


class Adopt(Intent, frozen=True):
    """Take over a cluster that was launched by hand."""

    cluster: str


class TakeTask(Intent, frozen=True):
    """Use experiment.yaml as it is now."""


class End(Intent, frozen=True):
    """End the session; with `clusters_down` take its clusters down too."""

    how: EndMode
    clusters_down: bool = False
    reason: str = ""


class Note(Intent, frozen=True):
    """Record a finding or, with `phase`, the name of the phase that begins."""

    text: str
    experiments: tuple[str, ...] = ()
    phase: bool = False


class HostAgent(Intent, frozen=True, tag="SeatAgent"):
    """Let a hosted agent propose: a known name, or a command that speaks ACP.

    With `beside` it proposes beside the others; a name may end in `=SHARE`, and may be one of Cockpit's proposers then.
    """

    agent: str
    beside: bool = False
    command: tuple[str, ...] = ()
    """The command of an agent that the settings name; the worker fills it in."""


class Permit(Intent, frozen=True):
    """Allow or refuse what an agent asks to do, this once."""

    request: str
    allowed: bool


class Look(Intent, frozen=True):
    """Record that the author has read the events up to `seq`."""

    seq: int


AnyIntent = (
    Approve | Reject | EditProposal | Propose | Hold | Resume | SetMode | SetEnvelope | SetProposer | SetBudget
    | SetEarlyStopping | SetKnob | Say | Interrupt | Kill | Rerun | Promote | MakeBase | Discard | DropArm | MoveWave
    | CancelWave | Relaunch | Adopt | TakeTask | End | Note | Look | HostAgent | Permit
)  # fmt: skip

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyIntent)


def encode_intent(intent: Intent) -> bytes:
    try:
        return _encoder.encode(intent)
    except UnicodeEncodeError:
        return _encoder.encode(with_whole_text(intent))


def decode_intent(body: bytes) -> AnyIntent:
    """Decode an intent. Raises msgspec.DecodeError on anything else."""
    try:
        found: AnyIntent = _decoder.decode(body)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None
    return found
