"""The brief that opens a turn, the same for every agent that the worker asks, and the results that it reports."""

from pathlib import Path

import msgspec

from cockpit.agent.claude.turn_memory import TurnMemory
from cockpit.agent.proposer_api import ProposalRequest, ProposerApi
from cockpit.agent.views import briefing, state_views
from cockpit.agent.views.quoting import end_of_traceback

REASONS = {
    "dry": "Clusters will run dry soon.",
    "finished": "A wave has finished: say what it showed, record what holds, and continue from there.",
    "said": "The person spoke: answer first.",
    "filler": "Clusters are idle.",
}


class Opening(msgspec.Struct, frozen=True):
    program: str
    """program.md, the person's instructions."""
    incumbent: str
    source: str
    """The incumbent's code with its heading; empty before there is one."""
    now: str
    """The current session."""
    crash_reports: str
    crashes: list[str]
    finished_waves: list[str]

    def changing(self, request: ProposalRequest) -> str:
        """Return the part that changes from turn to turn: the session, new crashes and the task."""
        reason = REASONS.get(request.reason, request.reason)
        asked = f"# Your task\n{reason} The clusters could start about {request.arms} arms."
        return "\n\n".join(part for part in (self.now, self.crash_reports, asked) if part)


def opening_of(api: ProposerApi, name: str, memory: TurnMemory) -> Opening:
    """Return the brief for the agent called `name`. `memory` says which results were reported before."""
    repo, files, incumbent, crashed, finished = api.read(
        lambda state: (
            state.session.repo,
            state.session.editable,
            state.incumbent or state.baseline,
            memory.unreported_crashes(state),
            memory.unreported_waves(state),
        )
    )
    return Opening(
        program=_program(repo),
        incumbent=incumbent,
        source=_source(api, incumbent, files) if incumbent else "",
        now=api.read(lambda state: briefing.now(state, name, api.now(), memory.summary, finished)),
        crash_reports=briefing.crashes((crash, *_crash(api, crash)) for crash in crashed),
        crashes=crashed,
        finished_waves=finished,
    )


def _source(api: ProposerApi, incumbent: str, files: tuple[str, ...]) -> str:
    return briefing.source(incumbent, {path: api.source(incumbent, path) for path in files})


def _crash(api: ProposerApi, experiment: str) -> tuple[str, str]:
    """Return the experiment's change and the end of its traceback."""
    attempt, change = api.read(
        lambda state: (
            state_views.last_attempt(state, experiment),
            state_views.change_words(state.experiments[experiment]),
        )
    )
    return change, end_of_traceback(api.log_tail(attempt))


def _program(repo: str) -> str:
    try:
        return (Path(repo) / "program.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
