"""The first proposal of a session: the unchanged code."""

from cockpit.core.events import Proposed
from cockpit.core.model import Change, Experiment, Wave, WaveKind
from cockpit.core.session import Session
from cockpit.variant.store import Variant


def baseline_wave(
    variant: Variant, session: Session, at: float, wave_id: str = "w000", experiment_id: str = "e0000"
) -> Proposed:
    """Propose the unchanged code, the first proposal of every session."""
    experiment = Experiment(
        id=experiment_id,
        wave=wave_id,
        base="",
        change=Change(),
        commit=variant.commit,
        train_hash=variant.train_hash,
        prepare_hash=variant.prepare_hash,
        file_hashes=variant.file_hashes,
        protected_hashes=variant.protected_hashes,
        fingerprint=variant.fingerprint,
        why=f"the unchanged {session.script}",
    )
    wave = Wave(
        id=wave_id,
        proposer="baseline",
        question=f"what does the unchanged {session.script} score, and how much do its repeats differ?",
        kind=WaveKind.BASELINE,
        arms=[experiment.id],
        proposed_at=at,
    )
    return Proposed(at=at, wave=wave, experiments=[experiment])
