"""`ablate`: before the report each kept change is dropped from the stack once. What no longer helps goes."""

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.decide.ablation import PROPOSER, ablations


class Ablate:
    """The Proposer."""

    name = PROPOSER

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        draft = api.read(ablations)
        if draft is None:
            raise ProposerTrouble("nothing was kept that could be dropped again", retry_in_s=3600.0)
        receipt = api.propose(draft)
        if not receipt.wave:
            raise ProposerTrouble(f"nothing could be dropped again: {receipt.problems[0]}", retry_in_s=3600.0)
