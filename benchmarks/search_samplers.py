"""The samplers that benchmarks.search_functions compares: `search`, and well-known ones of other libraries.

Each gets the same start, bounds and kinds of values. A rung of a ladder is given to the others by its number, so its
order is known to them as it is to `search`. A crash is told as a crash where the sampler knows crashes, and else left
out.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cockpit.agent.proposers.evolution import Tried, next_arms
from cockpit.core.model import Value
from cockpit.science.search_space import Choice, Dimension, Ladder, Real, position, value_at

Constants = Mapping[str, Any]
FITTED_AFRESH_EVERY = 8
"""Results after which BoTorch's hyperparameters are fitted again. SMAC's own number for its forest is 8 too."""


class Sampler(Protocol):
    def ask(self) -> tuple[Any, Constants]: ...

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None: ...


class Search:
    """Cockpit's own, as it begins on many clusters or on few."""

    def __init__(
        self,
        by_steps: bool,
        dimensions: Mapping[str, Dimension],
        start: Mapping[str, Value],
        evaluations: int,
        seed: int,
    ) -> None:
        self._by_steps = by_steps
        self._dimensions, self._start, self._seed = dimensions, start, seed
        self._tried: list[Tried] = []
        self._pending: list[Constants] = []
        self._asked = 0

    def ask(self) -> tuple[Any, Constants]:
        self._asked += 1
        if self._asked == 1:
            arm: Constants = dict(self._start)
        else:
            valid = [one for one in self._tried if one.score is not None]
            base = min(valid, key=lambda one: one.score or 0.0).constants if valid else self._start
            seed = self._seed * 100_003 + self._asked
            (arm,) = next_arms(self._dimensions, base, self._tried, self._pending, 1, seed, self._by_steps)
        self._pending.append(arm)
        return None, arm

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None:
        self._pending.remove(constants)
        self._tried.append(Tried(dict(constants), value))


class Optuna:
    """Optuna's samplers. `gp` needs torch, `cma` needs cmaes."""

    def __init__(
        self, kind: str, dimensions: Mapping[str, Dimension], start: Mapping[str, Value], evaluations: int, seed: int
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", module="optuna")
        samplers = {
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
            "cma": lambda: optuna.samplers.CmaEsSampler(seed=seed),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        }
        self._dimensions = dimensions
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(sampler=samplers[kind]())
        self._study.enqueue_trial(
            {
                name: one.rungs.index(start[name]) if isinstance(one, Ladder) else start[name]
                for name, one in dimensions.items()
            }
        )

    def ask(self) -> tuple[Any, Constants]:
        trial = self._study.ask()
        found: dict[str, Any] = {}
        for name, dimension in self._dimensions.items():
            match dimension:
                case Real(low, high, log):
                    found[name] = trial.suggest_float(name, low, high, log=log)
                case Ladder(rungs):
                    found[name] = rungs[trial.suggest_int(name, 0, len(rungs) - 1)]
                case Choice(options):
                    found[name] = trial.suggest_categorical(name, options)
        return trial.number, found

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None:
        if value is None:
            self._study.tell(tag, state=self._failed)
        else:
            self._study.tell(tag, value)


class Smac:
    """SMAC3's facade for hyperparameters: a random forest with log expected improvement (Lindauer et al. 2022)."""

    def __init__(
        self, dimensions: Mapping[str, Dimension], start: Mapping[str, Value], evaluations: int, seed: int
    ) -> None:
        from ConfigSpace import Categorical, Configuration, ConfigurationSpace, Float, Integer
        from smac import HyperparameterOptimizationFacade, Scenario

        self._dimensions = dimensions
        space = ConfigurationSpace(seed=seed)
        for name, dimension in dimensions.items():
            match dimension:
                case Real(low, high, log):
                    space.add(Float(name, (low, high), log=log))
                case Ladder(rungs):
                    space.add(Integer(name, (0, len(rungs) - 1)))
                case Choice(options):
                    space.add(Categorical(name, options))
        begin = {
            name: one.rungs.index(start[name]) if isinstance(one, Ladder) else start[name]
            for name, one in dimensions.items()
        }
        self._costs: list[float] = []
        self._scratch = tempfile.TemporaryDirectory()
        scenario = Scenario(
            space, output_directory=self._scratch.name, deterministic=True, n_trials=evaluations, seed=seed
        )
        design = HyperparameterOptimizationFacade.get_initial_design(
            scenario, additional_configs=[Configuration(space, begin)]
        )
        self._smac = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, initial_design=design, logging_level=False, overwrite=True
        )

    def ask(self) -> tuple[Any, Constants]:
        trial = self._smac.ask()
        found = dict(trial.config)
        for name, one in self._dimensions.items():
            if isinstance(one, Ladder):
                found[name] = one.rungs[int(found[name])]
        return trial, found

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None:
        from smac.runhistory import StatusType, TrialValue

        if value is None:
            # SMAC's forest takes no infinite cost: a crash is as bad as the worst score.
            self._smac.tell(tag, TrialValue(cost=max(self._costs, default=0.0), status=StatusType.CRASHED))
        else:
            self._costs.append(value)
            self._smac.tell(tag, TrialValue(cost=value, status=StatusType.SUCCESS))


