"""The researcher's memory between turns, beside the ledger: the reported results, and a summary of old findings.

If it is lost, some results are reported again. All results are in the ledger.
"""

from pathlib import Path

import msgspec

from cockpit.agent.views import state_views, waves
from cockpit.agent.views.quoting import line
from cockpit.core.model import ExperimentStatus, WaveKind
from cockpit.core.state import State
from cockpit.session.plain_file import read_if_there
from cockpit.session.small_files import replace_file

REPORTS_PER_CRASHED_IDEA = 2
CRASHES_PER_TURN = 6
MAX_REMEMBERED = 2_000
LISTED_FINDINGS = 40
"""The newest findings, which the summary leaves out."""


class TurnMemory(msgspec.Struct):
    crash_reports: dict[str, int] = {}
    """First experiment of an idea to the number of the idea's crashes that were reported."""
    reported_crashes: list[str] = []
    reported_waves: list[str] = []
    summary: str = ""
    """The summary of the findings that are no longer listed."""
    findings_summarized: int = 0

    def unreported_crashes(self, state: State) -> list[str]:
        """Return crashed experiments that were not reported yet, newest first, with the limit per idea."""
        names: list[str] = []
        reported = set(self.reported_crashes)
        recent = dict.fromkeys(state.attempts[name].experiment for name in reversed(state.recent))
        for name in recent:
            experiment = state.experiments[name]
            kind = state.waves[experiment.wave].kind
            if experiment.status is not ExperimentStatus.CRASHED or name in reported or kind is not WaveKind.WAVE:
                continue
            if self.crash_reports.get(state_views.crash_root(state, name), 0) < REPORTS_PER_CRASHED_IDEA:
                names.append(name)
        return names[:CRASHES_PER_TURN]

    def unreported_waves(self, state: State) -> list[str]:
        """Return finished waves that were not reported yet, oldest first."""
        reported = set(self.reported_waves)
        return [wave.id for wave in waves.finished(state) if wave.id not in reported]

    def mark_reported(self, state: State, crashes: list[str], finished_waves: list[str]) -> None:
        """Remember that these crashes and waves were reported."""
        self.reported_waves = [*self.reported_waves, *finished_waves][-MAX_REMEMBERED:]
        for name in crashes:
            root = state_views.crash_root(state, name)
            self.crash_reports[root] = self.crash_reports.get(root, 0) + 1
        self.reported_crashes = [*self.reported_crashes, *crashes][-MAX_REMEMBERED:]
        self.crash_reports = dict(list(self.crash_reports.items())[-MAX_REMEMBERED:])

    def summary_is_due(self, state: State) -> bool:
        """Return True if enough findings have left the list since the last summary."""
        return len(state.findings) - self.findings_summarized >= 2 * LISTED_FINDINGS


def findings_to_summarize(state: State, memory: TurnMemory) -> tuple[str, int]:
    """Return the text to summarize and the number of findings it covers: the summary so far and newer findings."""
    until = len(state.findings) - LISTED_FINDINGS
    since = state.findings[memory.findings_summarized : until][-4 * LISTED_FINDINGS :]
    lines = [f"- {line(finding.claim, 300)} ({', '.join(finding.experiments[:6])})" for finding in since]
    return "\n".join([f"So far: {memory.summary or 'nothing yet'}", "Since then:", *lines]), until


def load(path: Path) -> TurnMemory:
    """Return the stored memory; an empty one if the file is missing or unreadable.

    Raises OSError where this process can open no file for now.
    """
    try:
        return msgspec.json.decode(read_if_there(path), type=TurnMemory)
    except msgspec.MsgspecError:
        return TurnMemory()


def save(path: Path, memory: TurnMemory) -> None:
    """Replace the stored memory."""
    replace_file(path, msgspec.json.encode(memory), 0o640)
