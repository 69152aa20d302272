"""What the researcher keeps from turn to turn beside the ledger: what it was told of, and the story so far.

Losing it costs a repeated sentence, never a result: everything that counts is in the ledger.
"""

from pathlib import Path

import msgspec

from cockpit.agent.tools import state_views, waves
from cockpit.agent.tools.quoting import line
from cockpit.core.model import ExperimentStatus, WaveKind
from cockpit.core.state import State

CRASHES_OF_AN_IDEA_TOLD = 2
CRASHES_A_TURN = 6
KEPT = 2_000
FINDINGS_BETWEEN_STORIES = 40


class TurnMemory(msgspec.Struct):
    told: dict[str, int] = {}
    """First experiment of an idea to how many of the idea's crashes were told."""
    crashes_told: list[str] = []
    waves_told: list[str] = []
    """Of which it was told what came of them."""
    story: str = ""
    findings_in_story: int = 0

    def crashes_to_tell(self, state: State) -> list[str]:
        """Crashed experiments with something to fix that were not told of yet, newest first."""
        names: list[str] = []
        told = set(self.crashes_told)
        recent = dict.fromkeys(state.attempts[name].experiment for name in reversed(state.recent))
        for name in recent:
            experiment = state.experiments[name]
            wave = state.waves[experiment.wave]
            if experiment.status is not ExperimentStatus.CRASHED or name in told or wave.kind is not WaveKind.WAVE:
                continue
            if self.told.get(state_views.crash_root(state, name), 0) < CRASHES_OF_AN_IDEA_TOLD:
                names.append(name)
        return names[:CRASHES_A_TURN]

    def waves_to_tell(self, state: State) -> list[str]:
        """Waves that have told their story since it last looked, oldest first."""
        known = set(self.waves_told)
        return [wave.id for wave in waves.told(state) if wave.id not in known]

    def tell(self, state: State, names: list[str], ended: list[str]) -> None:
        """It was told of the crashed experiments `names` and the waves `ended`."""
        self.waves_told = [*self.waves_told, *ended][-KEPT:]
        for name in names:
            root = state_views.crash_root(state, name)
            self.told[root] = self.told.get(root, 0) + 1
        self.crashes_told = [*self.crashes_told, *names][-KEPT:]
        self.told = dict(list(self.told.items())[-KEPT:])

    def story_is_due(self, state: State) -> bool:
        """Whether enough findings have left the list since the story was written."""
        return len(state.findings) - self.findings_in_story >= 2 * FINDINGS_BETWEEN_STORIES


def findings_for_story(state: State, memory: TurnMemory) -> tuple[str, int]:
    """(what to sum up, how many findings that covers): the story so far, and the findings that came since."""
    until = len(state.findings) - FINDINGS_BETWEEN_STORIES
    since = state.findings[memory.findings_in_story : until][-4 * FINDINGS_BETWEEN_STORIES :]
    lines = [f"- {line(finding.claim, 300)} ({', '.join(finding.experiments[:6])})" for finding in since]
    return "\n".join([f"So far: {memory.story or 'nothing yet'}", "Since then:", *lines]), until


def load(path: Path) -> TurnMemory:
    try:
        return msgspec.json.decode(path.read_bytes(), type=TurnMemory)
    except (OSError, msgspec.MsgspecError):
        return TurnMemory()


def save(path: Path, memory: TurnMemory) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.json.encode(memory))
    beside.chmod(0o640)
    beside.replace(path)
