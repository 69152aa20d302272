"""The proposer `rebase`: changes that are tested when the incumbent is replaced are tried again on the new one."""

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.decide.rebasing import PROPOSER, rebase

REFUSED_RETRY_S = 600.0


class Rebase:
    name = PROPOSER

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        draft = api.read(rebase)
        if draft is None:
            raise ProposerTrouble("no change under test is left to rebase", retry_in_s=REFUSED_RETRY_S)
        receipt = api.propose(draft)
        if not receipt.wave:
            raise ProposerTrouble(f"the rebase was refused: {receipt.problems[0]}", REFUSED_RETRY_S)
