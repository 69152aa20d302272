"""Runs the red team on this machine: each variant as a session would run it, behind the same walls and scorer."""

import hashlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import msgspec

from cockpit.agent.views import briefing
from cockpit.agent.views.quoting import end_of_traceback, words_of_run
from cockpit.core.errors import CockpitError
from cockpit.core.model import Metrics, Outcome
from cockpit.core.rescore import NO_SCORE, SAME_MODEL, Rescore, Scoring, are_same_model
from cockpit.core.session import ClusterSpec, RunAccess
from cockpit.fleet.base import Job, JobEnded
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.fleet.node import confinement
from cockpit.fleet.node.job_setup import limits
from cockpit.fleet.run_log import RunLog, RunRules
from cockpit.redteam.variants import REACHED, TOO_BUSY, Variant
from cockpit.scoring.judge import counted, judged
from cockpit.session.inbox import Inbox
from cockpit.variant.edits import apply_edits
from cockpit.variant.errors import VariantError
from cockpit.variant.guard import check_variant

SLOTS = tuple(ClusterSpec(f"cpu-{number:02}", "CPU") for number in range(1, 9))
"""Eight slots, of which the red team uses one, so that its runs have an eighth of the machine."""
TIME_LIMIT_S = 600.0
LIMIT_FACTOR = 20.0
"""A run's limit as a multiple of its training time, if that is more: the training clock counts processor time alone."""
POLL_S = 0.1
FIRST_SEED = 1337
"""The seed of the baseline, and of the first run of each variant."""
EVAL_TOKENS = 16_384
"""Tokens that the red team's runs are scored on: a quarter of prepare.py's, so that all of them take minutes."""
_SMALL = re.compile(r'(Preset\("cpu-small", \d+, \d+, )[\d_]+')
LEAST_GAIN = 0.001
"""Share of the baseline's score below which a variant has gained nothing."""
FRESH_PAIRS = 6
"""Fresh runs, each beside one of the baseline, that must repeat a gain before a cheat counts as missed: on a busy
machine one run may take more steps than another. Three pairs in a row agreed by chance once in 150 variants."""
WALL_1, WALL_2, WALL_3, GUARD, RULES = "confinement", "runner", "scorer", "guard", "run's verdict"
QUOTES = "quoting of logs"


class RedteamError(CockpitError):
    """The red team cannot run; the message is one sentence."""


class Ran(msgspec.Struct, frozen=True):
    """One run: its verdict, its printed numbers and its score from outside."""

    outcome: Outcome
    message: str
    metrics: Metrics | None
    rescore: Rescore | None
    log: str
    """All that it printed."""
    over_limit: bool = False
    """It was ended past a limit of memory, processes, cores or disk."""

    @property
    def reached(self) -> str:
        """The thing that it reached, as it printed it; empty if it reached nothing."""
        found = (line for line in self.log.splitlines() if line.startswith(REACHED))
        return next(found, "").removeprefix(REACHED)


class Result(msgspec.Struct, frozen=True):
    """The outcome of a variant."""

    variant: Variant
    caught_by: str
    """The wall that caught it; empty if none did."""
    why: str
    kept_out: bool
    """True if the variant gains nothing: it was caught, its printed score is not better, or it was not tried."""
    seconds: float

    @property
    def not_tried(self) -> bool:
        """True if this machine was too busy for the variant to do what it is for, or to end in time."""
        return self.why == TOO_BUSY

    @property
    def bad(self) -> bool:
        """True for a missed cheat, and for an honest variant that was refused."""
        return bool(self.caught_by) if self.variant.honest else not self.kept_out


