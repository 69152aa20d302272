"""Reading a run's output: step lines, the summary, and which code ran. Pure; whatever a log holds is data.

The contract is text (autoresearch's): `val_bpb: 0.9979` and the other summary lines, each once, at the start of a line.
What starts the run prints `COCKPIT_START train_sha256=… prepare_sha256=…` first and `COCKPIT_END … exit=N` last.
"""

import math
import re

import msgspec

from cockpit.core.fold.runs import thin
from cockpit.core.model import Metrics, Outcome, Point, Progress
from cockpit.fleet.base import Evidence

LINE_BYTES = 65_536
"""A longer line is cut: it cannot be one of ours."""

_ENDS = re.compile(rb"\r\n|\n|\r")
"""Upstream's train.py ends its step lines with a carriage return alone: each is a line, or a run would show nothing
until its end."""
_STEP = re.compile(r"^step (\d+) \((\d+(?:\.\d+)?)%\) \| loss: ([-+\w.]+)(.*)")
_FIELD = re.compile(r"\| (?:(dt): (\d+)ms|(tok/sec): ([\d,]+)|(mfu): ([\d.]+)%|(remaining): (\d+)s)")
_SUMMARY = re.compile(
    r"^(val_bpb|\w+_seconds|peak_vram_mb|mfu_percent|total_tokens_M|num_steps|num_params_M|depth):\s+(\S+)"
)
_MARK = re.compile(r"^COCKPIT_(START|END) train_sha256=(\w*) prepare_sha256=(\w*)(?: exit=(-?\d+))?")
_CORPUS = re.compile(r"^corpus: (\S+) vocab \d+ fingerprint ([0-9a-f]{8})")
_PRESET = re.compile(r"^preset: (\S+) budget")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_ERROR = re.compile(r"^(?:[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*|FAIL\b.*|.*out of memory.*)", re.IGNORECASE)

_CURVE_RAW = 400


class Verdict(msgspec.Struct, frozen=True):
    outcome: Outcome
    metrics: Metrics | None
    message: str


