"""Turn a draft into a proposal: build, check and store each arm as a git commit, and leave duplicates out."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from types import MappingProxyType

import msgspec

from cockpit.core.intents import REPLICATES_AT_MOST, AnyIntent, Arm, Draft, EditProposal, Propose, size_problem
from cockpit.core.model import Change, Experiment, Value, Wave
from cockpit.core.seeds import IS_A_SEED
from cockpit.core.state import State, constants_of
from cockpit.decide.intents.request import Prepared, Refused, waiting_proposal
from cockpit.variant.editable import accepted_in
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import is_seed_name
from cockpit.variant.store import Variant, VariantStore

_NO_WAVE = Wave("", "", "")


def arms_of(draft: Draft) -> tuple[Arm, ...]:
    """Return the draft's arms; with factors alone they are the full grid. Raises Refused, before it is expanded."""
    if problem := size_problem(draft):
        raise Refused(problem)
    if draft.arms or not draft.factors:
        return draft.arms
    names = list(draft.factors)
    arms = []
    for cell in product(*draft.factors.values()):
        levels: dict[str, Value] = dict(zip(names, cell, strict=True))
        arms.append(Arm(Change(constants=levels), levels=levels))
    return tuple(arms)


def measures_again(arm: Arm) -> bool:
    """Return True if the arm is an experiment of an earlier wave that is measured again unchanged."""
    return bool(arm.experiment) and not arm.change.constants and not arm.change.edits


def _base_of(state: State, draft: Draft) -> str:
    """Return the experiment that the draft builds on. Raises Refused if it does not exist."""
    base = draft.base or state.incumbent or state.baseline
    if base not in state.experiments:
        raise Refused(f"there is no experiment {base!r} to build on" if base else "there is no baseline yet")
    return base


def prepare(store: VariantStore, state: State, intent: AnyIntent, author: str, at: float) -> Prepared | None:
    """Store the code that an intent brings; None for one that brings none. Raises Refused or VariantError."""
    match intent:
        case Propose(draft=draft):
            draft = draft if draft.proposer else msgspec.structs.replace(draft, proposer=author)
            return prepare_wave(store, state, draft, at)
        case EditProposal(wave=name, draft=draft, what=what):
            return _prepare_edit(store, state, waiting_proposal(state, name), draft, f"{author}: {what}", at)
    return None


def prepare_wave(store: VariantStore, state: State, draft: Draft, at: float) -> Prepared:
    """Make a draft's wave and store its variants. Raises Refused if nothing of it can run."""
    base = _base_of(state, draft)
    wave_id = state.next_wave_id()
    experiments, problems = _build(store, state, draft, base, wave_id, state.next_experiment_id, at)
    again = [arm.experiment for arm in draft.arms if measures_again(arm)]
    for name in again:
        if name not in state.experiments:
            raise Refused(f"there is no experiment {name!r} to measure again")
    if not experiments and not again:
        raise Refused(*problems or ["the draft has no arms: give factors with levels, or arms"])
    wave = Wave(
        id=wave_id,
        proposer=draft.proposer,
        question=draft.question,
        kind=draft.kind,
        hypothesis=draft.hypothesis,
        base=base,
        factors=draft.factors,
        design=draft.design,
        arms=[experiment.id for experiment in experiments],
        again=again,
        replicates=_replicates(draft),
        would_change_mind=draft.would_change_mind,
        tier=draft.tier,
        rank=float(len(state.waves)),
        proposed_at=at,
    )
    return Prepared(wave, experiments, tuple(problems))


def _prepare_edit(store: VariantStore, state: State, wave: Wave, draft: Draft, edit: str, at: float) -> Prepared:
    """Make a waiting proposal as a person changed it. Raises Refused if any arm of it cannot run."""
    base = _base_of(state, draft)
    unchanged = _unchanged_arms(state, wave, draft, base)
    tried = {f: x for f, x in state.by_fingerprint.items() if x not in wave.arms}
    tried.update({experiment.fingerprint: experiment.id for experiment in unchanged.values()})
    numbers = iter(range(len(state.experiments)))
    experiments, problems = _build(
        store, state, draft, base, wave.id, lambda n: state.next_experiment_id(next(numbers)), at, tried, unchanged
    )
    if problems:
        for name in wave.arms:
            store.restore(name, state.experiments[name].commit)
        raise Refused(problems[0])
    if not experiments:
        raise Refused("a wave needs at least one arm: reject it instead")
    changed = msgspec.structs.replace(
        wave,
        question=draft.question or wave.question,
        hypothesis=draft.hypothesis or wave.hypothesis,
        base=base,
        factors=draft.factors,
        design=draft.design,
        arms=[experiment.id for experiment in experiments],
        tier=draft.tier,
        edits=[*wave.edits, edit],
    )
    return Prepared(changed, experiments)


