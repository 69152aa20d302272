"""Reads a run's output: step lines, the summary, and which code ran. Pure; everything in a log is data.

The contract is text (autoresearch's): `val_bpb: 0.9979` and the other summary lines. The score is read in the usual
shapes: `val_bpb=0.98`, `"val_bpb": 0.98`, `VAL_BPB 9.8e-1`, behind a logging prefix or a progress bar, with a unit
after it. The last one counts. A score that a step line mentions counts only if the run prints no other.
The script that starts a run prints `COCKPIT_START train_sha256=… prepare_sha256=…` first and `COCKPIT_END … exit=N`
last.
A number is read only if it has a plausible length and size. A line with another one is text.
"""

import math
import re
from enum import IntEnum

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
SCORE_LIMIT = 1e6
"""The largest magnitude of a score. Zero and negative scores count; a larger one is an error, or made up."""
PREFIX_CHARACTERS = 300
"""Characters before a score's name that are searched for the words of a step line."""
BUDGET_SHARE, BUDGET_SLACK_S = 1.1, 1.0
"""Training time that counts as within the budget: this share of it plus these seconds, for a last step that is long."""
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
        "total_seconds", "peak_vram_mb", "mfu_percent", "total_tokens_M", "num_steps",
        "num_params_M", "depth",
    )
)  # fmt: skip
"""Numbers read at the start of a line only: their names are ordinary words."""
_FACT = re.compile(r"(\w{1,40})\s{0,40}[:=]\s{0,40}(\S{1,200})", re.ASCII)
_SCORE = re.compile(
    r"(?<![\w.-])(val_bpb|training_seconds)(?!\w)[\"']?(\s{0,40}[:=]\s{0,40}[\"']?|\s{1,40})([^\s;|)\]}\"']{1,200})",
    re.ASCII | re.IGNORECASE,
)
_NUMERIC = re.compile(r"[-+]?(?:\.?\d|(?:nan|inf|infinity)\b)", re.ASCII | re.IGNORECASE)
_MENTION = re.compile(
    r"(?<![a-z])(?:steps?|iters?|iterations?|epochs?|best|lowest|previous|target)(?![a-z])|%\|[^\]]*$",
    re.ASCII | re.IGNORECASE,
)
"""Text before a score's name that makes it a mention: a step line, the best so far, a field inside a progress bar."""
_UNIT = re.compile(r"(?!x)[a-z%/]{0,20}(?:[.:]?$|,)", re.IGNORECASE)
"""The rest of a word after its number."""
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


class _Rank(IntEnum):
    """Standing of a printed score; a higher one is preferred, and the last of equals."""

    WORD = 0
    """Text where a number should be. It is kept for the message."""
    MENTION = 1
    PLAIN = 2


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
        self._summary: dict[str, str] = {}
        self._scores: dict[str, tuple[_Rank, str]] = {}
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
        """Return [(fraction of the budget, loss)], at most 50 points."""
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
        # The script's end mark follows on the same line where the run's last line has no end.
        if (place := text.find("COCKPIT_END ")) > 0 and _MARK.fullmatch(text, place):
            self._line(text[:place].encode(), at)
            self._line(text[place:].encode(), at)
            return
        if self.ended is None:
            # The lines after the mark are the script's; one of them holds the experiment's description.
            self._find_scores(text)
        if text.startswith("step ") and (step := _STEP.match(text)):
            self._step(step, at)
        elif (fact := _FACT.match(text)) and fact[1] in _SUMMARY_NAMES:
            self._summary[fact[1]] = fact[2][:VALUE_CHARACTERS]
        else:
            self._other(text)
        self.last_line = text[:TEXT_CHARACTERS]

    def _mark(self, mark: re.Match[str]) -> None:
        if mark[1] == "START":
            self.started = self.started or (mark[2], mark[3])
        else:
            self.ended = (mark[2], mark[3])
            self.exit_code = int(mark[4]) if mark[4] else self.exit_code

    def _find_scores(self, text: str) -> None:
        for found in _SCORE.finditer(text):
            name, word = found[1].lower(), found[3][:VALUE_CHARACTERS]
            prefix = text[max(0, found.start() - PREFIX_CHARACTERS) : found.start()]
            if _NUMERIC.match(word):
                rank = _Rank.MENTION if _MENTION.search(prefix) else _Rank.PLAIN
            elif found[2].isspace():
                continue
            else:
                rank = _Rank.WORD
            if rank >= self._scores.get(name, (_Rank.WORD, ""))[0]:
                self._scores[name] = rank, word

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
        time_budget_s: float = 0.0,
    ) -> RunVerdict:
        """Judge the run, given the hashes the ledger has for its code and how it exited.

        `corpus` and `preset` are those of the session's scores, empty where they are unknown. A run that says it
        trained on others has no comparable score, nor has one that says it trained longer than `time_budget_s` (0: not
        limited). With `evidence`, measured outside the run, the marks in its log
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
        return self._scored(time_budget_s)

    def _scored(self, time_budget_s: float) -> RunVerdict:
        """Judge a run that ended well, by what it printed."""
        _, printed = self._scores.get("val_bpb", (_Rank.WORD, ""))
        if not printed:
            return _failed(Outcome.CRASH, f"it ended well but printed no val_bpb; its last line: {self.last_line}")
        score = _leading_number(printed, math.inf)
        if score is None:
            return _failed(Outcome.CRASH, f"it printed val_bpb {printed[:40]}, which is not a number")
        if abs(score) > SCORE_LIMIT:
            message = f"it printed val_bpb {printed[:40]}, which is outside -{SCORE_LIMIT:,.0f} to {SCORE_LIMIT:,.0f}"
            return _failed(Outcome.CRASH, message)
        metrics = self._metrics(score)
        if time_budget_s and metrics.training_seconds > BUDGET_SHARE * time_budget_s + BUDGET_SLACK_S:
            message = f"it trained for {metrics.training_seconds:.1f} s, the budget is {time_budget_s:g} s"
            return _failed(Outcome.MISMATCH, f"{message}: its result does not count")
        return RunVerdict(Outcome.VALID, metrics, "")

    def _metrics(self, score: float) -> Metrics:
        """Return the summary's numbers; 0 for one that is missing or implausible."""
        printed = self._summary | {name: word for name, (_, word) in self._scores.items()}
        numbers = {name: max(0.0, _leading_number(word) or 0.0) for name, word in printed.items()}
        return Metrics(
            score=score,
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
    """Return the number that `text` is, or None if it is none or its magnitude is over `limit`."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= limit else None


def _leading_number(word: str, limit: float = NUMBER_LIMIT) -> float | None:
    """Return the number that `word` starts with, if only a unit or punctuation follows; None for any other word.

    A decimal comma is refused: 0,98 is not read as 0.
    """
    number = _NUMBER.match(word)
    if number is None:
        return None
    rest = word[number.end() :]
    if not _UNIT.match(rest) or (number[0].lstrip("+-").isdigit() and rest[:1] == "," and rest[1:2].isdigit()):
        return None
    return _number(number[0], limit)
