"""List the news of a session for an agent: everything after the last event that it has read."""

from cockpit.agent.views.quoting import clip, line, plain
from cockpit.core.model import Wave, WaveKind, WaveStatus
from cockpit.core.state import State, ending_text
from cockpit.decide.schedule import expected_run_s

MESSAGES_AT_MOST = 10
WAVES_AT_MOST = 20


def news_since(state: State, seq: int, name: str) -> list[str]:
    """Return what happened after the event `seq`, for the agent `name`, one sentence each."""
    found = [*_waves(state, seq), *messages_since(state, seq, name)]
    if state.incumbencies and state.incumbencies[-1].seq > seq:
        found.append(f"{state.incumbent} is the incumbent.")
    if state.ending:
        found.append(f"The session ends ({ending_text(state)}): {line(state.end_reason)}")
    return found


def news_of_wave(state: State, name: str) -> str:
    """Return how the wave ended in a sentence; empty while it may still get results."""
    wave = state.waves[name]
    if wave.status is WaveStatus.DONE:
        return _finished(wave)
    return _decision(wave) if wave.status in (WaveStatus.REJECTED, WaveStatus.CANCELLED) else ""


def concerns_everyone(state: State, seq: int, name: str) -> bool:
    """Return True if a person spoke or the session ends: news that end a wait for one wave too."""
    return bool(state.ending or messages_since(state, seq, name))


def dry(state: State) -> list[str]:
    """Return a sentence if clusters will run dry; nothing while proposals wait or nothing new may start."""
    clusters = max(1, len(state.clusters))
    if state.ending or state.held or len(state.waiting) >= clusters or state.proposals:
        return []
    minutes = expected_run_s(state) / 60
    return [
        f"Clusters will run dry: {len(state.waiting)} runs wait for {clusters} clusters, one takes {minutes:.1f} min."
    ]


def _waves(state: State, seq: int) -> list[str]:
    found = []
    for wave in state.waves.values():
        if wave.kind is WaveKind.FILLER:
            continue
        if wave.done_seq > seq and wave.status is WaveStatus.DONE:
            found.append(_finished(wave))
        elif wave.decided_seq > seq:
            found.append(_decision(wave))
    left_out = len(found) - WAVES_AT_MOST
    return [*found[-WAVES_AT_MOST:], *([f"{left_out} earlier waves changed too: see `brief`."] if left_out > 0 else [])]


def _finished(wave: Wave) -> str:
    return f"{wave.id} has finished: {line(wave.question, 200)}"


def _decision(wave: Wave) -> str:
    why = f": {line(wave.reason)}" if wave.reason else ""
    return f"{wave.id} was {wave.status} by {line(wave.decided_by, 40)}{why}."


def messages_since(state: State, seq: int, name: str) -> list[str]:
    """Return the messages of others after the event `seq`."""
    spoken = [message for message in state.messages if message.seq > seq and message.kind == "say"]
    heard = [message for message in spoken if message.author not in (name, "cockpit")]
    return [f"{line(one.author, 40)} says: {clip(plain(one.text), 2_000)}" for one in heard[-MESSAGES_AT_MOST:]]
