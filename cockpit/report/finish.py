"""The commits of a reviewable branch, from a session's state: one for each kept change, with its evidence. Pure."""

import textwrap

import msgspec

from cockpit.core.model import Experiment
from cockpit.core.state import WITHOUT, Incumbency, State
from cockpit.read.changes import change_steps
from cockpit.read.checks import checks_of, unchecked
from cockpit.read.scores import kept_estimate
from cockpit.read.wording import runs_words, signed
from cockpit.report.results import clean
from cockpit.variant.review import KeptStep

SUBJECT_CHARACTERS = 72
LINE_CHARACTERS = 76
SIMULATED = "SIMULATED: "


class Plan(msgspec.Struct, frozen=True):
    steps: tuple[KeptStep, ...]
    last_message: str
    """The message of a last commit, if one is needed to arrive at the best variant."""
    dropped: tuple[str, ...]
    """Kept changes that an ablation has dropped again."""


def plan(state: State) -> Plan:
    """Return the commits from the baseline to the incumbent; without steps if nothing was kept."""
    line = _lineage(state)
    dropped = {state.experiments[one.experiment].levels.get(WITHOUT, "") for one in line} - {""}
    before = [state.baseline, *(one.experiment for one in line)]
    steps = [
        KeptStep(
            before=state.experiments[parent].commit,
            after=state.experiments[one.experiment].commit,
            message=_message(state, one, parent),
            at=one.at,
        )
        for parent, one in zip(before, line, strict=False)
        if one.experiment not in dropped and WITHOUT not in state.experiments[one.experiment].levels
    ]
    names = [name for name in before if name in dropped]
    return Plan(tuple(steps), _last_message(state), tuple(names))


def _lineage(state: State) -> list[Incumbency]:
    """Return the incumbencies that led to the incumbent. If a person went back to an earlier one, it starts there."""
    line: list[Incumbency] = []
    for one in state.incumbencies:
        names = [earlier.experiment for earlier in line]
        if one.experiment == state.baseline:
            line = []
        elif one.experiment in names:
            line = line[: names.index(one.experiment) + 1]
        else:
            line.append(one)
    return line


def _message(state: State, kept: Incumbency, parent: str) -> str:
    experiment = state.experiments[kept.experiment]
    change = change_steps(state, experiment, parent)
    paragraphs = [_subject(state, experiment, change)]
    if state.session.fleet.simulated:
        paragraphs.append("No GPU ran any of this: the evidence is simulated.")
    whole = paragraphs[0].removeprefix(SIMULATED).removesuffix(f" ({experiment.id})") == clean(change)
    paragraphs += ["" if whole else _wrapped(change), _wrapped(experiment.why) if experiment.why not in change else ""]
    paragraphs.append("\n".join(_evidence(state, kept, experiment)))
    trailers = [f"Cockpit-Session: {state.session.name}", f"Cockpit-Experiment: {experiment.id}"]
    if digest := state.certificates.get(experiment.id):
        trailers.append(f"Cockpit-Certificate: {digest}")
    return "\n\n".join(part for part in (*paragraphs, "\n".join(trailers)) if part)


def _subject(state: State, experiment: Experiment, change: str) -> str:
    """Return the first line: the change, or the reason of an edit, shortened to fit, and the experiment."""
    words = clean(experiment.why if experiment.change.edits and experiment.why else change)
    start, end = SIMULATED if state.session.fleet.simulated else "", f" ({experiment.id})"
    return start + textwrap.shorten(words, SUBJECT_CHARACTERS - len(start) - len(end), placeholder=" …") + end


def _evidence(state: State, kept: Incumbency, experiment: Experiment) -> list[str]:
    estimate = kept.estimate or kept_estimate(state, experiment.id)
    metric = state.session.metric
    lines = []
    if estimate is not None:
        low, high = metric.interval(estimate.low, estimate.high)
        gain = f"{metric.name} {signed(metric.value(estimate.mean))} ({metric.better})"
        where = f"{estimate.level:.0%} interval {signed(low)} to {signed(high)}, against {estimate.against}"
        lines.append(f"Gain: {gain}, {where}, {runs_words(estimate)}, {estimate.hardware}")
    else:
        lines.append(f"Gain: not estimated; kept by {clean(kept.author)}")
    runs = ", ".join(f"{len(scores)} on {hardware}" for hardware, scores in experiment.scores.items())
    lines.append(f"Runs: {runs or 'none'}")
    lines.append(f"Verdict: {clean(kept.reason)}")
    if checks := checks_of(state, experiment):
        lines.append(f"Checks: {checks}")
    return [textwrap.fill(line, LINE_CHARACTERS, subsequent_indent="  ") for line in lines]


def _last_message(state: State) -> str:
    """Return the message of a last commit, whose changes belong to no single kept change."""
    name = state.incumbent
    start = SIMULATED if state.session.fleet.simulated else ""
    said = (
        "A kept change was dropped, so the commits before this one were rebuilt without it."
        f" This one has the code of {name}."
    )
    missing = "".join(f"\n\nUnchecked: {line}" for line in unchecked(state))
    return f"{start}Arrive at the measured code of {name}\n\n{_wrapped(said)}{missing}"


def _wrapped(text: str) -> str:
    return textwrap.fill(clean(text), LINE_CHARACTERS)
