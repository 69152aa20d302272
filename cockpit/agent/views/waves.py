"""Waves as texts for an agent: question, design and hypothesis, with the results or the arms that are still open."""

from collections.abc import Collection, Iterable

from cockpit.agent.views import state_views
from cockpit.agent.views.effects import wave_effects
from cockpit.agent.views.quoting import line
from cockpit.core.metric import signed
from cockpit.core.model import Experiment, ExperimentStatus, Outcome, Wave, WaveKind, WaveStatus
from cockpit.core.state import State

FINISHED_LISTED, OPEN_LISTED = 8, 12
MAX_WAVES_READ = 200
"""The newest waves that are searched for finished ones."""
ARMS_LISTED_WITH_EFFECTS, ARMS_LISTED = 3, 6
"""The number of arms listed for a wave with estimated effects, and for other waves."""


def finished(state: State) -> list[Wave]:
    """Return the newest finished waves without filler, oldest first."""
    waves = list(state.waves.values())[-MAX_WAVES_READ:]
    return [wave for wave in waves if wave.kind is WaveKind.WAVE and wave.status is WaveStatus.DONE]


def finished_texts(state: State, new: Collection[str] = ()) -> list[str]:
    """Return a text for each of the last finished waves, oldest first; those in `new` are marked."""
    return ["\n".join(_finished(state, wave, wave.id in new)) for wave in finished(state)[-FINISHED_LISTED:]]


def open_texts(state: State) -> list[str]:
    """Return a text for each wave that runs or waits for a person."""
    names = [*state.open_waves, *state.proposals]
    waves = [wave for wave in map(state.waves.__getitem__, names) if wave.kind is not WaveKind.FILLER][-OPEN_LISTED:]
    return ["\n".join(_open(state, wave)) for wave in waves]


def design_words(state: State, wave: Wave) -> str:
    """Return `4 arms of DEPTH 6, 8 × MATRIX_LR 0.03, 0.04, tier screen`."""
    levels = " × ".join(
        f"{line(name, 40)} {', '.join(state_views.value_words(value) for value in values[:8])}"
        for name, values in wave.factors.items()
    )
    arms = (
        [state_views.change_words(state.experiments[arm], 80) for arm in wave.arms[:ARMS_LISTED]] if not levels else []
    )
    again = f"again {', '.join(wave.again[:ARMS_LISTED])}" if wave.again else ""
    variants = "; ".join(filter(None, (levels, *arms, again)))
    replicates = f", {wave.replicates} runs each" if wave.replicates > 1 else ""
    count = len(wave.arms) + len(wave.again)
    return line(f"{count} {'arm' if count == 1 else 'arms'} of {variants}, tier {wave.tier}{replicates}", 500)


def _open(state: State, wave: Wave) -> Iterable[str]:
    waits = wave.status is WaveStatus.PROPOSED
    status = "waits for the person" if waits else f"{wave.open_arms} arms open{', held' if wave.held else ''}"
    yield f"{wave.id} by {line(wave.proposer, 40)}, {status}: {line(wave.question, 200)}"
    yield f"  {design_words(state, wave)}"
    for edit in wave.edits[-3:]:
        yield f"  edited by {line(edit, 120)}"


def _finished(state: State, wave: Wave, new: bool) -> Iterable[str]:
    yield f"{wave.id}{' (new)' if new else ''} by {line(wave.proposer, 40)}: {line(wave.question, 200)}"
    yield f"  {design_words(state, wave)}"
    if wave.hypothesis:
        yield f"  expected: {line(wave.hypothesis, 300)}"
    if wave.would_change_mind:
        yield f"  would change its mind: {line(wave.would_change_mind, 200)}"
    effects = wave_effects(state, wave)
    arms = [state.experiments[name] for name in (*wave.arms, *wave.again)]
    yield f"  results: {_counts(state, arms)}"
    best = sorted((arm for arm in arms if arm.scores), key=lambda arm: _rank_key(state, arm))
    yield from (f"    {_arm(state, arm)}" for arm in best[: ARMS_LISTED_WITH_EFFECTS if effects else ARMS_LISTED])
    yield from (f"  {each}" for each in effects)


def _counts(state: State, arms: Iterable[Experiment]) -> str:
    counts: dict[str, int] = {}
    for arm in arms:
        word = _result_word(state, arm)
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "none"


def _result_word(state: State, arm: Experiment) -> str:
    if arm.status in (ExperimentStatus.KEPT, ExperimentStatus.CRASHED, ExperimentStatus.DROPPED):
        return str(arm.status)
    if arm.scores:
        return "measured"
    outcomes = [state.attempts[name].outcome for name in arm.attempts[-1:]]
    return "stopped early, without a score" if Outcome.HOPELESS in outcomes else "without a score"


def _rank_key(state: State, arm: Experiment) -> tuple[bool, float]:
    """Return a sort key, best first: by the difference to the incumbent in one class if known, otherwise by score."""
    metric = state.session.metric
    shown = dict(zip(state_views.row_columns(state), state_views.row(state, arm), strict=True))
    ahead = shown["vs_incumbent"]
    return ahead is None, metric.score(shown[metric.name] if ahead is None else ahead)


def _arm(state: State, arm: Experiment) -> str:
    shown = dict(zip(state_views.row_columns(state), state_views.row(state, arm), strict=True))
    ahead = (
        "" if shown["vs_incumbent"] is None else f", {signed(shown['vs_incumbent'], 5)} against the current incumbent"
    )
    runs = f"{shown['runs']} {'run' if shown['runs'] == 1 else 'runs'}"
    verdict = f": {state_views.verdict_of(arm, 160)}" if arm.reason else ""
    score = f"{shown[state.session.metric.name]} on {shown['class']}, {runs}"
    return f"{arm.id} ({state_views.change_words(arm, 120)}) {score}{ahead}; {arm.status}{verdict}"
