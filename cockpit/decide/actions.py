"""What the plan may decide. `cockpit.worker.react` carries each out, after the ledger says that it will be."""

import msgspec

from cockpit.core.model import Attempt, Estimate, ExperimentStatus, Outcome


class Approve(msgspec.Struct, frozen=True):
    wave: str
    rule: str


class Queue(msgspec.Struct, frozen=True):
    """One more attempt of an experiment that was approved."""

    attempt: Attempt
    reason: str
    test_level: float = 0.0
    """Of the test that begins with it; 0 where none does."""


class Submit(msgspec.Struct, frozen=True):
    attempt: str
    cluster: str
    reserved_usd: float = 0.0


class Cancel(msgspec.Struct, frozen=True):
    attempt: str
    reason: str
    outcome: Outcome = Outcome.CANCELLED
    expected_bpb: float = 0.0
    """Of a hopeless run: where its curve led to."""


class Spare(msgspec.Struct, frozen=True):
    """Let a run go on that would be ended as hopeless, to see whether that would have been a mistake."""

    attempt: str
    bar: float
    """The val_bpb it is not expected to reach."""
    reason: str


class Launch(msgspec.Struct, frozen=True):
    cluster: str


class GiveUp(msgspec.Struct, frozen=True):
    cluster: str
    reason: str


class Down(msgspec.Struct, frozen=True):
    cluster: str
    reason: str


class Suspect(msgspec.Struct, frozen=True):
    cluster: str
    message: str
    suspect: bool


class Decide(msgspec.Struct, frozen=True):
    experiment: str
    status: ExperimentStatus
    reason: str
    estimate: Estimate | None = None


class Crown(msgspec.Struct, frozen=True):
    """Make an experiment the incumbent."""

    experiment: str
    reason: str
    estimate: Estimate | None = None


class Ask(msgspec.Struct, frozen=True):
    """Ask a proposer for about `arms` arms."""

    proposer: str
    arms: int
    reason: str


class ReachCap(msgspec.Struct, frozen=True):
    """Say, once, that the budget pays for nothing more."""

    usd: float
    text: str


class End(msgspec.Struct, frozen=True):
    how: str
    reason: str


class Finish(msgspec.Struct, frozen=True):
    """Everything has ended: the worker may stop."""

    reason: str


Action = (
    Approve | Queue | Submit | Cancel | Spare | Launch | GiveUp | Down | Suspect | Decide | Crown | Ask | ReachCap | End
    | Finish
)  # fmt: skip
