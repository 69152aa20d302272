"""Findings from before a session: of earlier sessions of the same repository, and of files that a person gave.

They suggest what to try first. No score, noise estimate or decision reads them.
"""

from enum import StrEnum

import msgspec

from cockpit.core.model import Edit, Value


class PriorKind(StrEnum):
    INCUMBENT = "incumbent"
    """All changes that a session ended with."""
    KEPT = "kept"
    """One kept change."""
    EFFECT = "effect"
    """The effect of one level of a factor."""
    CRASH = "crash"
    FINDING = "finding"
    """A recorded conclusion of a proposer or a person."""
    CLAIM = "claim"
    """A line of a file, unchecked."""


class PriorFinding(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    source: str
    """`session NAME`, or the name of a file."""
    kind: PriorKind
    text: str
    evidence: str = ""
    """The experiments, runs and hardware class behind it, in a clause."""
    constants: dict[str, Value] = {}
    """The values that it found."""
    before: dict[str, Value] = {}
    """The values of the same constants in the code that it compares with."""
    edits: tuple[Edit, ...] = ()
    """Its edits of code; empty if they are too long to show."""
    edited: bool = False
    """True if it edits code beside constants."""
    difference: float = 0.0
    """The difference in scores that was found, negative is better; 0 if none was measured."""
    commit: str = ""
    """The commit of the code that it was found in."""
    code_changed: str = ""
    """How the code under it differs from this session's baseline, in a clause; empty if it does not."""

    @property
    def is_gain(self) -> bool:
        """True for a change that was measured to be better."""
        return self.kind not in (PriorKind.CRASH, PriorKind.FINDING) and self.difference < 0
