"""A ProposerApi without a worker: real state, ledger, variants and approval; runs end at once with a given score."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cockpit.agent.proposer_api import Receipt
from cockpit.core.agent_events import ApiReserved
from cockpit.core.cluster_events import ClusterUp
from cockpit.core.events import (
    Decided,
    Ended,
    Event,
    IncumbentSet,
    Proposed,
    Rejected,
    Said,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
)
from cockpit.core.fold import fold
from cockpit.core.intents import Draft
from cockpit.core.model import DECISIONS, Edit, Envelope, Experiment, ExperimentStatus, Metrics, Mode, Outcome
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.create.baseline_wave import baseline_wave
from cockpit.decide.approve import approval, rule_for
from cockpit.decide.budget import left_usd
from cockpit.decide.intents.request import Refused
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import find_constants
from cockpit.variant.store import VariantStore
from cockpit.worker import intake

TRAIN = '''\
"""A stand-in with the constants of a real one."""
DEPTH = 8
WIDTH = 640
MATRIX_LR = 0.04
WARMDOWN_RATIO = 0.5


def main():
    print(f"val_bpb: {1.0:.6f}")


main()
'''
PROGRAM = "# Program\nMake val_bpb go down. Screen first, then promote.\n"

Score = Callable[[Experiment, str, int], float | None]
"""Maps (experiment, hardware, seed) to val_bpb; None for a crash."""


def make_repo(folder: Path) -> Path:
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    (folder / "prepare.py").write_text("TIME_BUDGET = 300\n")
    (folder / "program.md").write_text(PROGRAM)
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


class DirectApi:
    def __init__(self, root: Path, mode: Mode = Mode.AUTOPILOT, budget_usd: float = 0.0) -> None:
        self.repo = make_repo(root / "repo")
        self.folder = SessionFolder(root / "session")
        self.store = VariantStore(self.repo, "test")
        self.ledger = Ledger.create(self.folder.ledger)
        self.clock = 1_000_000.0
        self.stop = threading.Event()
        self.logs: dict[str, str] = {}
        self.score: Score = lambda experiment, hardware, seed: 1.0
        self.drafts: list[Draft] = []
        self.messages_answered = 0
        self._lock = threading.RLock()
        variant = self.store.baseline()
        clusters = tuple(ClusterSpec(f"gpu-{n:02d}", "H100" if n <= 13 else "H200", 0.0) for n in range(1, 17))
        session = Session(
            name="test",
            repo=str(self.repo),
            commit=variant.commit,
            fleet=FleetSpec("sim", clusters, screen_hardware="H100", validate_hardware="H200"),
            created_at=self.clock,
            created_by="ann",
            corpus="stdlib",
            budget_usd=budget_usd,
            proposer="claude",
            constants=find_constants(TRAIN),
        )
        self.state = State(session)
        self.record(
            SessionCreated(at=self.clock, session=session, mode=mode, envelope=Envelope(usd=1e6, patches=True)),
            *(ClusterUp(at=self.clock, cluster=spec.name, hardware=spec.hardware) for spec in clusters),
        )
        self.record(baseline_wave(variant, session, self.clock))
        self.settle()
        self.record(IncumbentSet(at=self.clock, experiment="e0000", reason="the baseline"))

    def read(self, question: Callable[[State], Any]) -> Any:
        with self._lock:
            return question(self.state)

    def propose(self, draft: Draft) -> Receipt:
        with self._lock:
            self.drafts.append(draft)
            try:
                made = intake.prepare_wave(self.store, self.state, draft, self.clock)
            except (Refused, VariantError) as error:
                return Receipt("", (), tuple(map(str, error.args)), "refused")
            self.record(Proposed(at=self.clock, wave=made.wave, experiments=made.experiments))
            return Receipt(made.wave.id, (*made.wave.arms, *made.wave.again), made.problems, "proposed")

    def record(self, *events: Event) -> None:
        with self._lock:
            self.ledger.append(events)
            for event in events:
                self.state = fold(self.state, event)

    def reserve(self, wanted: Callable[[float], ApiReserved | None]) -> ApiReserved | None:
        with self._lock:
            event = wanted(left_usd(self.state, self.clock))
            if event is not None:
                self.record(event)
            return event

    def source(self, experiment: str, path: str = "train.py") -> str:
        return self.store.source(self.state.experiments[experiment].commit, path)

    def diff(self, experiment: str, against: str = "") -> str:
        one = self.state.experiments[experiment]
        return self.store.diff(self.state.experiments[against or one.base or experiment].commit, one.commit)

    def log_tail(self, attempt: str, max_bytes: int = 65_536) -> str:
        return self.logs.get(attempt, "")[-max_bytes:]

    def scratch_edits(self) -> tuple[str, tuple[Edit, ...]]:
        raise KeyError("only a hosted agent has a scratch checkout")

    def now(self) -> float:
        return self.clock

    def answered(self, messages: int) -> None:
        self.messages_answered += messages

    def interrupted(self) -> bool:
        return self.stop.is_set()

    def say(self, text: str, author: str = "ann") -> None:
        self.record(Said(at=self.clock, author=author, text=text))

    def reject(self, wave: str, reason: str) -> None:
        self.record(Rejected(at=self.clock, wave=wave, author="ann", reason=reason))

    def settle(self) -> None:
        """Approve what the envelope allows, and run every queued attempt to its end."""
        with self._lock:
            for name in list(self.state.proposals):
                wave = self.state.waves[name]
                rule = rule_for(self.state, wave, self.clock)
                if rule:
                    self.record(approval(self.state, wave, DECISIONS, rule, self.clock))
            for name in list(self.state.waiting):
                self._run(name)
                self.clock += 20

    def decide(self, experiment: str, status: ExperimentStatus, reason: str = "measured") -> None:
        self.record(Decided(at=self.clock, experiment=experiment, status=status, reason=reason))

    def set_incumbent(self, experiment: str) -> None:
        self.decide(experiment, ExperimentStatus.KEPT)
        self.record(IncumbentSet(at=self.clock, experiment=experiment, reason="better"))

    def _run(self, name: str) -> None:
        attempt = self.state.attempts[name]
        number = len(self.state.recent) + sum(self.state.outcome_counts.values())
        hardware = attempt.hardware or "H100"
        cluster = f"gpu-{number % 13 + 1:02d}" if hardware == "H100" else f"gpu-{number % 3 + 14:02d}"
        experiment = self.state.experiments[attempt.experiment]
        score = self.score(experiment, hardware, attempt.seed)
        self.record(
            Submitting(at=self.clock, attempt=name, cluster=cluster, hardware=hardware),
            Submitted(at=self.clock, attempt=name),
            Started(at=self.clock, attempt=name),
            Ended(
                at=self.clock + 10,
                attempt=name,
                outcome=Outcome.VALID if score is not None else Outcome.CRASH,
                metrics=Metrics(score) if score is not None else None,
                message="" if score is not None else "RuntimeError: boom",
            ),
        )


def width_of(experiment: Experiment) -> float:
    """Return the WIDTH of an experiment, which may be the baseline's."""
    width = experiment.overrides.get("WIDTH", 640)
    assert isinstance(width, int | float)
    return width