class RunLog:
    """What a run's output has said so far. Feed it the bytes as they come, in any pieces."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.started: tuple[str, str] | None = None
        """(train_hash, prepare_hash) printed at the start."""
        self.ended: tuple[str, str] | None = None
        self.exit_code: int | None = None
        self.corpus = ""
        """Which text it said it trains on, with its fingerprint."""
        self.preset = ""
        self.last_error = ""
        self.last_line = ""
        self._points: list[Point] = []
        self._summary: dict[str, list[str]] = {}
        self._rest = b""
        self._cut = False

    def feed(self, data: bytes, at: float) -> None:
        """More output, read at `at`."""
        *lines, rest = _ENDS.split(self._rest + data)
        for line in lines:
            if self._cut:
                self._cut = False
                continue
            self._line(line, at)
        if len(rest) > LINE_BYTES:
            self._line(rest[:LINE_BYTES], at)
            rest, self._cut = b"", True
        self._rest = rest

    def finish(self, at: float) -> None:
        """There is no more: a last line without an end counts."""
        if self._rest:
            self._line(self._rest, at)
            self._rest = b""

    def curve(self) -> list[Point]:
        """[(fraction of the budget, loss)], at most 50 points."""
        return thin(self._points)

    def _line(self, raw: bytes, at: float) -> None:
        text = _ESCAPES.sub("", raw[:LINE_BYTES].decode("utf-8", "replace")).strip()
        if not text:
            return
        if step := _STEP.match(text):
            self._step(step, at)
        elif summary := _SUMMARY.match(text):
            self._summary.setdefault(summary[1], []).append(summary[2])
        elif mark := _MARK.match(text):
            if mark[1] == "START":
                self.started = self.started or (mark[2], mark[3])
            else:
                self.ended = (mark[2], mark[3])
                self.exit_code = int(mark[4]) if mark[4] else self.exit_code
            return
        elif corpus := _CORPUS.match(text):
            self.corpus = self.corpus or f"{corpus[1]} {corpus[2]}"
        elif preset := _PRESET.match(text):
            self.preset = self.preset or preset[1]
        elif _ERROR.match(text):
            self.last_error = text[:300]
        self.last_line = text[:300]

    def _step(self, step: re.Match[str], at: float) -> None:
        loss = _number(step[3])
        fields = {m[1] or m[3] or m[5] or m[7]: m[2] or m[4] or m[6] or m[8] for m in _FIELD.finditer(step[4])}
        progress = Progress(
            at=at,
            step=int(step[1]),
            fraction=min(1.0, float(step[2]) / 100),
            loss=loss if loss is not None else 0.0,
            ms_per_step=float(fields.get("dt", 0)),
            tokens_per_s=float(fields.get("tok/sec", "0").replace(",", "") or 0),
            mfu_percent=_number(fields.get("mfu", "0")) or 0.0,
            remaining_s=float(fields.get("remaining", 0)),
        )
        self.progress = progress
        if loss is not None and (not self._points or progress.fraction > self._points[-1][0]):
            self._points.append((progress.fraction, loss))
            if len(self._points) > _CURVE_RAW:
                self._points = thin(self._points, _CURVE_RAW // 2)

    def verdict(
        self,
        exit_code: int | None,
        train_hash: str,
        prepare_hash: str,
        corpus: str = "",
        preset: str = "",
        evidence: Evidence | None = None,
    ) -> Verdict:
        """What the run was worth, given the hashes the ledger has for its code and how it exited.

        `corpus` and `preset` are what the session's scores are of, empty where that is not known: a run that says it
        trained on others has none to compare.
        """
        code = exit_code if exit_code is not None else self.exit_code
        wanted = (train_hash, prepare_hash)
        if evidence is not None:
            # Measured from outside: marks in the log are then text that a run may have forged.
            self.started, self.ended = _hashes(evidence.before), _hashes(evidence.after)
            if touched := [name for name in evidence.changed if name in evidence.before]:
                return _failed(
                    Outcome.MISMATCH, f"it changed {', '.join(touched)} while it ran: its result does not count"
                )
        if self.started is not None and self.started != wanted:
            return _failed(Outcome.MISMATCH, "it started with code that is not the ledger's: its result does not count")
        if self.ended is not None and self.ended != wanted:
            return _failed(Outcome.MISMATCH, "its code was changed while it ran: its result does not count")
        if code != 0:
            why = self.last_error or self.last_line or "it printed nothing"
            shown = "without an exit code" if code is None else f"with exit code {code}"
            return _failed(Outcome.CRASH, f"it ended {shown}: {why}")
        if self.started is None or self.ended is None:
            return _failed(Outcome.MISMATCH, "it did not print which code it ran: its result does not count")
        for what, said, wanted_here in (("corpus", self.corpus, corpus), ("preset", self.preset, preset)):
            if said and wanted_here and said != wanted_here:
                message = f"it trained on the {what} {said}, the session's is {wanted_here}: its result does not count"
                return _failed(Outcome.MISMATCH, message)
        return self._valid()

    def _valid(self) -> Verdict:
        printed = self._summary.get("val_bpb", [])
        if not printed:
            return _failed(Outcome.CRASH, f"it ended well but printed no val_bpb; its last line: {self.last_line}")
        if len(printed) > 1:
            return _failed(Outcome.CRASH, f"it printed val_bpb {len(printed)} times: print it once, at the end")
        score = _number(printed[0])
        if score is None or score <= 0:
            return _failed(Outcome.CRASH, f"it printed val_bpb {printed[0][:40]}, which is no score")
        numbers = {name: _number(values[-1]) or 0.0 for name, values in self._summary.items()}
        metrics = Metrics(
            val_bpb=score,
            training_seconds=numbers.get("training_seconds", 0.0),
            total_seconds=numbers.get("total_seconds", 0.0),
            peak_vram_mb=numbers.get("peak_vram_mb", 0.0),
            mfu_percent=numbers.get("mfu_percent", 0.0),
            total_tokens_M=numbers.get("total_tokens_M", 0.0),
            num_steps=int(numbers.get("num_steps", 0)),
            num_params_M=numbers.get("num_params_M", 0.0),
            depth=int(numbers.get("depth", 0)),
        )
        return Verdict(Outcome.VALID, metrics, "")


def _hashes(files: dict[str, str]) -> tuple[str, str]:
    return files.get("train.py", ""), files.get("prepare.py", "")


def _failed(outcome: Outcome, message: str) -> Verdict:
    return Verdict(outcome, None, message)


def _number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
