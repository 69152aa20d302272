"""Reads a run's output: step lines, the summary, and the code that ran. Pure; everything in a log is data.

The contract is text (autoresearch's): `val_bpb: 0.9979` and the other summary lines. `printed_values` reads the metric
and the second metrics of the session, `printed_steps` its step lines. The script that starts a run prints
`COCKPIT_START train_sha256=… prepare_sha256=…` first and `COCKPIT_END … exit=N` last. Only numbers of a plausible
length and size are read.
"""

import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import msgspec

from cockpit.core.curves import Point, rounded, thin
from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.model import Metrics, Outcome, Progress
from cockpit.core.plausible import LARGEST
from cockpit.core.units import factor, unit_in_name
from cockpit.fleet.base import Evidence, Scored
from cockpit.fleet.node.command import NO_PROGRAM, NOT_STARTED
from cockpit.fleet.printed_numbers import Number, leading_number, number_of
from cockpit.fleet.printed_steps import PrintedSteps
from cockpit.fleet.printed_values import TRAINING_SECONDS, VALUE_CHARACTERS, PrintedValues

LINE_BYTES = 65_536
"""Bytes kept of a line; no line of the contract is longer."""
TEXT_CHARACTERS = 300
"""Characters kept of an error or of the last line."""
BUDGET_SHARE, SLACK_SHARE, SLACK_STEPS, SLACK_S = 1.1, 0.25, 1.5, 1.0
"""The training time that counts as within the budget: a share of it, and a slack for its last step. That is a share
of the budget or these steps of the run, and at most a second."""

_ENDS = re.compile(rb"\r\n|\n|\r|\x08+")
"""Line ends. Upstream's train.py ends its step lines with a carriage return alone, so each of these is one. A bar of
Keras writes over itself by backspaces."""
_SUMMARY_NAMES = frozenset(
    (
        "total_seconds", "peak_vram_mb", "mfu_percent", "total_tokens_M", "num_steps",
        "num_params_M", "depth",
    )
)  # fmt: skip
"""Numbers read at the start of a line only: their names are ordinary words."""
_FACT = re.compile(r"(\w{1,40})\s{0,40}[:=]\s{0,40}(\S.{0,199})", re.ASCII)
_MARK = re.compile(
    r"COCKPIT_(START|END) train_sha256=(\w{0,128}) prepare_sha256=(\w{0,128})(?: exit=(-?\d{1,4}))?(?! exit=)(?=\s|$)",
    re.ASCII,
)
_CORPUS = re.compile(r"corpus: (\S{1,100}) vocab \d+ fingerprint ([0-9a-f]{8})", re.ASCII)
_PRESET = re.compile(r"preset: (\S{1,100}) budget")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]+[0-~]|\x1b[@-_]")
_HAS_DIGIT = re.compile(r"\D{0,40}\d")
_ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*|FAIL\b.*|.*out of memory.*)", re.IGNORECASE)


class RunRules(msgspec.Struct, frozen=True):
    """The rules that a session's runs must keep for comparable scores."""

    corpus: str = ""
    """The corpus of the session's scores; empty if it is unknown."""
    preset: str = ""
    time_budget_s: float = 0.0
    """The training time; 0 for no limit."""
    script: str = "train.py"
    others: Mapping[str, str] = {}
    """The ledger's hashes of files beside the script and prepare.py, by path."""


NO_RULES = RunRules()


class RunVerdict(msgspec.Struct, frozen=True):
    """The result of a run: its outcome, and its metrics if it is valid, else the reason in one sentence."""

    outcome: Outcome
    metrics: Metrics | None
    message: str


_ENDED_BY = {"timeout": "did not end within its time limit", "cancelled": "was ended before it had a score"}
"""The words for a score command that did not exit, by the reason."""


