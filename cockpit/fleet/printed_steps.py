"""Reads a run's progress and training loss from its lines, by autoresearch's step lines or the session's patterns."""

import re

import msgspec

from cockpit.core.curves import Point, thin
from cockpit.core.metric import Metric
from cockpit.core.model import Progress
from cockpit.fleet.printed_numbers import Number, leading_number, number_of
from cockpit.fleet.timed_pattern import TimedPattern

LOSS_LIMIT = 1e6
STEPS_LIMIT = 1e12
CURVE_RAW = 400

_STEP = re.compile(r"step (\d{1,12}) \((\d{1,3}(?:\.\d{1,9})?)%\) \| loss: ([-+\w.]{1,40})(?![-+\w.])(.*)", re.ASCII)
_FIELD = re.compile(
    r"\| (?:(dt): (\d{1,12})ms|(tok/sec): ([\d,]{1,16})(?![\w.,])|(mfu): ([\d.]{1,12})%|(remaining): (\d{1,12})s"
    r"|(mem): ([\d,.]{1,16}) ?(?:MB|MiB)|(temp): ([\d.]{1,8}) ?°?C|(power): ([\d.]{1,8}) ?W)(?!\w)",
    re.ASCII,
)
DEVICE = "[cockpit: device "
"""The beginning of a line that the run's node adds to the log."""


class PrintedSteps:
    """The newest step of a run, and its loss curve."""

    def __init__(self, metric: Metric) -> None:
        self._progress = TimedPattern(metric.progress) if metric.progress else None
        self._loss = TimedPattern(metric.loss) if metric.loss else None
        self._newest_loss: float | None = None
        self.progress: Progress | None = None
        self.points: list[Point] = []
        """[(fraction of the budget, loss)]"""
        self._device: dict[str, float] = {}
        """The newest use of the device, as its node reported it."""

    @property
    def problems(self) -> list[str]:
        """A sentence for each pattern that takes too long, and is searched for no more."""
        patterns = {"progress": self._progress, "loss": self._loss}
        return [
            f"the pattern of the {what} takes too long on a line of output, so no {what} is shown from there on: give a"
            f" simpler --{what}"
            for what, pattern in patterns.items()
            if pattern is not None and pattern.is_too_slow
        ]

    def read_device(self, text: str) -> bool:
        """Read a line on the use of the device. Returns False for a line of the run."""
        if not text.startswith(DEVICE):
            return False
        self._device = _device_figures(_fields(text))
        if self.progress is not None:
            self.progress = msgspec.structs.replace(self.progress, **self._device)
        return True

    def read(self, text: str, at: float) -> bool:
        """Read a line without escapes. Returns True for a step line of autoresearch."""
        if self._progress is not None or self._loss is not None:
            self._read_by_pattern(text, at)
        step = _STEP.match(text) if text.startswith("step ") else None
        if step is not None and self._progress is None:
            self._step(step, at)
        return step is not None

    def _step(self, step: re.Match[str], at: float) -> None:
        loss = number_of(step[3], LOSS_LIMIT)
        fields = _fields(step[4])
        self.progress = Progress(
            at=at,
            step=int(step[1]),
            fraction=min(1.0, float(step[2]) / 100),
            loss=loss if loss is not None else 0.0,
            ms_per_step=float(fields.get("dt", 0)),
            tokens_per_s=float(fields.get("tok/sec", "0").replace(",", "") or 0),
            mfu_percent=number_of(fields.get("mfu", "0")) or 0.0,
            remaining_s=float(fields.get("remaining", 0)),
            **self._device | _device_figures(fields),
        )
        self._add(self.progress.fraction, loss)

    def _read_by_pattern(self, text: str, at: float) -> None:
        """Read the progress and the loss of a line. They may be on one line or on two."""
        if self._loss is not None and (found := self._loss.find(text)):
            number = leading_number(found[1] or "", LOSS_LIMIT)
            self._newest_loss = number.value if number is not None else None
        moved = self._fraction(text)
        if moved is not None:
            step, fraction = moved
            loss = self._newest_loss or 0.0
            self.progress = Progress(at=at, step=step, fraction=fraction, loss=loss, **self._device)
            self._add(fraction, self._newest_loss)

    def _fraction(self, text: str) -> tuple[int, float] | None:
        """Return (step, fraction done) of a progress line; None for any other line."""
        found = self._progress.find(text) if self._progress is not None else None
        numbers = [leading_number(word or "", STEPS_LIMIT) for word in found.groups()] if found else []
        match numbers:
            case [Number(value=percent)] if percent >= 0:
                return 0, min(1.0, percent / 100)
            case [Number(value=step), Number(value=last)] if step >= 0 and last > 0:
                return int(step), min(1.0, step / last)
        return None

    def _add(self, fraction: float, loss: float | None) -> None:
        if loss is not None and (not self.points or fraction > self.points[-1][0]):
            self.points.append((fraction, loss))
            if len(self.points) > CURVE_RAW:
                self.points = thin(self.points, CURVE_RAW // 2)


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a line by name."""
    fields: dict[str, str] = {}
    for found in _FIELD.finditer(text[:500]):
        name, value = (part for part in found.groups() if part)
        fields[name] = value
    return fields


def _device_figures(fields: dict[str, str]) -> dict[str, float]:
    """Return the memory, temperature and power that a line has, as Progress names them."""
    names = {"mem": "memory_mb", "temp": "temperature_c", "power": "power_w"}
    found = {field: number_of(fields.get(name, "0").replace(",", "")) or 0.0 for name, field in names.items()}
    return {field: number for field, number in found.items() if number}