def _unchanged_arms(state: State, wave: Wave, draft: Draft, base: str) -> dict[str, Experiment]:
    """Return the proposal's arms whose code the edit leaves alone. They keep their commits."""
    if base != wave.base:
        return {}
    arms = {arm.experiment: arm for arm in draft.arms if arm.experiment in wave.arms}
    return {
        name: msgspec.structs.replace(
            state.experiments[name], levels=arm.levels, tier=draft.tier, replicates=_replicates(draft)
        )
        for name, arm in arms.items()
        if arm.change == state.experiments[name].change
    }


def _build(
    store: VariantStore,
    state: State,
    draft: Draft,
    base: str,
    wave: str,
    new_id: Callable[[int], str],
    at: float,
    tried: dict[str, str] | None = None,
    unchanged: Mapping[str, Experiment] = MappingProxyType({}),
) -> tuple[list[Experiment], list[str]]:
    """Build each arm as an experiment with its commit. Returns (experiments, a sentence for each arm left out)."""
    if refusal := _fixed(state, draft.factors):
        return [], [refusal]
    arms = arms_of(draft)
    tried = dict(state.by_fingerprint if tried is None else tried)
    experiments: list[Experiment] = []
    problems: list[str] = []
    for number, arm in enumerate(arms, 1):
        if measures_again(arm) and arm.experiment not in state.waves.get(wave, _NO_WAVE).arms:
            continue
        if arm.experiment in unchanged:
            experiments.append(unchanged[arm.experiment])
            continue
        if refusal := _fixed(state, arm.change.constants):
            problems.append(f"{_named(number, arm)}: {refusal}")
            continue
        name = arm.experiment or new_id(len(experiments))
        try:
            variant = store.put(name, state.experiments[base].commit, arm.change, _message(arm, draft), at=at)
        except VariantError as error:
            problems.append(f"{_named(number, arm)}: {error}")
            continue
        twin = tried.get(variant.fingerprint)
        if twin is not None:
            problems.append(f"{_named(number, arm)} has the code of {twin}, which was tried or waits already")
            continue
        tried[variant.fingerprint] = name
        experiments.append(_experiment(store, state, name, wave, base, arm, draft, variant))
    return experiments, problems


def _fixed(state: State, names: Iterable[str]) -> str:
    """Return the refusal of a change of a seed or of a pinned constant; empty if none of the names is one."""
    fixed, ranges = list(names), state.session.ranges
    seeds = [name for name in fixed if is_seed_name(name) or (name in ranges and ranges[name].excluded == IS_A_SEED)]
    if seeds:
        return f"{', '.join(seeds)} cannot be varied: it is a seed, and a lucky seed is not a gain"
    pinned = ", ".join(name for name in fixed if name in ranges and ranges[name].pinned)
    if not pinned:
        return ""
    by = next((ranges[name].set_by for name in fixed if name in ranges and ranges[name].pinned), "")
    return f"{pinned} cannot be varied: {by or '[research.knobs] of cockpit.toml'} pins it"


def _named(number: int, arm: Arm) -> str:
    """Name an arm by its levels: `arm 5 (DEPTH=8, WIDTH=640)`."""
    levels = ", ".join(f"{name}={value}" for name, value in list(arm.change.constants.items())[:6])
    return f"arm {number}" + (f" ({levels})" if levels else "")


def _experiment(
    store: VariantStore, state: State, name: str, wave: str, base: str, arm: Arm, draft: Draft, variant: Variant
) -> Experiment:
    baseline = state.session.constants
    if arm.change.edits:
        constants = store.constants(variant.commit)
    else:
        texts = store.texts(state.experiments[base].commit)
        constants = constants_of(state, base) | accepted_in(texts, arm.change.constants)
    return Experiment(
        id=name,
        wave=wave,
        base=base,
        change=arm.change,
        commit=variant.commit,
        train_hash=variant.train_hash,
        prepare_hash=variant.prepare_hash,
        file_hashes=variant.file_hashes,
        fingerprint=variant.fingerprint,
        overrides={k: v for k, v in constants.items() if baseline.get(k) != v},
        levels=arm.levels,
        why=arm.why or draft.question,
        fixes=arm.fixes,
        tier=draft.tier,
        replicates=_replicates(draft),
        lines_added=variant.lines_added,
        lines_removed=variant.lines_removed,
    )


def _replicates(draft: Draft) -> int:
    return max(1, min(REPLICATES_AT_MOST, draft.replicates))


def _message(arm: Arm, draft: Draft) -> str:
    what = ", ".join(f"{name} = {value}" for name, value in arm.change.constants.items())
    if arm.change.edits:
        edits = f"{len(arm.change.edits)} edits"
        what = f"{what}, {edits}" if what else edits
    return f"{what or 'no change'}\n\n{arm.why or draft.question}\n\nProposed by {draft.proposer}."
