"""Reads a run's output: step lines, the summary, and which code ran. Pure; everything in a log is data.

The contract is text (autoresearch's): `val_bpb: 0.9979` and the other summary lines, each once, at the start of a line.
The script that starts a run prints `COCKPIT_START train_sha256=… prepare_sha256=…` first and `COCKPIT_END … exit=N`
last.
A number is read only if it has a plausible length and size. A line with another one is text.
"""

import math
import re

import msgspec

from cockpit.core.curves import Point, thin
from cockpit.core.model import Metrics, Outcome, Progress
from cockpit.fleet.base import Evidence

LINE_BYTES = 65_536
"""Bytes kept of a line; no line of the contract is longer."""
TEXT_CHARACTERS = 300
"""Characters kept of an error or of the last line."""
VALUE_CHARACTERS = 100
"""Characters kept of a summary value; no plausible number is longer."""
SCORE_RANGE = (1e-3, 1e3)
"""Plausible val_bpb. An untrained model over 8,192 tokens has about 4; a score outside is an error, or made up."""
NUMBER_LIMIT = 1e12
"""The largest magnitude of any other printed number."""
LOSS_LIMIT = 1e6

_ENDS = re.compile(rb"\r\n|\n|\r")
"""Line ends. Upstream's train.py ends its step lines with a carriage return alone, so each of these is one."""
_STEP = re.compile(r"step (\d{1,12}) \((\d{1,3}(?:\.\d{1,9})?)%\) \| loss: ([-+\w.]{1,40})(?![-+\w.])(.*)", re.ASCII)
_FIELD = re.compile(
    r"\| (?:(dt): (\d{1,12})ms|(tok/sec): ([\d,]{1,16})(?![\w.,])|(mfu): ([\d.]{1,12})%|(remaining): (\d{1,12})s)",
    re.ASCII,
)
_SUMMARY_NAMES = frozenset(
    (
        "val_bpb", "training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent", "total_tokens_M", "num_steps",
        "num_params_M", "depth",
    )
)  # fmt: skip
_MARK = re.compile(
    r"COCKPIT_(START|END) train_sha256=(\w{0,128}) prepare_sha256=(\w{0,128})(?: exit=(-?\d{1,4}))?(?! exit=)(?=\s|$)",
    re.ASCII,
)
_CORPUS = re.compile(r"corpus: (\S{1,100}) vocab \d+ fingerprint ([0-9a-f]{8})", re.ASCII)
_PRESET = re.compile(r"preset: (\S{1,100}) budget")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*|FAIL\b.*|.*out of memory.*)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?", re.ASCII)

_CURVE_RAW = 400


class RunVerdict(msgspec.Struct, frozen=True):
    """The result of a run: its outcome, its metrics if it is valid, else one sentence that says why not."""

    outcome: Outcome
    metrics: Metrics | None
    message: str


class _Printed(msgspec.Struct):
    """A summary line's values: the first, the last, and how many there were."""

    first: str
    last: str
    times: int = 1