class BoTorch:
    """A Gaussian process and qLogNEI (Ament et al. 2023), as BoTorch's own tutorials set them up.

    An option is one of several columns from 0 to 1, and the largest of them is meant.
    """

    START = 16
    """Sobol points before a surface is fitted, the start among them."""

    def __init__(
        self, dimensions: Mapping[str, Dimension], start: Mapping[str, Value], evaluations: int, seed: int
    ) -> None:
        import botorch  # noqa: F401  where it is missing, that is said before the first run
        import torch

        torch.manual_seed(seed)
        self._dimensions = dimensions
        self._places: list[NDArray[np.float64]] = []
        self._values: list[float] = []
        self._pending: dict[int, NDArray[np.float64]] = {}
        self._asked, self._fitted_at = 0, -FITTED_AFRESH_EVERY
        self._model: Any = None
        self._columns = sum(len(one.options) if isinstance(one, Choice) else 1 for one in dimensions.values())
        self._sobol = torch.quasirandom.SobolEngine(self._columns, scramble=True, seed=seed)
        self._start = self._place(start)

    def ask(self) -> tuple[Any, Constants]:
        self._asked += 1
        if self._asked == 1:
            place = self._start
        elif self._asked <= self.START or len(self._values) < 2:
            place = np.asarray(self._sobol.draw(1)[0], dtype=float)
        else:
            place = self._best()
        constants = self._constants(place)
        self._pending[self._asked] = self._place(constants)
        return self._asked, constants

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None:
        place = self._pending.pop(tag)
        if value is not None:
            self._places.append(place)
            self._values.append(value)

    def _best(self) -> NDArray[np.float64]:
        import torch
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        warnings.filterwarnings("ignore")
        x = torch.tensor(np.asarray(self._places), dtype=torch.double)
        y = -torch.tensor(np.asarray(self._values), dtype=torch.double)[:, None]
        model = SingleTaskGP(x, y, outcome_transform=Standardize(1))
        if len(self._values) - self._fitted_at >= FITTED_AFRESH_EVERY:
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            self._fitted_at = len(self._values)
        else:
            for part in ("covar_module", "mean_module", "likelihood"):
                getattr(model, part).load_state_dict(getattr(self._model, part).state_dict())
        model.eval()
        self._model = model
        waiting = torch.tensor(np.asarray(list(self._pending.values())), dtype=torch.double)
        gain = qLogNoisyExpectedImprovement(
            model, x, X_pending=waiting if len(self._pending) else None, prune_baseline=True
        )
        bounds = torch.stack([torch.zeros(self._columns), torch.ones(self._columns)]).double()
        found, _ = optimize_acqf(gain, bounds, q=1, num_restarts=4, raw_samples=128)
        return np.asarray(found[0].detach(), dtype=float)

    def _place(self, constants: Constants) -> NDArray[np.float64]:
        found: list[float] = []
        for name, one in self._dimensions.items():
            if isinstance(one, Choice):
                found += [float(option == constants[name]) for option in one.options]
            else:
                found.append(position(one, constants[name]))
        return np.asarray(found)

    def _constants(self, place: NDArray[np.float64]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        at = 0
        for name, one in self._dimensions.items():
            if isinstance(one, Choice):
                found[name] = one.options[int(np.argmax(place[at : at + len(one.options)]))]
                at += len(one.options)
            else:
                found[name] = value_at(one, float(place[at]))
                at += 1
        return found


def _search(by_steps: bool) -> Callable[..., Sampler]:
    return lambda *given: Search(by_steps, *given)


def _optuna(kind: str) -> Callable[..., Sampler]:
    return lambda *given: Optuna(kind, *given)


SAMPLERS: Mapping[str, Callable[..., Sampler]] = {
    "search": _search(by_steps=False),
    "steps": _search(by_steps=True),
    "random": _optuna("random"),
    "tpe": _optuna("tpe"),
    "cma": _optuna("cma"),
    "gp": _optuna("gp"),
    "smac": Smac,
    "botorch": BoTorch,
}
"""Each takes the dimensions, the start, the number of evaluations and a seed. It raises ImportError where its library
is missing."""
