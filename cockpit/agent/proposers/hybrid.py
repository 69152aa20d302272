"""`hybrid`: a model asks the questions and changes structure, a search fills in numeric arms: cockpit's or Optuna's."""

from cockpit.agent.proposer_api import ProposalRequest, Proposer, ProposerApi, ProposerTrouble
from cockpit.core.events import Trouble


class Hybrid:
    """Two proposers at one api. `share`, from 0 to 1, is the model's part of the arms."""

    def __init__(self, model: Proposer, search: Proposer, share: float, name: str = "hybrid") -> None:
        self.name = name
        self._model = model
        self._search = search
        self._share = min(1.0, max(0.0, share))
        self._owed = 0.0
        """Arms the model is owed from rounding, so that the share holds over many small asks."""
        self._away_until = 0.0
        """When a model in trouble may be asked again, on the session's clock."""

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        """The search answers first, since it answers at once; then the model may think.

        A person who spoke is answered by the model alone. A model that cannot be asked costs no cluster anything: the
        search takes its arms too, and the trouble is told once for as long as the model is to be left alone.
        """
        if request.reason == "said":
            self._model.propose(api, request)
            return
        if self._away_until and api.now() < self._away_until:
            self._search.propose(api, request)
            return
        wanted = request.arms * self._share + self._owed
        models = max(0, min(request.arms, round(wanted)))
        self._owed = wanted - models
        if models < request.arms:
            self._search.propose(api, ProposalRequest(request.ask, request.arms - models, request.reason))
        if not models or api.interrupted():
            return
        try:
            self._model.propose(api, ProposalRequest(request.ask, models, request.reason))
        except ProposerTrouble as trouble:
            self._away_until = api.now() + trouble.retry_in_s
            api.record(Trouble(at=api.now(), text=str(trouble), about=self._model.name))
            self._search.propose(api, ProposalRequest(request.ask, models, request.reason))