class RunLog:
    """The facts a run's output has given so far. Feed it the bytes as they come, in any pieces.

    Memory and time a byte are bounded for any output.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.started: tuple[str, str] | None = None
        """(train_hash, prepare_hash) printed at the start."""
        self.ended: tuple[str, str] | None = None
        self.exit_code: int | None = None
        self.corpus = ""
        """The text the run trains on, with its fingerprint, as the run printed it."""
        self.preset = ""
        self.last_error = ""
        self.last_line = ""
        self._points: list[Point] = []
        self._summary: dict[str, _Printed] = {}
        self._rest = b""
        self._cut = False

    def feed(self, data: bytes, at: float) -> None:
        """Take in more output, read at `at`."""
        *lines, rest = _ENDS.split(self._rest + data)
        for line in lines:
            if self._cut:
                self._cut = False
                continue
            self._line(line, at)
        if self._cut:
            rest = b""
        elif len(rest) > LINE_BYTES:
            self._line(rest[:LINE_BYTES], at)
            rest, self._cut = b"", True
        self._rest = rest

    def finish(self, at: float) -> None:
        """Take in a last line that has no end."""
        if self._rest:
            self._line(self._rest, at)
            self._rest = b""

    def curve(self) -> list[Point]:
        """[(fraction of the budget, loss)], at most 50 points."""
        return thin(self._points)

    def _line(self, raw: bytes, at: float) -> None:
        text = raw[:LINE_BYTES].decode("utf-8", "replace")
        if "\x1b" in text:
            text = _ESCAPES.sub("", text)
        text = text.strip()
        if not text:
            return
        if text.startswith("COCKPIT_") and (mark := _MARK.match(text)):
            self._mark(mark)
            return
        if text.startswith("step ") and (step := _STEP.match(text)):
            self._step(step, at)
        elif not self._summary_line(text):
            self._other(text)
        self.last_line = text[:TEXT_CHARACTERS]

    def _mark(self, mark: re.Match[str]) -> None:
        if mark[1] == "START":
            self.started = self.started or (mark[2], mark[3])
        else:
            self.ended = (mark[2], mark[3])
            self.exit_code = int(mark[4]) if mark[4] else self.exit_code

    def _summary_line(self, text: str) -> bool:
        """Take in a line of the summary; False if it is another line."""
        name, colon, value = text[:300].partition(":")
        if not colon or name not in _SUMMARY_NAMES or not value[:1].isspace():
            return False
        word = value.split(maxsplit=1)[0][:VALUE_CHARACTERS]
        if printed := self._summary.get(name):
            printed.last, printed.times = word, printed.times + 1
        else:
            self._summary[name] = _Printed(word, word)
        return True

    def _other(self, text: str) -> None:
        if corpus := _CORPUS.match(text):
            self.corpus = self.corpus or f"{corpus[1]} {corpus[2]}"
        elif preset := _PRESET.match(text):
            self.preset = self.preset or preset[1]
        elif _ERROR.match(text):
            self.last_error = text[:TEXT_CHARACTERS]

    def _step(self, step: re.Match[str], at: float) -> None:
        loss = _number(step[3], LOSS_LIMIT)
        fields = {m[1] or m[3] or m[5] or m[7]: m[2] or m[4] or m[6] or m[8] for m in _FIELD.finditer(step[4][:500])}
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
    ) -> RunVerdict:
        """Judge the run, given the hashes the ledger has for its code and how it exited.

        `corpus` and `preset` are those of the session's scores, empty where they are unknown. A run that says it
        trained on others has no comparable score. With `evidence`, measured outside the run, the marks in its log
        are ignored: the run may have forged them.
        """
        code = exit_code if exit_code is not None else self.exit_code
        wanted = (train_hash, prepare_hash)
        if evidence is not None:
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
        return self._scored()

    def _scored(self) -> RunVerdict:
        """Judge a run that ended well, by what it printed."""
        printed = self._summary.get("val_bpb")
        if printed is None:
            return _failed(Outcome.CRASH, f"it ended well but printed no val_bpb; its last line: {self.last_line}")
        if printed.times > 1:
            return _failed(Outcome.CRASH, f"it printed val_bpb {printed.times} times: print it once, at the end")
        score = _number(printed.first, math.inf)
        if score is None:
            return _failed(Outcome.CRASH, f"it printed val_bpb {printed.first[:40]}, which is not a number")
        low, high = SCORE_RANGE
        if not low <= score <= high:
            return _failed(
                Outcome.CRASH, f"it printed val_bpb {printed.first[:40]}, which is outside {low:g} to {high:g}"
            )
        return RunVerdict(Outcome.VALID, self._metrics(score), "")

    def _metrics(self, score: float) -> Metrics:
        """The summary's numbers; 0 for one that is missing or implausible."""
        numbers = {name: max(0.0, _number(printed.last) or 0.0) for name, printed in self._summary.items()}
        return Metrics(
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


def _hashes(files: dict[str, str]) -> tuple[str, str]:
    return files.get("train.py", ""), files.get("prepare.py", "")


def _failed(outcome: Outcome, message: str) -> RunVerdict:
    return RunVerdict(outcome, None, message)


def _number(text: str, limit: float = NUMBER_LIMIT) -> float | None:
    """The number that `text` is, or None if it is none or its magnitude is over `limit`."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= limit else None