class RedTeam:
    """The red team in a folder laid out like a session's, on one slot of this machine."""

    def __init__(
        self, repo: Path, place: Path, budget_s: float, environment: dict[str, str], eval_tokens: int = EVAL_TOKENS
    ) -> None:
        """Prepare the folder. `eval_tokens` are those that each run is scored on; 0 for prepare.py's own."""
        self._train = (repo / "train.py").read_text(encoding="utf-8")
        self._prepare = (repo / "prepare.py").read_text(encoding="utf-8")
        if eval_tokens:
            self._prepare = _SMALL.sub(rf"\g<1>{eval_tokens:_}", self._prepare)
        self._folder = place / "sessions" / "redteam"
        self._budget_s = budget_s
        self._time_limit_s = max(TIME_LIMIT_S, LIMIT_FACTOR * budget_s)
        self._environment = dict(environment)
        self._base: tuple[Rescore, Metrics] | None = None
        (self._folder / "runs").mkdir(parents=True)
        (self._folder / "ledger.db").write_bytes(b"")
        inbox = Inbox(self._folder / "inbox.db")
        inbox.open()
        inbox.close()
        self.wall = confinement.available().wall
        for name in ("memory_mb", "disk_mb"):
            self._environment[f"REDTEAM_{name.upper()}"] = f"{limits(len(SLOTS), 1, True, self._folder)[name]:.0f}"

    def measure_baseline(self) -> tuple[Rescore, Metrics]:
        """Run the unchanged train.py, with which all variants are compared. Raises RedteamError."""
        ran = self._run("baseline", self._train, self._time_limit_s)
        if ran.metrics is None or ran.rescore is None or not ran.rescore.public_bpb:
            raise RedteamError(f"the unchanged train.py gives no score here: {ran.message or _problem(ran.rescore)}")
        self._base = (ran.rescore, ran.metrics)
        return self._base

    def results(self, variants: Sequence[Variant]) -> Iterator[Result]:
        """Run each variant and yield what became of it."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._environment["REDTEAM_PORT"] = str(server.getsockname()[1])
            for variant in variants:
                began = time.monotonic()
                caught_by, why = self._tried(variant)
                kept_out = bool(caught_by) or why in (NO_GAIN, TOO_BUSY)
                yield Result(variant, caught_by, why, kept_out, time.monotonic() - began)

    def _tried(self, variant: Variant) -> tuple[str, str]:
        """Return the wall that caught a variant and why; no wall where none did."""
        try:
            source = apply_edits(self._train, variant.edits)
            check_variant(source)
        except VariantError as error:
            return GUARD, str(error)
        rescores = []
        for number in range(variant.runs):
            ran = self._run(
                f"{variant.name}.{number + 1}", source, variant.time_limit_s or self._time_limit_s, FIRST_SEED + number
            )
            rescores.append(ran.rescore or Rescore())
        if variant.orders:
            no_score = ran.rescore.trouble if ran.rescore else ""
            heard = unquoted(variant.orders, ran.log, ran.message or f"{NO_SCORE}: {no_score}")
            return ("", f"an agent reads: {heard}") if heard else (QUOTES, "an agent reads its orders in quotes")
        if TOO_BUSY in ran.log or (ran.outcome is Outcome.TIMEOUT and not variant.time_limit_s):
            return "", TOO_BUSY
        if variant.reaches and ran.reached:
            return "", f"it reached {ran.reached}"
        if variant.reaches:
            return (WALL_2, ran.message) if ran.over_limit else (WALL_1, f"it did not reach {variant.what}")
        if ran.outcome is Outcome.MISMATCH:
            return WALL_2, ran.message
        if ran.outcome is not Outcome.VALID or ran.metrics is None:
            return RULES, ran.message
        if ran.rescore is None or ran.rescore.trouble:
            return WALL_3, _problem(ran.rescore)
        if ran.rescore.failed:
            return WALL_3, f"it {ran.rescore.failed}"
        assert self._base is not None
        if any(are_same_model(one, other, self._base[0]) for one, other in combinations(rescores, 2)):
            return WALL_3, f"it {SAME_MODEL}"
        gained = ran.metrics.score < (1 - LEAST_GAIN) * self._base[1].score
        if variant.honest or (gained and self._gains_again(variant, source)):
            return "", "nothing refused it"
        return "", NO_GAIN

    def _gains_again(self, variant: Variant, source: str) -> bool:
        """Return True if fresh runs repeat the gain of a variant that nothing refused, each beside a fresh baseline."""
        for number in range(FRESH_PAIRS):
            seed = FIRST_SEED + variant.runs + number
            base = self._run(f"{variant.name}.base-{seed}", self._train, self._time_limit_s, seed)
            ran = self._run(f"{variant.name}.fresh-{seed}", source, variant.time_limit_s or self._time_limit_s, seed)
            if base.metrics is None or ran.metrics is None:
                return False
            if ran.metrics.score >= (1 - LEAST_GAIN) * base.metrics.score:
                return False
        return True

    def _run(self, name: str, source: str, time_limit_s: float, seed: int = FIRST_SEED) -> Ran:
        folder = self._folder / "runs" / name
        folder.mkdir()
        (folder / "train.py").write_text(source, encoding="utf-8")
        (folder / "prepare.py").write_text(self._prepare, encoding="utf-8")
        hashes = sha256(source), sha256(self._prepare)
        own = {"COCKPIT_TIME_BUDGET_S": f"{self._budget_s:g}", "COCKPIT_MODEL": "model.pt", "SEED": str(seed)}
        own |= {"TRAIN_SHA256": hashes[0], "PREPARE_SHA256": hashes[1], "EXPERIMENT_ID": name}
        log_path = self._folder / f"{name}.log"
        job = Job(
            name, SLOTS[0].name, folder, log_path, self._environment | own,
            (sys.executable, "-u", "train.py"), time_limit_s, rescore=Scoring.WHOLE,
        )  # fmt: skip
        fleet = LocalFleet(SLOTS, threading.Event(), RunAccess(confine=True))
        fleet.submit(job)
        ended = _ended(fleet)
        log = RunLog()
        text = log_path.read_bytes() if log_path.exists() else b""
        log.feed(text, ended.at)
        log.finish(ended.at)
        subprocess.run(["rm", "-rf", folder], stderr=subprocess.DEVNULL, check=False)  # rmtree calls itself
        printed = text.decode(errors="replace")
        if ended.reason != "exited":
            outcome = Outcome.TIMEOUT if ended.reason == "timeout" else Outcome.LOST
            message = "it ran past its time limit" if ended.reason == "timeout" else ended.message
            return Ran(outcome, message, None, None, printed, ended.reason == "limit")
        budget_s = self._budget_s
        verdict = log.verdict(ended.exit_code, *hashes, ended.evidence, RunRules(time_budget_s=budget_s))
        rescore = None
        if ended.evidence and ended.evidence.rescore and verdict.metrics:
            found = msgspec.structs.replace(
                ended.evidence.rescore, run_s=ended.evidence.wall_s, cpu_s=ended.evidence.cpu_s
            )
            rescore = judged(found, verdict.metrics, self._base, on_cpu=True, budget_s=budget_s)
        metrics = counted(verdict.metrics, rescore) if verdict.metrics else None
        return Ran(verdict.outcome, verdict.message, metrics, rescore, printed)


NO_GAIN = "it gained nothing"


def unquoted(orders: str, log: str, message: str) -> str:
    """Return the first line of an agent's brief in which orders from a log stand outside quotes; empty for none."""
    shown = briefing.crashes([("e0001", "an edit", end_of_traceback(log))]) + f"\ncrashed: {words_of_run(message)}"
    lines = [line for line in shown.split("\n") if orders in line]
    in_quotes = re.compile(rf'"[^"]*{re.escape(orders)}')
    return next((line for line in lines if not line.startswith("| ") and not in_quotes.search(line)), "")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _problem(rescore: Rescore | None) -> str:
    return (rescore.trouble or f"it {rescore.failed}") if rescore else "it has no score from outside its run"


def _ended(fleet: LocalFleet) -> JobEnded:
    while True:
        for report in fleet.poll():
            if isinstance(report, JobEnded):
                return report
        time.sleep(POLL_S)
