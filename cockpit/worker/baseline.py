"""Replace a baseline without a result by the repository's mended code."""

from pathlib import Path

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.events import BaselineReplaced, Event, Trouble, WaveCancelled
from cockpit.core.model import ExperimentStatus, WaveStatus
from cockpit.core.seeds import ADDED_SEED
from cockpit.core.state import State
from cockpit.create.baseline_wave import baseline_wave
from cockpit.create.data_paths import outside_data
from cockpit.create.links import find_links
from cockpit.variant.inputs import Inputs
from cockpit.variant.seeding import with_seed
from cockpit.variant.store import VariantStore


def mended_baseline(store: VariantStore, state: State, author: str, at: float) -> list[Event]:
    """Return the events that replace a baseline without a result by the repository's present code.

    Returns none while the baseline may still give one, or where its code is the repository's; a Trouble where the
    present code cannot be a baseline.
    """
    old = state.experiments.get(state.baseline)
    if old is None or not (old.status is ExperimentStatus.CRASHED or _never_started(state, old.attempts)):
        return []
    if state.incumbent or state.ending or any(name in state.in_flight for name in old.attempts):
        return []
    session = state.session
    repo = Path(session.repo)
    try:
        variant = store.baseline(with_seed if session.seed_by == ADDED_SEED else None)
        if variant.commit == old.commit:
            return []
        access = session.access
        kept = [path for path in access.links if (repo / path).exists()]
        is_local, command = session.fleet.kind == "local", session.run_command
        links = find_links(store, variant.commit, repo, kept, command) if is_local else {}
        inputs = store.inputs(variant.commit, command) if is_local else Inputs()
        outside = outside_data(inputs, access.environment, repo)
    except (CockpitError, OSError) as error:
        return [Trouble(at=at, text=f"the mended code cannot be the baseline: {error}", about=old.id)]
    replaced = BaselineReplaced(
        at=at,
        author=author,
        experiment=old.id,
        commit=store.head(),
        constants=store.constants(variant.commit),
        access=msgspec.structs.replace(
            access, links=links, readable=(*access.readable, *_more(links, outside, access.readable))
        ),
    )
    waits = state.waves[old.wave].status not in (WaveStatus.DONE, WaveStatus.CANCELLED)
    cancelled = WaveCancelled(at=at, wave=old.wave, author=author, reason="its code was mended")
    notes = [Trouble(at=at, text=variant.note)] if variant.note else []
    wave = baseline_wave(variant, session, at, state.next_wave_id(), state.next_experiment_id(0))
    return [*([cancelled] if waits else []), replaced, *notes, wave]


def _never_started(state: State, attempts: list[str]) -> bool:
    """Return True if the session is held because the baseline's files could not be written, before any run of it."""
    return state.held and all(not state.attempts[name].started_at for name in attempts)


def _more(links: dict[str, str], outside: tuple[str, ...], known: tuple[str, ...]) -> list[str]:
    """Return the further paths that a confined run must be able to read for its links and its data."""
    targets = {path for target in links.values() for path in (target, str(Path(target).resolve()))}
    return sorted((targets | {*outside}) - set(known))
