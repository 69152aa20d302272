"""Waves as an agent is told of them: what each asked and expected, what came of it, and what is still out."""

from collections.abc import Collection, Iterable

from cockpit.agent.views import state_views
from cockpit.agent.views.effects import wave_effects
from cockpit.agent.views.quoting import line
from cockpit.core.model import Experiment, ExperimentStatus, Outcome, Wave, WaveKind, WaveStatus
from cockpit.core.state import State

ENDED, OPEN = 8, 12
LOOKED_AT = 200
"""The newest waves among which those that have ended are looked for."""
BEST_OF_GRID, BEST_OF_ARMS = 3, 6
"""Arms listed of a wave whose effects are told, and of one that has none."""


def told(state: State) -> list[Wave]:
    """The newest waves that have told their story, filler left out, oldest first."""
    waves = list(state.waves.values())[-LOOKED_AT:]
    return [wave for wave in waves if wave.kind is WaveKind.WAVE and wave.status is WaveStatus.DONE]


def ended(state: State, new: Collection[str] = ()) -> list[str]:
    """A text for each of the last waves that have told their story, oldest first; those in `new` are marked."""
    return ["\n".join(_ended(state, wave, wave.id in new)) for wave in told(state)[-ENDED:]]


def unfinished(state: State) -> list[str]:
    """A text for each wave that runs or waits for a person."""
    names = [*state.open_waves, *state.proposals]
    waves = [wave for wave in map(state.waves.__getitem__, names) if wave.kind is not WaveKind.FILLER][-OPEN:]
    return ["\n".join(_unfinished(state, wave)) for wave in waves]


def what(state: State, wave: Wave) -> str:
    """`4 arms of DEPTH 6, 8 × MATRIX_LR 0.03, 0.04, tier screen`."""
    levels = " × ".join(
        f"{line(name, 40)} {', '.join(state_views.value_words(value) for value in values[:8])}"
        for name, values in wave.factors.items()
    )
    arms = (
        [state_views.change_words(state.experiments[arm], 80) for arm in wave.arms[:BEST_OF_ARMS]] if not levels else []
    )
    again = f"again {', '.join(wave.again[:BEST_OF_ARMS])}" if wave.again else ""
    said = "; ".join(filter(None, (levels, *arms, again)))
    replicates = f", {wave.replicates} runs each" if wave.replicates > 1 else ""
    count = len(wave.arms) + len(wave.again)
    return line(f"{count} arm{'s' * (count != 1)} of {said}, tier {wave.tier}{replicates}", 500)


def _unfinished(state: State, wave: Wave) -> Iterable[str]:
    waits = wave.status is WaveStatus.PROPOSED
    stands = "waits for the person" if waits else f"{wave.open_arms} arms open{', held' if wave.held else ''}"
    yield f"{wave.id} by {line(wave.proposer, 40)}, {stands}: {line(wave.question, 200)}"
    yield f"  {what(state, wave)}"
    for edit in wave.edits[-3:]:
        yield f"  edited by {line(edit, 120)}"


def _ended(state: State, wave: Wave, new: bool) -> Iterable[str]:
    yield f"{wave.id}{' (new)' if new else ''} by {line(wave.proposer, 40)}: {line(wave.question, 200)}"
    yield f"  {what(state, wave)}"
    if wave.hypothesis:
        yield f"  expected: {line(wave.hypothesis, 300)}"
    if wave.would_change_mind:
        yield f"  would change its mind: {line(wave.would_change_mind, 200)}"
    effects = wave_effects(state, wave)
    arms = [state.experiments[name] for name in (*wave.arms, *wave.again)]
    yield f"  came of it: {_counts(state, arms)}"
    best = sorted((arm for arm in arms if arm.scores), key=lambda arm: _standing(state, arm))
    yield from (f"    {_arm(state, arm)}" for arm in best[: BEST_OF_GRID if effects else BEST_OF_ARMS])
    yield from (f"  {each}" for each in effects)


def _counts(state: State, arms: Iterable[Experiment]) -> str:
    counts: dict[str, int] = {}
    for arm in arms:
        word = _word(state, arm)
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing"


def _word(state: State, arm: Experiment) -> str:
    if arm.status in (ExperimentStatus.KEPT, ExperimentStatus.CRASHED, ExperimentStatus.DROPPED):
        return str(arm.status)
    if arm.scores:
        return "measured"
    outcomes = [state.attempts[name].outcome for name in arm.attempts[-1:]]
    return "stopped early, without a score" if Outcome.HOPELESS in outcomes else "without a score"


def _standing(state: State, arm: Experiment) -> tuple[bool, float]:
    """Best first: by the difference to the incumbent in one class, where there is one."""
    shown = dict(zip(state_views.ROW_COLUMNS, state_views.row(state, arm), strict=True))
    ahead = shown["vs_incumbent"]
    return ahead is None, shown["val_bpb"] if ahead is None else ahead


def _arm(state: State, arm: Experiment) -> str:
    shown = dict(zip(state_views.ROW_COLUMNS, state_views.row(state, arm), strict=True))
    ahead = "" if shown["vs_incumbent"] is None else f", {shown['vs_incumbent']:+.5f} against the incumbent of now"
    runs = f"{shown['runs']} run{'s' * (shown['runs'] != 1)}"
    verdict = f": {line(arm.reason, 160)}" if arm.reason else ""
    score = f"{shown['val_bpb']:.5f} on {shown['class']}, {runs}"
    return f"{arm.id} ({state_views.change_words(arm, 120)}) {score}{ahead}; {arm.status}{verdict}"
