"""The proposer `ablate`: before the report, each kept change is left out once, and dropped if it no longer helps."""

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.decide.ablation import PROPOSER, ablations

NOTHING_TO_ABLATE_RETRY_S = 3600.0


class Ablate:
    name = PROPOSER

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        draft = api.read(ablations)
        if draft is None:
            raise ProposerTrouble("no kept change is left to ablate", retry_in_s=NOTHING_TO_ABLATE_RETRY_S)
        receipt = api.propose(draft)
        if not receipt.wave:
            raise ProposerTrouble(f"the ablation was refused: {receipt.problems[0]}", NOTHING_TO_ABLATE_RETRY_S)
