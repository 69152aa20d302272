"""The findings of a session, for later sessions of its repository, and their trial in those.

The lists are bounded, whatever the session's size. Differences are in scores, negative is better; words are in values
of the metric.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from cockpit.core.model import (
    Change,
    Edit,
    Estimate,
    Experiment,
    ExperimentStatus,
    Finding,
    Value,
    Wave,
    WaveKind,
    WaveStatus,
)
from cockpit.core.prior import PriorFinding, PriorKind
from cockpit.core.state import WITHOUT, State, constants_of
from cockpit.read.changes import change_steps, change_words
from cockpit.read.effects import effects_of, gain_of, is_clear
from cockpit.read.scores import kept_estimate, kept_experiments
from cockpit.read.wording import count, difference_words, span_words, value
from cockpit.science.effects import FactorEffect
from cockpit.variant.code_changes import CodeParts, changed_parts

KEEPS, EFFECTS, CRASHES, FINDINGS = 12, 10, 6, 8
"""Most findings of each kind from one session: the newest keeps, the clearest effects, the newest others."""
WAVES_READ = 40
TRIED_FIRST = 12
"""Number of the largest earlier gains that are tried first, unasked."""
SEARCHED = 400
"""The first experiments, among which those that tried a finding are looked for: findings are tried first."""
EDIT_CHARS = 2_000
TEXT_CHARS = 300
PARTS_NAMED = 4


def findings_of(state: State) -> list[PriorFinding]:
    """Return the session's findings with their evidence: its final incumbent, keeps, effects, crashes, recorded
    conclusions."""
    source = f"session {state.session.name}"
    waves = [wave for wave in reversed(state.waves.values()) if wave.kind is not WaveKind.BASELINE][:WAVES_READ]
    return [
        *_end(state, source),
        *(_keep(state, source, name) for name in reversed(kept_experiments(state)[-KEEPS:])),
        *_effects(state, source, waves),
        *_crashes(state, source, waves),
        *(_words(state, source, one) for one in reversed(state.findings[-FINDINGS:])),
    ]


def code_change(finding: PriorFinding, constants: Mapping[str, Value], old: CodeParts | None, new: CodeParts) -> str:
    """Return how the code under a finding differs from the code `new` with these constants, in a clause.

    `old` is the code that it was found in; None if the repository no longer has it. Empty if nothing differs.
    """
    if in_baseline(constants, finding) and not finding.edited:
        return "the baseline has it already"
    names = list(dict.fromkeys((*finding.constants, *finding.before)))
    words = [f"{name} is gone" for name in names if name not in constants]
    words += [
        f"{name} was {value(was)} and is {value(constants[name])}"
        for name, was in finding.before.items()
        if name in constants and constants[name] not in (was, finding.constants.get(name))
    ]
    if any(new.text.count(edit.search) != 1 for edit in finding.edits):
        words.append("its edit does not apply")
    if not finding.commit:
        return ", ".join((*words, "the code it was found in is unknown"))
    if old is None:
        words.append("the code it was found in is not in the repository")
    elif parts := changed_parts(old, new, names):
        left_out = len(parts) - PARTS_NAMED
        words.append(", ".join(parts[:PARTS_NAMED]) + (f" and {left_out} more" if left_out > 0 else "") + " changed")
    return ", ".join(words)


def where_tried(state: State, finding: PriorFinding, searched: Collection[str]) -> str:
    """Return the first of the experiments `searched` that set all values of a finding here; empty for none."""
    if not finding.constants:
        return ""
    baseline = state.session.constants
    for name in searched:
        overrides = state.experiments[name].overrides
        wanted = finding.constants.items()
        if all(overrides.get(constant, baseline.get(constant)) == found for constant, found in wanted):
            return name
    return ""


def in_baseline(constants: Mapping[str, Value], finding: PriorFinding) -> bool:
    """Return True if code with these constants has all values of the finding already."""
    return bool(finding.constants) and all(constants.get(name) == found for name, found in finding.constants.items())


def first_to_try(state: State) -> list[PriorFinding]:
    """Return the gains in constants alone that no experiment here has tried yet, the largest first."""
    gains = [one for one in state.prior if one.is_gain and one.constants and not one.edited]
    gains.sort(key=lambda finding: finding.difference)
    searched = list(islice(state.experiments, SEARCHED))
    return [one for one in gains[:TRIED_FIRST] if not where_tried(state, one, searched)]


def estimate_clause(state: State, estimate: Estimate) -> str:
    """Return `val_bpb −0.0021 [−0.0030, −0.0012], 6 runs on H100`."""
    metric = state.session.metric
    return (
        f"{metric.name} {difference_words(metric, estimate.mean)} {span_words(metric, estimate)},"
        f" {count(estimate.runs, 'run')} on {estimate.hardware}"
    )


def _end(state: State, source: str) -> Iterator[PriorFinding]:
    """Yield the incumbent with all its changes, where it is more than one keep."""
    if not state.incumbent or state.incumbent == state.baseline or len(kept_experiments(state)) < 2:
        return
    experiment = state.experiments[state.incumbent]
    baseline = state.session.constants
    constants = {name: found for name, found in experiment.overrides.items() if baseline.get(name) != found}
    gain = gain_of(state)
    words = ", ".join(f"{name} {value(found)}" for name, found in constants.items())
    yield PriorFinding(
        source,
        PriorKind.INCUMBENT,
        f"ended with {experiment.id}: {words or 'edits of code'}"[:TEXT_CHARS],
        evidence=f"{experiment.id} against its baseline {state.baseline}"
        + (f", {estimate_clause(state, gain.pooled)}" if gain else ""),
        constants=constants,
        before=_held(baseline, constants),
        edited=_is_edited(state, experiment),
        difference=gain.pooled.mean if gain else 0.0,
        commit=_commit(state, state.baseline),
    )


def _keep(state: State, source: str, name: str) -> PriorFinding:
    experiment, estimate = state.experiments[name], kept_estimate(state, name)
    against = estimate.against if estimate is not None else experiment.base
    against = against if against in state.experiments else state.baseline
    old = constants_of(state, against)
    new = constants_of(state, name)
    changed = {constant: found for constant, found in new.items() if old.get(constant) != found}
    return PriorFinding(
        source,
        PriorKind.KEPT,
        f"kept {change_steps(state, experiment, against)}"[:TEXT_CHARS],
        evidence=f"{name} against {against}" + (f", {estimate_clause(state, estimate)}" if estimate else ""),
        constants=changed,
        before=_held(old, changed),
        edits=_shown(experiment.change),
        edited=bool(experiment.change.edits),
        difference=estimate.mean if estimate else 0.0,
        commit=_commit(state, experiment.base or against),
    )


def _effects(state: State, source: str, waves: list[Wave]) -> list[PriorFinding]:
    found: list[tuple[float, PriorFinding]] = []
    for wave in waves:
        if wave.status is not WaveStatus.DONE or not wave.factors or WITHOUT in wave.factors:
            continue
        for effect in effects_of(state, wave.id).main:
            estimate = effect.estimate
            if is_clear(estimate):
                clearness = abs(estimate.mean) / max(estimate.high - estimate.low, 1e-12)
                found.append((clearness, _effect(state, source, wave, effect)))
    found.sort(key=lambda pair: -pair[0])
    return [finding for _, finding in found[:EFFECTS]]


def _effect(state: State, source: str, wave: Wave, effect: FactorEffect) -> PriorFinding:
    (name,), (level,), (against,) = effect.factors, effect.levels, effect.against
    better = "better" if effect.estimate.mean < 0 else "worse"
    return PriorFinding(
        source,
        PriorKind.EFFECT,
        f"{name} {value(level)} is {better} than {value(against)}"[:TEXT_CHARS],
        evidence=f"{wave.id}, {estimate_clause(state, effect.estimate)}",
        constants={name: level},
        before={name: against},
        difference=effect.estimate.mean,
        commit=_commit(state, wave.base),
    )


def _crashes(state: State, source: str, waves: list[Wave]) -> list[PriorFinding]:
    found: dict[str, PriorFinding] = {}
    for experiment in (state.experiments[arm] for wave in waves for arm in wave.arms):
        if experiment.status is not ExperimentStatus.CRASHED:
            continue
        words = change_words(experiment)
        if words not in found:
            found[words] = _crash(state, source, experiment, words)
        if len(found) == CRASHES:
            break
    return list(found.values())


def _crash(state: State, source: str, experiment: Experiment, words: str) -> PriorFinding:
    return PriorFinding(
        source,
        PriorKind.CRASH,
        f"{words} crashed: {experiment.reason}"[:TEXT_CHARS],
        evidence=f"{experiment.id}, {count(len(experiment.attempts), 'run')}",
        constants=dict(experiment.change.constants),
        edited=bool(experiment.change.edits),
        before=_held(constants_of(state, experiment.base or state.baseline), experiment.change.constants),
        commit=_commit(state, experiment.base),
    )


def _words(state: State, source: str, finding: Finding) -> PriorFinding:
    known = [state.experiments[name] for name in finding.experiments[:6] if name in state.experiments]
    base = next((one.base for one in known if one.base), state.baseline)
    touched = [constant for one in known for constant in one.change.constants]
    return PriorFinding(
        source,
        PriorKind.FINDING,
        finding.claim[:TEXT_CHARS],
        evidence=", ".join(one.id for one in known),
        before=_held(constants_of(state, base), touched) if base in state.experiments else {},
        commit=_commit(state, base),
    )


def _is_edited(state: State, experiment: Experiment) -> bool:
    """Return True if the experiment or one of those it is built on edits code."""
    while not experiment.change.edits and experiment.base in state.experiments:
        experiment = state.experiments[experiment.base]
    return bool(experiment.change.edits)


def _held(constants: Mapping[str, Value], names: Collection[str]) -> dict[str, Value]:
    return {name: constants[name] for name in names if name in constants}


def _shown(change: Change) -> tuple[Edit, ...]:
    length = sum(len(edit.search) + len(edit.replace) for edit in change.edits)
    return change.edits if length <= EDIT_CHARS else ()


def _commit(state: State, name: str) -> str:
    return state.experiments[name].commit if name in state.experiments else ""
