"""A small virtual fleet under the real decisions and fold. A function gives the true score, dice add noise."""

import heapq
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cockpit.core.cluster_events import ClusterUp
from cockpit.core.curves import Point
from cockpit.core.events import (
    Asked,
    AskEnded,
    Cancelling,
    Ended,
    Event,
    Proposed,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
)
from cockpit.core.fold import fold
from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    Change,
    Edit,
    Envelope,
    Experiment,
    Metrics,
    Mode,
    Outcome,
    Value,
    Wave,
    WaveKind,
)
from cockpit.core.rescore import Rescore
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State, constants_of
from cockpit.decide.ablation import PROPOSER as ABLATE
from cockpit.decide.ablation import next_ablations
from cockpit.decide.decisions import decide
from cockpit.decide.rebasing import PROPOSER as REBASE
from cockpit.decide.rebasing import rebase
from cockpit.decide.rescoring import scoring_of

RUN_S = 60.0
BASELINE: dict[str, Value] = {"LR": 1, "DEPTH": 8}

Truth = Callable[[Mapping[str, Value], Attempt], float | None]
"""(constants, attempt) to the score without noise; None crashes."""


class World:
    def __init__(
        self,
        truth: Truth,
        *,
        hardware: tuple[str, ...] = ("CPU",) * 4,
        sd: float = 0.003,
        seed: int = 0,
        rescore: Callable[[Attempt], Rescore | None] | None = None,
        rescores: str = "keeps",
        metric: Metric = VAL_BPB,
        second: Callable[[Mapping[str, Value]], dict[str, float]] | None = None,
        second_units: Mapping[str, str] = MappingProxyType({}),
        names: tuple[str, ...] = (),
        constants: Mapping[str, Value] = BASELINE,
    ) -> None:
        self.rescore, self.second, self.second_units = rescore, second, dict(second_units)
        self.truth, self.sd = truth, sd
        self.dice = random.Random(seed)
        self.now = 0.0
        self.order = 0
        self.coming: list[tuple[float, int, Event]] = []
        self.cancelled: list[Cancelling] = []
        self.together = False
        """True where all events of a moment are known before the next decision, as after a worker's tick."""
        self.curves: Callable[[Attempt, float], list[Point]] | None = None
        names = names or tuple(f"gpu-{i + 1:02d}" for i in range(len(hardware)))
        specs = tuple(ClusterSpec(name, kind) for name, kind in zip(names, hardware, strict=True))
        better = "H200" if {"H100", "H200"} <= set(hardware) else ""
        fleet = FleetSpec("sim", specs, screen_hardware=hardware[0], validate_hardware=better)
        session = Session("s", "", "", fleet, 0.0, "t", seed=seed, constants=dict(constants), proposer="human",
                          time_budget_s=RUN_S, rescore=rescores if rescore else "", metric=metric)  # fmt: skip
        self.state = State(session)
        self.record(
            SessionCreated(at=0, session=session, mode=Mode.AUTOPILOT, envelope=Envelope(filler=False, patches=True))
        )
        for spec in specs:
            self.record(ClusterUp(at=0, cluster=spec.name, hardware=spec.hardware))
        self.propose({}, kind=WaveKind.BASELINE, base="")

    def record(self, event: Any) -> None:
        self.state = fold(self.state, event)

    def propose(
        self,
        *arms: Mapping[str, Value],
        kind: WaveKind = WaveKind.WAVE,
        base: str | None = None,
        levels: Mapping[str, Value] | None = None,
        removed: int = 0,
        edits: bool = False,
        proposer: str = "human",
    ) -> list[str]:
        """Propose a wave of constants on `base` (None for the incumbent), within the envelope."""
        base = self.state.incumbent if base is None else base
        baseline = self.state.session.constants
        wave = Wave(id=self.state.next_wave_id(), proposer=proposer, question="?", kind=kind, base=base)
        experiments = []
        for number, constants in enumerate(arms):
            merged = (constants_of(self.state, base) if base else dict(baseline)) | dict(constants)
            experiments.append(
                Experiment(
                    id=self.state.next_experiment_id(number), wave=wave.id, base=base,
                    change=Change(dict(constants), (Edit("a", "b"),) * edits),
                    commit="c", train_hash="t", prepare_hash="p", fingerprint=repr((merged, wave.id, number)),
                    overrides={k: v for k, v in merged.items() if baseline.get(k) != v}, levels=dict(levels or {}),
                    lines_removed=removed,
                )
            )  # fmt: skip
        wave.arms = [experiment.id for experiment in experiments]
        self.record(Proposed(at=self.now, wave=wave, experiments=experiments))
        return wave.arms

    def run(self, hours: float) -> State:
        end = self.now + hours * 3600
        self._act()
        while self.coming and self.coming[0][0] <= end:
            self.now, _, event = heapq.heappop(self.coming)
            self.record(event)
            if not (self.together and self.coming and self.coming[0][0] == self.now):
                self._act()
        return self.state

    def kinds(self, experiment: str) -> list[AttemptKind]:
        return [self.state.attempts[name].kind for name in self.state.experiments[experiment].attempts]

    def _act(self) -> None:
        for _ in range(1000):
            events = decide(self.state, self.now)
            if not events:
                return
            for event in events:
                self.record(event)
                if isinstance(event, Submitting):
                    self._submit(self.state.attempts[event.attempt])
                elif isinstance(event, Cancelling):
                    self.cancelled.append(event)
                elif isinstance(event, Asked) and event.proposer in (ABLATE, REBASE):
                    self._propose_planned(event)
                elif isinstance(event, Asked):
                    self.record(AskEnded(at=self.now, ask=event.ask, proposer=event.proposer, retry_at=1e12))
        raise AssertionError("the decisions did not settle")

    def _propose_planned(self, asked: Asked) -> None:
        draft = rebase(self.state) if asked.proposer == REBASE else next_ablations(self.state, asked.arms)
        assert draft is not None
        for arm in draft.arms:
            self.propose(dict(arm.change.constants), base=draft.base, levels=arm.levels, proposer=asked.proposer)
        self.record(AskEnded(at=self.now, ask=asked.ask, proposer=asked.proposer))

    def _submit(self, attempt: Attempt) -> None:
        self.record(Submitted(at=self.now, attempt=attempt.id))
        self.record(Started(at=self.now, attempt=attempt.id))
        score = self.truth(constants_of(self.state, attempt.experiment), attempt)
        ends = self.now + RUN_S
        if score is None:
            ended = Ended(at=ends, attempt=attempt.id, outcome=Outcome.CRASH, message="out of memory")
        else:
            score += self.dice.gauss(0, self.sd)
            curve = self.curves(attempt, score) if self.curves else []
            value = self.state.session.metric.value(score)
            others = self.second(constants_of(self.state, attempt.experiment)) if self.second else {}
            metrics = Metrics(value, total_tokens_M=10.0, others=others, other_units=self.second_units)
            ended = Ended(
                at=ends, attempt=attempt.id, outcome=Outcome.VALID, metrics=metrics,
                curve=curve,
                rescore=self.rescore(attempt) if self.rescore and scoring_of(self.state, attempt) else None,
            )  # fmt: skip
        self.order += 1
        heapq.heappush(self.coming, (ends, self.order, ended))


def after(state: State, *events: Event) -> State:
    """Return the state once these events have come."""
    for event in events:
        state = fold(state, event)
    return state
