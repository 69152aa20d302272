"""Drafts from the arguments of propose_wave: grids become arms, references and repetitions are checked."""

from contextlib import suppress

from cockpit.agent import arguments
from cockpit.agent.views.quoting import plain
from cockpit.agent.views.state_views import crash_root, crashes_of_idea
from cockpit.core.errors import CockpitError
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Edit, ExperimentStatus, Mode, Tier, Value, WaveStatus
from cockpit.core.state import State
from cockpit.science.factorial_arms import factorial_arms

MAX_FIXES_PER_IDEA = 2
"""The number of times that a crashed idea may be tried again."""


class ProposalError(CockpitError):
    """The proposal is invalid. The message says what is wrong and what to do instead."""


def draft_of(
    state: State, proposer: str, wave: arguments.ProposeWave, scratch: tuple[str, tuple[Edit, ...]] | None = None
) -> Draft:
    """Return the draft that `wave` describes, on the base and with the edits of `scratch`. Raises ProposalError.

    A draft's factors set constants only. A grid with edits therefore becomes arms here, as does the fraction of a grid
    with too many cells.
    """
    _check_shape(wave)
    _check_references(state, wave)
    base, from_scratch = scratch or (wave.base or "", ())
    if scratch and not from_scratch:
        raise ProposalError("Your scratch checkout is the incumbent's: edit a file first, or give edits.")
    if scratch and wave.base not in (None, base):
        raise ProposalError(f"Your scratch checkout is of {base}: leave `base` out.")
    common = (*from_scratch, *(Edit(edit.search, edit.replace, edit.path) for edit in wave.edits))
    arms = [_arm(arm, common) for arm in wave.arms]
    if from_scratch and not arms and not wave.factors:
        arms = [Arm(Change({}, common), why=plain(wave.hypothesis or wave.question))]
    fraction = ""
    if not arms:
        try:
            cells, fraction = _grid_arms(state, wave, common)
        except ValueError as error:
            raise ProposalError(f"The grid is too large, even as a fraction: {error}.") from None
        arms = list(cells) if common or fraction else []
    draft = Draft(
        proposer=proposer,
        question=plain(wave.question),
        hypothesis=plain(wave.hypothesis),
        base=base,
        factors={name: list(levels) for name, levels in wave.factors.items()},
        design=fraction,
        arms=tuple(arms),
        tier=Tier(wave.tier),
        replicates=wave.replicates,
        would_change_mind=plain(wave.would_change_mind),
    )
    _check_new(state, draft)
    return draft


def _grid_arms(state: State, wave: arguments.ProposeWave, common: tuple[Edit, ...]) -> tuple[tuple[Arm, ...], str]:
    """Return the arms of a grid, and the fraction in words.

    In autopilot mode, a wave larger than the envelope allows would wait for a person who may be away. A fraction that
    fits the envelope is preferred, so the wave waits only if no fraction fits.
    """
    if state.mode is Mode.AUTOPILOT and state.envelope.wave_size < arguments.MOST_ARMS:
        with suppress(ValueError):
            return factorial_arms(wave.factors, state.envelope.wave_size, common)
    return factorial_arms(wave.factors, arguments.MOST_ARMS, common)


def _arm(arm: arguments.ArmArguments, common: tuple[Edit, ...]) -> Arm:
    if arm.measure_again:
        return Arm(Change(), why=plain(arm.why), experiment=arm.measure_again)
    edits = common + tuple(Edit(edit.search, edit.replace, edit.path) for edit in arm.edits)
    levels: dict[str, Value] = dict(arm.levels)
    return Arm(Change(dict(arm.constants), edits), why=plain(arm.why), levels=levels, fixes=arm.fixes or "")


def _check_shape(wave: arguments.ProposeWave) -> None:
    if not (wave.arms or wave.factors or wave.from_scratch):
        raise ProposalError("Give factors with their levels for a grid, or arms with constants or edits.")
    for name, levels in wave.factors.items():
        if any(level in levels[:at] for at, level in enumerate(levels)):
            raise ProposalError(f"Factor {name} has a level twice.")
    for number, arm in enumerate(wave.arms):
        if arm.measure_again and (arm.constants or arm.edits or arm.fixes):
            raise ProposalError(f"Arm {number} measures {arm.measure_again} again, so it cannot change anything.")
        if not (arm.measure_again or arm.constants or arm.edits or wave.edits or wave.from_scratch):
            raise ProposalError(f"Arm {number} changes nothing: give constants, edits, or measure_again.")
        for name, level in arm.levels.items():
            if name not in wave.factors or level not in wave.factors[name]:
                raise ProposalError(f"Arm {number} is at {name}={level!r}, which is not a level of the wave's factors.")


def _check_references(state: State, wave: arguments.ProposeWave) -> None:
    named = [wave.base, *(arm.measure_again for arm in wave.arms), *(arm.fixes for arm in wave.arms)]
    for name in named:
        if name and name not in state.experiments:
            raise ProposalError(f"There is no experiment {name}; query_experiments lists them.")
    for arm in wave.arms:
        again = state.experiments[arm.measure_again] if arm.measure_again else None
        if again and not again.scores:
            raise ProposalError(f"{again.id} is {again.status}: only a measured experiment can be measured again.")
        if not arm.fixes:
            continue
        if state.experiments[arm.fixes].status is not ExperimentStatus.CRASHED:
            raise ProposalError(f"{arm.fixes} did not crash: propose the arm without `fixes`.")
        if crashes_of_idea(state, arm.fixes) > MAX_FIXES_PER_IDEA:
            raise ProposalError(
                f"The idea of {crash_root(state, arm.fixes)} has crashed {MAX_FIXES_PER_IDEA + 1} times: drop it"
                " and propose something else."
            )


def _check_new(state: State, draft: Draft) -> None:
    """Raise ProposalError if an earlier wave repeats the same measurement.

    Repeated code is found later, by its fingerprint when it is stored. A repeated measurement has no new code.
    """
    again = {arm.experiment for arm in draft.arms if arm.experiment}
    if not again:
        return
    for wave_id in [*state.proposals, *list(state.waves)[-20:]]:
        wave = state.waves[wave_id]
        if wave.status in (WaveStatus.REJECTED, WaveStatus.CANCELLED) or wave.tier is not draft.tier:
            continue
        if again & set(wave.again) and wave.question == draft.question:
            raise ProposalError(f"{wave.id} already measures that again, for the same question.")
