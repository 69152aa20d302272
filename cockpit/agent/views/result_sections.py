"""Sections of the briefing on the results: noise, incumbent, experiments, waves, constants, findings, rejections.

Each is a pure function of the state with a fixed bound.
"""

from collections.abc import Collection, Iterable
from math import sqrt

from cockpit.agent.views import layout, state_views, waves
from cockpit.agent.views.quoting import clip, line, plain, words_of_run
from cockpit.agent.views.session_sections import hour
from cockpit.agent.views.tried_constants import COLUMNS, tried_constants
from cockpit.core.knobs import knob_words
from cockpit.core.metric import rounded
from cockpit.core.model import Attempt, ExperimentStatus, Outcome, WaveStatus
from cockpit.core.state import State
from cockpit.decide.evidence import noise_of
from cockpit.read.effects import gain_of
from cockpit.read.scores import comparison_class, score_of

BEST, BEST_IN_OTHER_CLASSES, LAST, INCUMBENTS, FINDINGS, REASONS = 12, 5, 16, 8, 30, 8
MAX_CLASSES = 8


def noise(state: State) -> str:
    """Return the noise of a run, the differences between classes, and the suspect clusters."""
    measured = noise_of(state)
    if not measured.readings:
        return ""
    assumed = "." if measured.measured else ", assumed: too few repeats to measure it yet."
    lines = [
        f"# Noise and hardware, in {line(state.session.metric.name)}",
        f"SD of a run of the same code: {rounded(measured.run_sd, 5):.5g}{assumed}",
        _detectable_differences(state, measured.run_sd),
    ]
    for name, offset in list(measured.classes.items())[:MAX_CLASSES]:
        if name != measured.reference:
            by = state.session.metric.signed(offset.mean, 5)
            se = f"{rounded(offset.se, 5):.5g}"
            lines.append(f"{line(name, 40)} scores {by} (SE {se}) against {measured.reference}.")
    if measured.interaction_sd > measured.run_sd:
        lines.append("Rankings differ between the classes: validate what matters on the better one.")
    lines += [f"{name} is suspect: {line(why)}" for name, why in list(measured.flagged.items())[:MAX_CLASSES]]
    return "\n".join(filter(None, lines))


def _detectable_differences(state: State, run_sd: float) -> str:
    """Return the smallest detectable differences by number of runs, so that replicates are requested if they help."""
    score = score_of(state, state.incumbent, comparison_class(state))
    runs = score.runs if score else 0
    if not runs:
        return ""
    limits = ", ".join(f"{rounded(2 * run_sd * sqrt(1 / n + 1 / runs), 5):.5g} for {n}" for n in (1, 2, 4, 8))
    return f"Differences beyond the noise, by an arm's runs against the incumbent's {runs}: about {limits}."


def incumbent(state: State) -> str:
    """Return the incumbent's constants and gain, a typical run of it, and the steps that led to it."""
    if not state.incumbent:
        return ""
    experiment = state.experiments[state.incumbent]
    constants = ", ".join(f"{name}={state_views.value_words(value)}" for name, value in experiment.overrides.items())
    lines = [f"# The incumbent, {experiment.id}"]
    if experiment.id != state.baseline:
        gain = gain_of(state)
        lines.append(f"Constants that differ from the baseline: {line(constants or 'none', 1_200)}.")
        if gain is not None:
            said = state_views.estimate_words(state.session.metric, gain.pooled)
            lines.append(f"{line(state.session.metric.name)} {said}, without the runs that selected it.")
    lines += _typical_runs(state, experiment.attempts)
    for step in state.incumbencies[-INCUMBENTS:]:
        change = state_views.change_words(state.experiments[step.experiment])
        lines.append(f"- {hour(state, step.at)}: {step.experiment} ({change}): {line(step.reason, 160)}")
    return "\n".join(lines)


def _typical_runs(state: State, attempts: Iterable[str]) -> list[str]:
    """Return the newest run of each class, a line each."""
    newest: dict[str, Attempt] = {}
    for attempt in (state.attempts[name] for name in attempts):
        if attempt.metrics is not None:
            newest[attempt.hardware] = attempt
    metric = state.session.metric
    return [
        f"A run of it on {line(name, 40)}: {line(metric.name)} {metric.number(run.metrics.score, 5)},"
        f" {run.metrics.num_steps} steps,"
        f" {run.metrics.total_tokens_M:.0f}M tokens, {run.metrics.num_params_M:.1f}M parameters,"
        f" {run.metrics.peak_vram_mb / 1024:.1f} GB, MFU {run.metrics.mfu_percent:.0f}%."
        for name, run in list(newest.items())[:4]
        if run.metrics is not None
    ]


