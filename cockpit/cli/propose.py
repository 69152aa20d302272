"""A wave from the command line: `MATRIX_LR=0.02,0.04 DEPTH=6,8`."""

import ast
from argparse import Namespace

from cockpit.agent.proposers.factorial_arms import spread
from cockpit.cli.locate import CommandError, session, state_of
from cockpit.cli.steer import forecast_of_wave, leave, tell
from cockpit.core.intents import Approve, Draft, Propose
from cockpit.core.model import Tier, Value, WaveStatus
from cockpit.session.paths import SessionFolder
from cockpit.session.worker_process import user_name
from cockpit.worker.intake import ARMS_AT_MOST


def propose(given: Namespace) -> None:
    """Leave the wave for the worker, approved at once where that was asked for, and say what came of it."""
    made = draft(
        given.factors, given.question, given.base, given.replicates, given.validate, given.arms or ARMS_AT_MOST
    )
    _leave(session(given.session), made, given.approve, given.json)


def ablate(given: Namespace) -> None:
    """Leave a wave that drops each kept change once, approved at once where that was asked for."""
    from cockpit.agent.proposers.ablate import ablations

    folder = session(given.session)
    made = ablations(state_of(folder))
    if made is None:
        raise CommandError("nothing was kept that is still to be dropped: one change on the baseline was measured so")
    _leave(folder, made, given.approve, given.json)


def _leave(folder: SessionFolder, made: Draft, approve: bool, as_json: bool) -> None:
    taken = leave(folder, Propose(made))
    if taken is not None and approve and not _is_approved(folder, taken.wave):
        leave(folder, Approve(taken.wave))
    wave = taken.wave if taken else ""
    done = f"{wave} is approved" if approve else f"proposed as {wave}"
    tell(folder, taken, done, as_json, design=made.design, forecast=forecast_of_wave(state_of(folder), wave))


def _is_approved(folder: SessionFolder, wave: str) -> bool:
    """Whether the envelope has approved it meanwhile."""
    return state_of(folder).waves[wave].status is not WaveStatus.PROPOSED


def draft(factors: list[str], question: str, base: str, replicates: int, validate: bool, arms_at_most: int) -> Draft:
    """The draft that the words give: the grid of the factors' levels, or a fraction of it. Raises CommandError."""
    found: dict[str, list[Value]] = {}
    for word in factors:
        name, sign, levels = word.partition("=")
        if not sign or not name.isidentifier() or not levels:
            raise CommandError(f"{word!r} is no factor: write NAME=VALUE,VALUE… such as MATRIX_LR=0.02,0.04")
        found[name] = _levels(name, levels)
    try:
        arms, said = spread(found, arms_at_most)
    except ValueError as error:
        raise CommandError(str(error)) from None
    asked = question or f"what {'does' if len(found) == 1 else 'do'} {' and '.join(found)} do?"
    return Draft(
        proposer=user_name(),
        question=asked,
        base=base,
        factors=found,
        design=said,
        arms=arms,
        tier=Tier.VALIDATE if validate else Tier.SCREEN,
        replicates=replicates,
    )


def _levels(name: str, text: str) -> list[Value]:
    """`1,2` is two numbers, `(0.8,0.9),(0.9,0.95)` two tuples, `SSSL,L` two words."""
    try:
        read = ast.literal_eval(f"[{text}]")
    except (ValueError, SyntaxError):
        read = [part.strip().strip("'\"") for part in text.split(",")]
    levels: list[Value] = []
    for level in read:
        value = list(level) if isinstance(level, tuple) else level
        if not isinstance(value, bool | int | float | str | list) or value == "":
            raise CommandError(f"{level!r} cannot be a level of {name}: give numbers, words or tuples")
        levels.append(value)
    return levels