class RunLog:
    """The facts in a run's output so far. It is fed with bytes in any pieces.

    Memory, and time per byte, are bounded for any output.
    """

    def __init__(self, metric: Metric = VAL_BPB) -> None:
        self.metric = metric
        self.values = PrintedValues(metric)
        self.steps = PrintedSteps(metric)
        self.started: tuple[str, str] | None = None
        """(train_hash, prepare_hash) printed at the start."""
        self.ended: tuple[str, str] | None = None
        self.exit_code: int | None = None
        self.corpus = ""
        """The text the run trains on, with its fingerprint, as the run printed it."""
        self.preset = ""
        self.last_error = ""
        self.last_line = ""
        self._summary: dict[str, str] = {}
        self._rest = b""
        self._cut = False

    def feed(self, data: bytes, at: float) -> None:
        """Read more output, which arrived at `at`."""
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
        """Read a last line that has no line end."""
        if self._rest:
            self._line(self._rest, at)
            self._rest = b""

    def curve(self) -> list[Point]:
        """Return [(fraction of the budget, loss)], at most 50 points."""
        return rounded(thin(self.steps.points))

    @property
    def progress(self) -> Progress | None:
        """The newest step."""
        return self.steps.progress

    def _line(self, raw: bytes, at: float) -> None:
        text = raw[:LINE_BYTES].decode("utf-8", "replace")
        if "\x1b" in text:
            text = _ESCAPES.sub("", text)
        text = text.strip()
        if not text or self.steps.read_device(text):
            return
        if text.startswith("COCKPIT_") and (mark := _MARK.match(text)):
            self._mark(mark)
            return
        # If the run's last line has no line end, the end mark follows on the same line.
        if (place := text.find("COCKPIT_END ")) > 0 and _MARK.fullmatch(text, place):
            self._line(text[:place].encode(), at)
            self._line(text[place:].encode(), at)
            return
        if self.ended is None:
            # After the mark, the lines are those of the starting script, which print the experiment's description.
            self.values.read(text)
        if not self.steps.read(text, at):
            self._fact(text)
        self.last_line = text[:TEXT_CHARACTERS]

    def _mark(self, mark: re.Match[str]) -> None:
        if mark[1] == "START":
            self.started = self.started or (mark[2], mark[3])
        else:
            if self.ended is None or self.ended == self.started:  # a later mark cannot undo a change of the code
                self.ended = (mark[2], mark[3])
            self.exit_code = int(mark[4]) if mark[4] else self.exit_code

    def _fact(self, text: str) -> None:
        if (fact := _FACT.match(text)) and fact[1] in _SUMMARY_NAMES:
            self._summary[fact[1]] = fact[2][:VALUE_CHARACTERS]
        elif corpus := _CORPUS.match(text):
            self.corpus = self.corpus or f"{corpus[1]} {corpus[2]}"
        elif preset := _PRESET.match(text):
            self.preset = self.preset or preset[1]
        elif _ERROR.match(text):
            self.last_error = text[:TEXT_CHARACTERS]

    def verdict(
        self,
        exit_code: int | None,
        train_hash: str,
        prepare_hash: str,
        evidence: Evidence | None = None,
        rules: RunRules = NO_RULES,
    ) -> RunVerdict:
        """Judge the run by its exit code, the ledger's hashes of its code and the session's rules.

        With `evidence`, measured outside the run, the marks in its log are ignored, because the run may have forged
        them.
        """
        code = exit_code if exit_code is not None else self.exit_code
        if evidence is not None:
            self.started, self.ended = _hashes(evidence.before, rules.script), _hashes(evidence.after, rules.script)
        if mismatch := self._other_code((train_hash, prepare_hash), evidence, rules.others):
            return _failed(Outcome.MISMATCH, f"{mismatch}: its result does not count")
        if code != 0:
            why = self.last_error or self.last_line or "it printed nothing"
            return _failed(Outcome.CRASH, f"it {_end_of('exited', code, why)}")
        if self.started is None or self.ended is None:
            return _failed(Outcome.MISMATCH, "it did not print which code it ran: its result does not count")
        for what, said, wanted_here in (("corpus", self.corpus, rules.corpus), ("preset", self.preset, rules.preset)):
            if said and wanted_here and said != wanted_here:
                message = f"it trained on the {what} {said}, the session's is {wanted_here}: its result does not count"
                return _failed(Outcome.MISMATCH, message)
        if evidence is None:
            return self._scored(rules.time_budget_s, None)
        return self._scored(rules.time_budget_s, evidence.scored, evidence.cut_bytes)

    def _other_code(self, wanted: tuple[str, str], evidence: Evidence | None, others: Mapping[str, str]) -> str:
        """Return how the code that ran differs from the ledger's, in a clause; empty if it does not."""
        if evidence is not None:
            if touched := [name for name in evidence.changed if name in evidence.before]:
                return f"it changed {', '.join(touched)} while it ran"
            if strange := [name for name, digest in others.items() if evidence.before.get(name) != digest]:
                return f"{', '.join(strange[:3])} is not the ledger's"
        if self.started is not None and self.started != wanted:
            return "it started with code that is not the ledger's"
        return "its code was changed while it ran" if self.ended is not None and self.ended != wanted else ""

    def _scored(self, time_budget_s: float, scored: Scored | None, cut_bytes: float = 0.0) -> RunVerdict:
        """Judge a run that ended well, by its own output or that of its score command."""
        if not self.metric.score_command:
            return self._judged(self, "it", time_budget_s, cut_bytes)
        if scored is None:
            return _failed(Outcome.CRASH, "nothing ran its score command")
        printed = RunLog(self.metric)
        printed.feed(scored.output.encode(), 0.0)
        printed.finish(0.0)
        if scored.reason != "exited" or scored.exit_code != 0:
            why = scored.message or printed.last_error or printed.last_line or "it printed nothing"
            return _failed(Outcome.CRASH, f"its score command {_end_of(scored.reason, scored.exit_code, why)}")
        return self._judged(printed, "its score command", time_budget_s, scored.cut_bytes)

    def _judged(self, log: "RunLog", who: str, time_budget_s: float, cut_bytes: float = 0.0) -> RunVerdict:
        """Judge by the values in a log: this one, or that of the score command. `who` names it in messages."""
        name, printed = self.metric.name, log.values.word(self.metric.name)
        if question := log.values.question(name):
            return _failed(Outcome.CRASH, f"{who} ended well, and {question}")
        if not printed:
            last = f"its last line: {log.last_line}" if log.last_line else "it printed nothing"
            if cut_bytes:
                last = (
                    f"{_megabytes(cut_bytes)} of its output are not in its log: print the score last, and less before"
                )
            pattern = self.metric.pattern
            lacks = f"printed no {name}"
            if pattern:
                where = "the group is empty on each line that matches" if log.values.names(name) else "no line matches"
                lacks = f"{where} the pattern {pattern!r} of {name}"
            return _failed(Outcome.CRASH, f"{who} ended well but {lacks}; {last}")
        number = log.values.number(name, math.inf)
        if number is None:
            is_shape = not self.metric.pattern and _HAS_DIGIT.match(printed) and not number_of(printed, math.inf)
            remedy = ": give --pattern" if is_shape else ""
            return _failed(Outcome.CRASH, f"{who} printed {name} {printed[:40]}, which is not a number{remedy}")
        if abs(number.value) > LARGEST:
            message = f"{who} printed {name} {printed[:40]}, which is outside -{LARGEST:.0e} to {LARGEST:.0e}"
            return _failed(Outcome.CRASH, message)
        metrics = self._metrics(number, log)
        if late := _past_budget(metrics, time_budget_s):
            return _failed(Outcome.MISMATCH, late)
        return RunVerdict(Outcome.VALID, metrics, "")

    def _metrics(self, number: Number, log: "RunLog") -> Metrics:
        """Return the summary's numbers; 0 for one that is missing or implausible."""
        numbers = {name: max(0.0, _in_its_unit(name, leading_number(word))) for name, word in self._summary.items()}
        read = {name: log.values.number(name) or self.values.number(name) for name in self.metric.others}
        others = {name: one for name, one in read.items() if one is not None}
        trained = self.values.number(TRAINING_SECONDS)
        return Metrics(
            score=number.value,
            unit=number.unit,
            training_seconds=max(0.0, _in_its_unit(TRAINING_SECONDS, trained)),
            total_seconds=numbers.get("total_seconds", 0.0),
            peak_vram_mb=numbers.get("peak_vram_mb", 0.0),
            mfu_percent=numbers.get("mfu_percent", 0.0),
            total_tokens_M=numbers.get("total_tokens_M", 0.0),
            num_steps=int(numbers.get("num_steps", 0)),
            num_params_M=numbers.get("num_params_M", 0.0),
            depth=int(numbers.get("depth", 0)),
            others={name: one.value for name, one in others.items()},
            other_units={name: one.unit for name, one in others.items() if one.unit},
        )