def best(state: State) -> str:
    classes = sorted(state.best, key=lambda name: -len(state.best[name]))[:3]
    rows = [
        state_views.row(state, state.experiments[ranked.experiment], hardware)
        for rank, hardware in enumerate(classes)
        for ranked in state.best[hardware][: BEST_IN_OTHER_CLASSES if rank else BEST]
    ]
    return layout.table("Best experiments by raw mean, per class", state_views.row_columns(state), rows)


def last(state: State) -> str:
    rows = [state_views.row(state, state.experiments[name]) for name in _last_ended(state)]
    return layout.table("Last experiments to end, newest first", state_views.row_columns(state), rows, 4_500)


def _last_ended(state: State) -> list[str]:
    return list(dict.fromkeys(state.attempts[name].experiment for name in reversed(state.recent)))[:LAST]


def finished_waves(state: State, new: Collection[str]) -> str:
    """Return the last finished waves with their results; those in `new` are marked."""
    return layout.titled(
        "The last finished waves, and their results", layout.newest(waves.finished_texts(state, new), 11_000)
    )


def open_waves(state: State) -> str:
    return layout.titled("Open waves", layout.newest(waves.open_texts(state), 6_000))


def constants(state: State) -> str:
    rows, never_varied = tried_constants(state)
    table = layout.table("Constants: the values that the newest experiments tried", COLUMNS, rows, 4_000)
    untried = f"Never varied: {line(', '.join(never_varied), 1_000)}." if never_varied else ""
    ranges = state.session.ranges
    fixed = [f"{name} ({knob_words(ranges[name])})" for name in ranges if ranges[name].pinned or ranges[name].set_by]
    settings = f"Set by hand: {line('; '.join(fixed), 1_000)}." if fixed else ""
    return "\n".join(filter(None, (table, untried, settings)))


def findings(state: State, summary: str) -> str:
    """Return the newest findings, behind the summary of older ones."""
    lines = layout.newest(
        (
            f"- {line(finding.claim, 300)} ({', '.join(finding.experiments[:6])}; {line(finding.author, 40)})"
            for finding in state.findings[-FINDINGS:]
        ),
        6_000,
    )
    older = len(state.findings) - len(lines)
    if older:
        lines.insert(0, f"{older} older findings are not listed. {clip(plain(summary), 3_000)}".rstrip())
    return layout.titled("Findings so far, oldest first", lines)


def rejected(state: State) -> str:
    """Return the newest rejected waves, and the older runs that were stopped or crashed, with the reasons."""
    listed = set(_last_ended(state))
    ended = [state.attempts[name] for name in state.recent if state.attempts[name].experiment not in listed]
    lines = _rejected_waves(state) + _stopped(state, ended) + _crashed(state, ended)
    return layout.titled("Rejected, stopped or crashed, with the reason: do not propose these again", lines)


def _rejected_waves(state: State) -> list[str]:
    waves_of = [wave for wave in state.waves.values() if wave.status in (WaveStatus.REJECTED, WaveStatus.CANCELLED)]
    return layout.newest(
        (
            f"- {wave.id} ({line(wave.question, 120)}) was {wave.status} by {line(wave.decided_by, 40)}:"
            f" {line(wave.reason or 'no reason given', 300)}"
            for wave in waves_of[-REASONS:]
        ),
        4_000,
    )


def _stopped(state: State, ended: list[Attempt]) -> list[str]:
    stopped = [attempt for attempt in ended if attempt.outcome is Outcome.HOPELESS]
    return layout.newest(
        (
            f"- {attempt.experiment} ({state_views.change_words(state.experiments[attempt.experiment], 100)})"
            f" was stopped early: {line((attempt.message or attempt.cancelling).partition(';')[0], 160)}"
            for attempt in stopped[-REASONS:]
        ),
        2_000,
    )


def _crashed(state: State, ended: list[Attempt]) -> list[str]:
    experiments = (state.experiments[name] for name in dict.fromkeys(attempt.experiment for attempt in ended))
    crashed = [experiment for experiment in experiments if experiment.status is ExperimentStatus.CRASHED]
    return layout.newest(
        (
            f"- {experiment.id} ({state_views.change_words(experiment, 100)}) crashed:"
            f" {words_of_run(experiment.reason)}"
            for experiment in crashed[-REASONS:]
        ),
        2_000,
    )
