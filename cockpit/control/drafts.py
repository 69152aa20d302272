"""Make drafts of waves from factors, and edit them by level, factor, arm and replicates. An edit returns a new
draft."""

from collections.abc import Container, Iterable

import msgspec

from cockpit.control.values import BadArgument, parse_count, parse_factor, parse_levels, parse_value
from cockpit.core.intents import ARMS_AT_MOST, REPLICATES_AT_MOST, Arm, Draft, size_problem
from cockpit.core.model import Change, Tier, Value, Wave
from cockpit.core.state import State, constants_of
from cockpit.science.factorial_arms import factorial_arms


def draft_of_factors(
    factors: Iterable[str], *, question: str = "", base: str = "", replicates: int = 1, validate: bool = False,
    arms_at_most: int = ARMS_AT_MOST,
) -> Draft:  # fmt: skip
    """Make the grid of `NAME=LEVEL,LEVEL` words, or a fraction of a grid with too many arms. Raises BadArgument.

    The worker fills in the intent's author as its proposer.
    """
    found: dict[str, list[Value]] = {}
    for name, levels in map(parse_factor, factors):
        if name in found:
            raise BadArgument(f"{name} is given twice: give all its levels at once")
        found[name] = levels
    if problem := size_problem(Draft("", "", factors={name: levels[:1] for name, levels in found.items()})):
        raise BadArgument(problem)
    try:
        arms, fraction = factorial_arms(found, arms_at_most)
    except ValueError as error:
        raise BadArgument(str(error)) from None
    what = "what does it do?" if len(found) == 1 else "what do they do?"
    return Draft(
        proposer="",
        question=question or f"{' and '.join(found)}: {what}",
        base=base,
        factors=found,
        design=fraction,
        arms=arms,
        tier=Tier.VALIDATE if validate else Tier.SCREEN,
        replicates=replicates,
    )


def draft_of_wave(state: State, wave: Wave) -> Draft:
    """Return the draft that would make the proposal again."""
    arms = tuple(
        Arm(arm.change, why=arm.why, levels=arm.levels, experiment=arm.id, fixes=arm.fixes)
        for arm in (state.experiments[name] for name in wave.arms)
    )
    replicates = state.experiments[wave.arms[0]].replicates if wave.arms else wave.replicates
    return Draft(
        proposer=wave.proposer,
        question=wave.question,
        hypothesis=wave.hypothesis,
        base=wave.base,
        factors=wave.factors,
        design=wave.design,
        arms=arms,
        tier=wave.tier,
        replicates=replicates,
        would_change_mind=wave.would_change_mind,
        kind=wave.kind,
    )


def on_incumbent(state: State, wave: Wave) -> Draft:
    """Return the draft of a proposal with the incumbent as its base. Raises BadArgument."""
    name = state.incumbent
    if not name or wave.base == name:
        raise BadArgument(f"{wave.id} is on the incumbent already" if name else "there is no incumbent yet")
    try:
        return with_base(state, draft_of_wave(state, wave), name)
    except NoArmLeft as error:
        raise BadArgument(f"every arm of {wave.id} is part of {name} already: reject it") from error


class NoArmLeft(BadArgument):
    """An edit that leaves a proposal without an arm."""


def with_base(state: State, draft: Draft, name: str) -> Draft:
    """Put a draft on another experiment. Arms that would change nothing there are left out. Raises BadArgument."""
    if name not in state.experiments:
        raise BadArgument(f"there is no experiment {name!r} to build on")
    held = constants_of(state, name)
    arms = tuple(
        arm
        for arm in draft.arms
        if arm.change.edits or any(held.get(key) != level for key, level in arm.change.constants.items())
    )
    if not arms:
        raise NoArmLeft(f"every arm is part of {name} already: reject the proposal instead")
    return msgspec.structs.replace(draft, base=name, arms=arms)


def with_level(draft: Draft, experiment: str, name: str, text: str) -> Draft:
    """Set one arm's level of a factor. Raises BadArgument."""
    level = parse_value(text)
    arms = tuple(_with_constant(arm, name, level) if arm.experiment == experiment else arm for arm in draft.arms)
    return _with_arms(draft, arms)


