"""The making of a story: the events of a session, its clock and its logs."""

import hashlib
import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path

from cockpit.core.cluster_events import ClusterUp, Launching
from cockpit.core.curves import Point
from cockpit.core.event_codec import decode_event, encode_event
from cockpit.core.events import (
    Approved,
    Decided,
    Ended,
    Event,
    IncumbentSet,
    Progressed,
    Proposed,
    Queued,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
    WorkerStarted,
)
from cockpit.core.fold import fold
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Change,
    Cluster,
    ClusterState,
    Edit,
    Envelope,
    Estimate,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Progress,
    Value,
    Wave,
    WaveKind,
)
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.session.ledger import Ledger

BEGAN = 1_760_000_000.0
RUN_S = 330.0
CONSTANTS: dict[str, Value] = {
    "DEPTH": 8,
    "ASPECT_RATIO": 64,
    "HEAD_DIM": 128,
    "WINDOW_PATTERN": "SSSL",
    "TOTAL_BATCH_SIZE": 524288,
    "DEVICE_BATCH_SIZE": 128,
    "EMBEDDING_LR": 0.6,
    "UNEMBEDDING_LR": 0.004,
    "MATRIX_LR": 0.04,
    "SCALAR_LR": 0.5,
    "WEIGHT_DECAY": 0.2,
    "ADAM_BETAS": [0.8, 0.95],
    "WARMUP_RATIO": 0.0,
    "WARMDOWN_RATIO": 0.5,
    "FINAL_LR_FRAC": 0.0,
}


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def fleet(clusters: int = 16, better: int = 3) -> FleetSpec:
    hardware = ["H100"] * (clusters - better) + ["H200"] * better
    specs = tuple(
        ClusterSpec(f"gpu-{index:02d}", name, 2.0 if name == "H100" else 2.5)
        for index, name in enumerate(hardware, start=1)
    )
    return FleetSpec(
        "sim", specs, depth=2, simulated=True, screen_hardware="H100", validate_hardware="H200", infra="sim", speed=1.0
    )


def session(name: str = "night", clusters: int = 16, better: int = 3) -> Session:
    return Session(
        name=name,
        repo="/home/ada/autoresearch",
        commit="9f1c2ab",
        fleet=fleet(clusters, better),
        created_at=BEGAN,
        created_by="ada",
        corpus="climbmix",
        preset="h100",
        budget_usd=400.0,
        budget_hours=12.0,
        proposer="claude",
        constants=CONSTANTS,
    )


