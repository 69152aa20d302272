"""A wave from the command line: `MATRIX_LR=0.02,0.04 DEPTH=6,8`."""

from argparse import Namespace

from cockpit.cli.locate import CommandError, session, state_of
from cockpit.cli.steer import forecast_of_wave, leave, tell
from cockpit.control.drafts import draft_of_factors
from cockpit.core.intents import ARMS_AT_MOST, Approve, Draft, Propose
from cockpit.core.model import WaveStatus
from cockpit.decide.ablation import ablations
from cockpit.session.paths import SessionFolder
from cockpit.session.user import user_name


def propose(options: Namespace) -> None:
    """Propose a wave, approved at once where that was asked for, and print what came of it."""
    made = draft_of_factors(
        options.factors,
        proposer=user_name(),
        question=options.question,
        base=options.base,
        replicates=options.replicates,
        validate=options.validate,
        arms_at_most=options.arms or ARMS_AT_MOST,
    )
    _leave(session(options.session), made, options.approve, options.json)


def ablate(options: Namespace) -> None:
    """Propose a wave that drops each kept change once, approved at once where that was asked for."""
    folder = session(options.session)
    made = ablations(state_of(folder))
    if made is None:
        raise CommandError("no kept change is left to drop: a single change on the baseline was measured that way")
    _leave(folder, made, options.approve, options.json)


def _leave(folder: SessionFolder, made: Draft, approve: bool, as_json: bool) -> None:
    taken = leave(folder, Propose(made))
    wave = taken.wave if taken else ""
    if wave and approve and state_of(folder).waves[wave].status is WaveStatus.PROPOSED:
        leave(folder, Approve(wave))
    done = f"{wave} is approved" if approve else f"proposed as {wave}"
    tell(folder, taken, done, as_json, design=made.design, forecast=forecast_of_wave(state_of(folder), wave))