def with_levels(draft: Draft, name: str, text: str) -> Draft:
    """Set all levels of a factor. Raises BadArgument.

    A new level takes the place of one that is gone, in the same arms. Further new ones repeat the arms; arms of levels
    that are gone are left out.
    """
    old, new = draft.factors[name], parse_levels(text)
    if any(level in new[:number] for number, level in enumerate(new)):
        raise BadArgument("a level is given twice")
    gone, fresh = [level for level in old if level not in new], [level for level in new if level not in old]
    if not gone and not fresh:
        return draft
    arms: list[Arm] = []
    for arm in draft.arms:
        level = arm.levels.get(name)
        at = gone.index(level) if level in gone else -1
        if at < 0:
            arms.append(arm)
        elif at < len(fresh):
            arms.append(_with_constant(arm, name, fresh[at]))
    repeated = {_without(arm, name): arm for arm in reversed(draft.arms) if name in arm.levels}
    for level in fresh[len(gone) :]:
        again = (_with_constant(arm, name, level) for arm in reversed(repeated.values()))
        arms += [msgspec.structs.replace(arm, experiment="") for arm in again]
    _check_size(arms)
    changed = _with_arms(draft, tuple(arms))
    return msgspec.structs.replace(changed, design=draft.design) if len(gone) == len(fresh) else changed


def with_factor(draft: Draft, text: str) -> Draft:
    """Repeat every arm for each level of `NAME = LEVEL, LEVEL`. Raises BadArgument."""
    name, levels = parse_factor(text)
    if len(draft.arms) * len(levels) > ARMS_AT_MOST:
        raise BadArgument(f"{len(draft.arms)} arms x {len(levels)} levels are too many: at most {ARMS_AT_MOST} arms")
    if name in draft.factors:
        raise BadArgument(f"{name} is a factor already: edit its levels")
    arms = tuple(
        msgspec.structs.replace(
            _with_constant(arm, name, level), experiment=arm.experiment if number == 0 else ""
        )
        for arm in draft.arms
        for number, level in enumerate(levels)
    )  # fmt: skip
    return _with_arms(draft, arms)


def without_factor(draft: Draft, name: str) -> Draft:
    """Drop a factor; arms that become equal are merged. Raises BadArgument if no arm is left."""
    arms: list[Arm] = []
    seen: set[str] = set()
    for arm in draft.arms:
        constants = {key: level for key, level in arm.change.constants.items() if key != name}
        levels = {key: level for key, level in arm.levels.items() if key != name}
        key = _without(arm, name)
        if key not in seen and (constants or arm.change.edits):
            seen.add(key)
            arms.append(_changed(arm, constants, levels))
    if not arms:
        raise BadArgument(f"no arm is left without {name}: reject the proposal instead")
    return _with_arms(draft, tuple(arms))


def arm_key(arm: Arm) -> str:
    """Return the key of an arm in its draft: the experiment that it is already, else its change."""
    return arm.experiment or _without(arm, "")


def without_arms(draft: Draft, dropped: Container[str]) -> Draft:
    """Drop the arms with these keys. Raises BadArgument if none is left."""
    arms = tuple(arm for arm in draft.arms if arm_key(arm) not in dropped)
    if not arms:
        raise NoArmLeft("a wave needs at least one arm: reject the proposal instead")
    return _with_arms(draft, arms) if len(arms) < len(draft.arms) else draft


def with_replicates(draft: Draft, text: str) -> Draft:
    """Set the number of runs of each arm. Raises BadArgument."""
    replicates = parse_count(text)
    if replicates > REPLICATES_AT_MOST:
        raise BadArgument(f"{text!r} is invalid: expected an integer from 1 to {REPLICATES_AT_MOST}")
    return msgspec.structs.replace(draft, replicates=replicates)


def _without(arm: Arm, name: str) -> str:
    """Return a key that is the same for arms which differ in one constant only."""
    constants = sorted((key, level) for key, level in arm.change.constants.items() if key != name)
    return repr((constants, arm.change.edits))


def _check_size(arms: list[Arm]) -> None:
    if len(arms) > ARMS_AT_MOST:
        raise BadArgument(f"{len(arms)} arms are too many for one wave: at most {ARMS_AT_MOST}")


def _with_constant(arm: Arm, name: str, level: Value) -> Arm:
    return _changed(arm, {**arm.change.constants, name: level}, {**arm.levels, name: level})


def _changed(arm: Arm, constants: dict[str, Value], levels: dict[str, Value]) -> Arm:
    return msgspec.structs.replace(arm, change=Change(constants=constants, edits=arm.change.edits), levels=levels)


def _with_arms(draft: Draft, arms: tuple[Arm, ...]) -> Draft:
    """Replace the arms, and derive the factors from their levels."""
    factors: dict[str, list[Value]] = {}
    for arm in arms:
        for name, level in arm.levels.items():
            levels = factors.setdefault(name, [])
            if level not in levels:
                levels.append(level)
    return msgspec.structs.replace(draft, arms=arms, factors=factors, design="")
