"""The proposers `ablate` and `rebase`, which draft waves from the state alone."""

from collections.abc import Callable

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.core.intents import Draft
from cockpit.core.state import State
from cockpit.decide import ablation, rebasing

ABLATE_RETRY_S = 3600.0
REBASE_RETRY_S = 600.0


class Planned:
    """Proposes the drafts of `make`, which gets the state and the largest number of arms.

    If `make` returns none, the trouble is `nothing`, and the next request comes after `retry_s`.
    """

    def __init__(self, name: str, make: Callable[[State, int], Draft | None], nothing: str, retry_s: float) -> None:
        self.name, self._make, self._nothing, self._retry_s = name, make, nothing, retry_s

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        draft = api.read(lambda state: self._make(state, request.arms))
        if draft is None:
            raise ProposerTrouble(self._nothing, retry_in_s=self._retry_s)
        receipt = api.propose(draft)
        if not receipt.wave:
            raise ProposerTrouble(f"the wave of {self.name} was refused: {receipt.problems[0]}", self._retry_s)


def ablate() -> Planned:
    """Return the proposer that leaves each kept change out once."""
    return Planned(ablation.PROPOSER, ablation.next_ablations, "no kept change is left to ablate", ABLATE_RETRY_S)


def rebase() -> Planned:
    """Return the proposer that tries changes again on a new incumbent, if they were under test on the old one."""
    return Planned(
        rebasing.PROPOSER,
        lambda state, arms: rebasing.rebase(state),
        "no change under test is left to rebase",
        REBASE_RETRY_S,
    )
