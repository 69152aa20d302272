"""A session in Trackio: a run for each attempt that has ended, written once, by a process of its own.

Trackio stores runs on this machine. With `TRACKIO_SERVER_URL` or `TRACKIO_SPACE_ID` it sends them there instead. A run
that such a server already has is continued; points that are sent again are stored twice, with the same values.
"""

import contextlib
import fcntl
import io

from cockpit.core.curves import points_of
from cockpit.core.errors import CockpitError
from cockpit.core.model import AttemptStatus
from cockpit.core.state import State
from cockpit.report.export import CONSTANT, Row, rows
from cockpit.session.paths import SessionFolder

CONFIG = ("simulated", "experiment", "wave", "proposer", "kind", "tier", "seed", "class", "cluster", "base", "commit",
          "change", "outcome")  # fmt: skip
"""The columns of the exported table that describe a run, beside its constants."""
NOT_MEASURED = {*CONFIG, "queued_at", "started_at", "ended_at", "lines_added", "lines_removed", "difference",
                "difference_low", "difference_high"}  # fmt: skip
"""The columns with numbers that are not a result of the run."""
STEPS = 1000
"""Steps of a run's curve: the fraction of its budget in thousandths."""


class MirrorBusy(CockpitError):
    """Another process mirrors this session."""


class Mirror:
    """Writes attempts to Trackio, and records the names of those written in the session's folder."""

    def __init__(self, folder: SessionFolder) -> None:
        """Open the record. Raises MirrorBusy, OSError, and ImportError if Trackio is not installed."""
        import trackio

        self._trackio = trackio
        self.project = folder.name
        self._record = folder.mirrored.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._record.close()
            raise MirrorBusy(f"another process mirrors {folder.name}") from None
        self._record.seek(0)
        self._written = set(self._record.read().split())

    def close(self) -> None:
        self._record.close()

    def write(self, state: State) -> int:
        """Write each attempt that has ended since the last call. Returns the number of attempts written."""
        ended = {name for name, one in state.attempts.items() if one.status is AttemptStatus.ENDED}
        new = ended - self._written
        if not new:
            return 0
        with contextlib.redirect_stdout(io.StringIO()):  # Trackio prints a line for each run
            self._remove_partial(new)
            for row in rows(state):
                if row["attempt"] in new:
                    self._write_run(state, row)
        return len(new)

    def _remove_partial(self, new: set[str]) -> None:
        """Delete runs of this machine that are not on the record: an earlier mirror was stopped while it wrote them."""
        try:
            runs = list(self._trackio.Api().runs(self.project))
        except ValueError:  # the project is new
            return
        for run in runs:
            if run.name in new:
                run.delete()

    def _write_run(self, state: State, row: Row) -> None:
        name = str(row["attempt"])
        attempt = state.attempts[name]
        self._trackio.init(
            self.project,
            name=name,
            group=str(row["wave"]) or None,
            config={key: row[key] for key in row if key in CONFIG or key.startswith(CONSTANT)},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        for fraction, loss in points_of(attempt.curve):
            self._trackio.log({"loss": loss}, step=round(fraction * STEPS))
        self._trackio.log(_results(state, row), step=STEPS)
        self._trackio.finish()
        self._record.write(name + "\n")
        self._record.flush()
        self._written.add(name)


def _results(state: State, row: Row) -> dict[str, float]:
    """Return an attempt's results, its score under the metric's name."""
    found = {
        key: float(cell)
        for key, cell in row.items()
        if isinstance(cell, int | float) and key not in NOT_MEASURED and not key.startswith(CONSTANT)
    }
    if "value" in found:
        found[state.session.metric.name] = found.pop("value")
    return found