def _end_of(reason: str, exit_code: int | None, why: str) -> str:
    """Word the end of a command that did not end well, with the reason for it."""
    if reason != "exited":
        return f"{_ENDED_BY.get(reason, 'did not end')}: {why}"
    if exit_code == NO_PROGRAM and why.startswith(NOT_STARTED):
        return why.removeprefix("it ")
    return f"ended {'without an exit code' if exit_code is None else f'with exit code {exit_code}'}: {why}"


def _past_budget(metrics: Metrics, budget_s: float) -> str:
    """Return the sentence on a run that trained for longer than its budget; empty for any other."""
    trained_s = metrics.training_seconds
    step_s = trained_s / metrics.num_steps if metrics.num_steps else 0.0
    slack_s = min(SLACK_S, max(SLACK_SHARE * budget_s, SLACK_STEPS * step_s))
    if not budget_s or trained_s <= BUDGET_SHARE * budget_s + slack_s:
        return ""
    return f"it trained for {trained_s:.1f} s, the budget is {budget_s:g} s: its result does not count"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e6:.2f} MB"


def _in_its_unit(name: str, number: Number | None) -> float:
    """Return a number of the summary in the unit of its name; 0 for none, or for a unit of another kind."""
    if number is None:
        return 0.0
    unit = unit_in_name(name)
    return number.value * (factor(number.unit or unit, unit) or 0.0) if unit else number.value


def _hashes(files: dict[str, str], script: str) -> tuple[str, str]:
    prepare = (PurePosixPath(script).parent / "prepare.py").as_posix()
    return files.get(script, ""), files.get(prepare, "")


def _failed(outcome: Outcome, message: str) -> RunVerdict:
    return RunVerdict(outcome, None, message)