class Story:
    """Events in order, and the state they make, from which the next event is made."""

    def __init__(self, session: Session, mode: Mode = Mode.COPILOT) -> None:
        self.at = BEGAN
        self.state = State(session)
        self.events: list[Event] = []
        self.live: list[Progressed] = []
        self.dice = random.Random(7)
        self.tell(SessionCreated(at=self.at, session=session, mode=mode, envelope=Envelope(usd=50.0)))
        self.tell(WorkerStarted(at=self.at, pid=4242, host="login1", user="ada", version="0.1.0"))

    def tell(self, event: Event) -> None:
        # The fold keeps and changes the objects that it is given: a copy is written.
        copy = decode_event(encode_event(event))
        if isinstance(copy, Progressed):
            self.live.append(copy)
        else:
            self.events.append(copy)
        self.state = fold(self.state, event)

    def propose(
        self,
        question: str,
        factors: dict[str, list[Value]],
        proposer: str = "claude",
        hypothesis: str = "",
        kind: WaveKind = WaveKind.WAVE,
        would_change_mind: str = "",
        edits: tuple[Edit, ...] = (),
    ) -> str:
        wave = self.state.next_wave_id()
        base = self.state.incumbent or self.state.baseline
        overrides = self.state.experiments[base].overrides if base else {}
        arms: list[Experiment] = []
        for offset, cell in enumerate(itertools.product(*factors.values())):
            levels = dict(zip(factors, cell, strict=True))
            name = self.state.next_experiment_id(offset)
            arms.append(
                Experiment(
                    id=name,
                    wave=wave,
                    base=base,
                    change=Change(constants=levels, edits=edits),
                    commit=f"{offset:07x}",
                    train_hash=f"t{name}",
                    prepare_hash="p",
                    fingerprint=_fingerprint(repr(sorted({**overrides, **levels}.items())) + repr(edits)),
                    overrides={**overrides, **levels},
                    levels=levels,
                    why=hypothesis or question,
                    lines_added=len(levels) + sum(edit.replace.count("\n") + 1 for edit in edits),
                    lines_removed=len(levels) + sum(edit.search.count("\n") + 1 for edit in edits),
                )
            )
        proposal = Wave(
            id=wave,
            proposer=proposer,
            question=question,
            kind=kind,
            hypothesis=hypothesis,
            base=base,
            factors=factors,
            arms=[arm.id for arm in arms],
            would_change_mind=would_change_mind,
            rank=float(len(self.state.waves)),
            proposed_at=self.at,
        )
        self.tell(Proposed(at=self.at, wave=proposal, experiments=arms))
        return wave

    def approve(self, wave: str, author: str = "ada") -> None:
        attempts = [
            Attempt(f"{arm}.1", arm, AttemptKind.ARM, seed=1337 + index, rule=f"person:{author}")
            for index, arm in enumerate(self.state.waves[wave].arms)
        ]
        self.tell(Approved(at=self.at, wave=wave, author=author, rule=f"person:{author}", attempts=attempts))

    def launch(self) -> None:
        for name in list(self.state.clusters):
            self.tell(Launching(at=self.at, cluster=name))
        for index, (name, cluster) in enumerate(list(self.state.clusters.items())):
            self.tell(ClusterUp(at=self.at + 90 + 7 * index, cluster=name, hardware=cluster.hardware))
        self.at += 90 + 7 * len(self.state.clusters)

    def submit(self, attempt: str, cluster: str) -> None:
        hardware = self.state.clusters[cluster].hardware
        self.tell(Submitting(at=self.at, attempt=attempt, cluster=cluster, hardware=hardware, reserved_usd=0.2))
        self.tell(Submitted(at=self.at + 1, attempt=attempt))

    def score_of(self, experiment: str, hardware: str) -> float:
        """Return a score from a bowl with its minimum at a width of 96 and a matrix learning rate of 0.05."""
        found = {**CONSTANTS, **self.state.experiments[experiment].overrides}
        width = float(found["ASPECT_RATIO"])  # type: ignore[arg-type]
        rate = float(found["MATRIX_LR"])  # type: ignore[arg-type]
        decay = float(found["WEIGHT_DECAY"])  # type: ignore[arg-type]
        bowl = 0.022 * (math.log2(width / 96) ** 2) + 0.006 * (math.log2(rate / 0.05) ** 2) + 0.01 * abs(decay - 0.1)
        better = -0.006 if hardware == "H200" else 0.0
        return 0.9712 + bowl + better + self.dice.gauss(0, 0.0011)

    def curve(self, final: float, fraction: float = 1.0) -> list[Point]:
        steps = max(2, int(40 * fraction))
        return [
            (fraction * i / steps, 2.35 * final + 4.2 * math.exp(-7 * fraction * i / steps))
            for i in range(1, steps + 1)
        ]

    def end(self, attempt: str, outcome: Outcome = Outcome.VALID, message: str = "") -> None:
        run = self.state.attempts[attempt]
        if outcome is not Outcome.VALID:
            self.tell(Ended(at=self.at, attempt=attempt, outcome=outcome, message=message))
            return
        final = self.score_of(run.experiment, run.hardware)
        metrics = Metrics(
            score=round(final, 6), training_seconds=300.1, total_seconds=RUN_S, peak_vram_mb=45_060.2,
            mfu_percent=39.8, total_tokens_M=499.6, num_steps=953, num_params_M=50.3, depth=8,
        )  # fmt: skip
        self.tell(Ended(at=self.at, attempt=attempt, outcome=Outcome.VALID, metrics=metrics, curve=self.curve(final)))

    def decide(self, experiment: str) -> None:
        """Keep an experiment that beats the incumbent in its class by twice the noise; discard others."""
        state = self.state
        mine = state.experiments[experiment]
        hardware, scores = next(iter(mine.scores.items()))
        reigning = state.experiments[state.incumbent or state.baseline]
        against = reigning.scores.get(hardware) or next(iter(reigning.scores.values()), [1.0])
        gain = sum(scores) / len(scores) - sum(against) / len(against)
        estimate = Estimate(gain, gain - 0.0021, gain + 0.0021, 0.9, len(scores), reigning.id, hardware)
        if gain < -0.0022:
            reason = f"better than {reigning.id} by {-gain:.4f}, beyond the noise"
            self.tell(
                Decided(
                    at=self.at,
                    experiment=experiment,
                    status=ExperimentStatus.KEPT,
                    reason=reason,
                    estimate=estimate,
                )
            )
            self.tell(IncumbentSet(at=self.at, experiment=experiment, reason=reason, estimate=estimate))
            again = Attempt(
                f"{experiment}.2", experiment, AttemptKind.VALIDATION, seed=77, hardware="H200", rule="plan"
            )
            self.tell(Queued(at=self.at, attempt=again, reason="validate it on the better class"))
        else:
            self.tell(
                Decided(
                    at=self.at,
                    experiment=experiment,
                    status=ExperimentStatus.DISCARDED,
                    reason="not better than the noise" if gain < 0.0022 else f"worse by {gain:.4f}",
                    estimate=estimate,
                )
            )

    def next_for(self, cluster: Cluster) -> str:
        """Return the next attempt for a cluster. The better class runs validation and the baseline only."""
        if cluster.state is not ClusterState.IDLE or cluster.running:
            return ""
        for name in self.state.waiting:
            attempt = self.state.attempts[name]
            if self.state.waves[self.state.experiments[attempt.experiment].wave].held:
                continue
            if (attempt.hardware or "H100") == cluster.hardware or attempt.rule == "baseline":
                return name
        return ""

    def play(self, until_waiting: int = 0, most_s: float = math.inf) -> None:
        """Run waiting attempts on the clusters that are up, until `until_waiting` are left or `most_s` has passed."""
        stop = self.at + most_s
        ends: dict[str, float] = {}
        while self.at < stop and (len(self.state.waiting) > until_waiting or (until_waiting == 0 and ends)):
            for cluster in list(self.state.clusters.values()):
                attempt = self.next_for(cluster)
                if attempt:
                    self.submit(attempt, cluster.name)
                    self.tell(Started(at=self.at + 4, attempt=attempt))
                    ends[attempt] = self.at + RUN_S + self.dice.uniform(-20, 30)
            if not ends:
                break
            attempt = min(ends, key=ends.__getitem__)
            if ends[attempt] > stop:
                self.at = stop
                break
            self.at = max(self.at, ends.pop(attempt))
            experiment = self.state.attempts[attempt].experiment
            if self.dice.random() < 0.05:
                self.end(attempt, Outcome.CRASH, "torch.OutOfMemoryError: CUDA out of memory")
            else:
                self.end(attempt)
                if experiment != self.state.baseline and attempt.endswith(".1"):
                    self.decide(experiment)

    def progress(self, attempt: str, fraction: float, at: float | None = None) -> None:
        run = self.state.attempts[attempt]
        final = self.score_of(run.experiment, run.hardware)
        curve = self.curve(final, fraction)
        step = int(953 * fraction)
        self.tell(
            Progressed(
                at=self.at if at is None else at,
                attempt=attempt,
                progress=Progress(
                    at=self.at if at is None else at, step=step, fraction=fraction, loss=curve[-1][1],
                    ms_per_step=314.0, tokens_per_s=1_665_000, mfu_percent=39.8, remaining_s=300 * (1 - fraction),
                ),
                curve=curve,
            )
        )  # fmt: skip

    def show_running(self) -> None:
        for index, attempt in enumerate(list(self.state.in_flight)):
            if self.state.attempts[attempt].status is AttemptStatus.RUNNING:
                self.progress(attempt, 0.08 + 0.055 * (index % 16))

    def write(self, root: Path, logs: bool = True) -> Path:
        """Write the session's folder under `root`, with its ledger and logs. Returns the folder."""
        assert self.state.session is not None
        folder = root / self.state.session.name
        ledger = Ledger.create(folder / "ledger.db")
        ledger.append([*self.events, *self.live])
        ledger.close()
        where = folder / "logs"
        where.mkdir()
        for attempt in self.state.attempts.values() if logs else ():
            if attempt.status in (AttemptStatus.RUNNING, AttemptStatus.ENDED):
                fraction = attempt.progress.fraction if attempt.progress else 1.0
                text = "\n".join(log_lines(attempt, fraction)) + "\n"
                (where / f"{attempt.id}.log").write_text(text, encoding="utf-8")
        return folder


def log_lines(attempt: Attempt, fraction: float) -> Iterator[str]:
    yield f"experiment {attempt.experiment} seed {attempt.seed}"
    yield "vocabulary 8,192; model 50.3M parameters, depth 8, model_dim 512"
    for step in range(0, int(953 * fraction), 5):
        done = step / 953
        loss = 2.30 + 4.2 * math.exp(-7 * done)
        yield (
            f"step {step:05d} ({100 * done:.1f}%) | loss: {loss:.6f} | dt: 314ms | tok/sec: 1,665,021 | mfu: 39.8%"
            f" | remaining: {300 * (1 - done):.0f}s"
        )
    if attempt.metrics is not None:
        yield "---"
        yield f"val_bpb:          {attempt.metrics.score:.6f}"
        yield f"training_seconds: {attempt.metrics.training_seconds:.1f}"
        yield f"peak_vram_mb:     {attempt.metrics.peak_vram_mb:.1f}"
    elif attempt.message:
        yield "Traceback (most recent call last):"
        yield attempt.message
