"""The proposer `hybrid`: a model asks questions and changes structure; `search` or `tpe` fills in the numeric arms."""

from cockpit.agent.proposer_api import ProposalRequest, Proposer, ProposerApi, ProposerTrouble
from cockpit.core.events import Trouble


class Hybrid:
    """Shares the arms of each request between a model and a numeric proposer.

    `share`, from 0 to 1, is the model's part.
    """

    def __init__(self, model: Proposer, numeric: Proposer, share: float, name: str = "hybrid") -> None:
        self.name = name
        self._model = model
        self._numeric = numeric
        self._share = min(1.0, max(0.0, share))
        self._arms_owed = 0.0
        """Arms owed to the model from rounding, so that the share holds over many small requests."""
        self._model_retry_at = 0.0
        """The time at which a model that failed may be asked again, on the session's clock."""

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        """Ask the numeric proposer first, since it answers at once. Then ask the model.

        The model alone answers a person. If the model fails, the numeric proposer takes its arms too, so that no
        cluster waits. The trouble is recorded once until the model may be asked again.
        """
        if request.reason == "said":
            self._model.propose(api, request)
            return
        if self._model_retry_at and api.now() < self._model_retry_at:
            self._numeric.propose(api, request)
            return
        model_arms = self._take_model_arms(request.arms)
        if model_arms < request.arms:
            self._numeric.propose(api, ProposalRequest(request.ask, request.arms - model_arms, request.reason))
        if model_arms and not api.interrupted():
            self._ask_model(api, ProposalRequest(request.ask, model_arms, request.reason))

    def _take_model_arms(self, arms: int) -> int:
        """Return the model's part of `arms`, and keep the rounding error for the next request."""
        wanted = arms * self._share + self._arms_owed
        model_arms = max(0, min(arms, round(wanted)))
        self._arms_owed = wanted - model_arms
        return model_arms

    def _ask_model(self, api: ProposerApi, request: ProposalRequest) -> None:
        try:
            self._model.propose(api, request)
        except ProposerTrouble as trouble:
            self._model_retry_at = api.now() + trouble.retry_in_s
            api.record(Trouble(at=api.now(), text=str(trouble), about=self._model.name))
            self._numeric.propose(api, request)
