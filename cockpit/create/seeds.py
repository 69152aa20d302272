"""Find where the code takes the seed of a run, and add one if the person asked for that."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.events import Event, Said, Trouble
from cockpit.core.seeds import ADDED_SEED, NO_SEED
from cockpit.variant.errors import VariantError
from cockpit.variant.imported_scripts import with_imported
from cockpit.variant.seeding import VARIABLE, Seeding, find_seeding, with_seed
from cockpit.variant.store import Variant, VariantStore

ADD = "add"
_OPTION = re.compile(r"-{1,2}[A-Za-z][\w.-]*=?|\+{0,2}[A-Za-z][\w./]*=")
"""An option such as `--seed`, `--seed=`, or the `seed=` of Hydra, whose number follows in the same word."""
SHOWN_LINES = 4
"""Lines of the offered change that a note shows."""


class SeedSettingError(CockpitError):
    """The setting `seed_by` does not fit the code; the message is one sentence."""


class Seeded(NamedTuple):
    variant: Variant
    """The baseline, with the change that adds a seed where the person asked for it."""
    taken_by: str
    """The session's `seed_by`."""
    notes: tuple[Event, ...] = ()


def seeded_baseline(store: VariantStore, setting: str, at: float, command: Sequence[str] = ()) -> Seeded:
    """Store the baseline and return how its code takes a seed. `command` starts a run. Raises SeedSettingError or
    VariantError."""
    variant = store.baseline()
    kind, _, name = setting.partition(":")
    is_given = (kind == "env" and name.isidentifier()) or (kind == "arg" and bool(_OPTION.fullmatch(name)))
    if setting and setting != ADD and not is_given:
        raise SeedSettingError(
            f"[research] seed_by: {setting!r} is invalid: expected env:NAME, arg:--FLAG, arg:seed= for one word, or"
            f" {ADD} to change the code"
        )
    if is_given:
        return Seeded(variant, setting, _unread(store, variant.commit, name, at))
    seeding = _seeding(store, variant.commit, command)
    if setting == ADD:
        if not seeding.is_fixed or store.script not in seeding.fixed:
            raise SeedSettingError(
                f"[research] seed_by: {store.script} does not seed itself with a number, so nothing is added"
            )
        changed = store.baseline(with_seed)
        said = Said(
            at=at,
            author="cockpit",
            text=f"The session's copy of {store.script} takes a seed: {_change(store, variant)}",
        )
        return Seeded(msgspec.structs.replace(changed, note=variant.note), ADDED_SEED, (said,))
    if seeding.is_fixed:
        return Seeded(variant, NO_SEED, (Trouble(at=at, text=_refusal(store, variant, seeding)),))
    if seeding.variable and seeding.variable != VARIABLE:
        said = Said(at=at, author="cockpit", text=f"Runs get their seed in {seeding.variable}, which the code reads")
        return Seeded(variant, f"env:{seeding.variable}", (said,))
    if seeding.option and not seeding.variable:
        said = Said(at=at, author="cockpit", text=f"Runs get their seed as {seeding.option}, an option of the code")
        return Seeded(variant, f"arg:{seeding.option}", (said,))
    return Seeded(variant, "")


def _unread(store: VariantStore, commit: str, name: str, at: float) -> tuple[Event, ...]:
    """Return a trouble if no script names the variable or the option that a person gave."""
    word = re.compile(rf"(?<![a-z]){'[-_]'.join(map(re.escape, re.split('[-_]', name.strip('-=+'))))}", re.IGNORECASE)
    scripts = {store.script: store.source(commit)} | store.scripts(commit)
    if any(word.search(text) for text in scripts.values()):
        return ()
    text = f"{' and '.join(list(scripts)[:3])} {'do' if len(scripts) > 1 else 'does'} not name {name}, the seed by"
    return (Trouble(at=at, text=f"{text} --seed-by: if nothing reads it, a repeat is the same run again"),)


def _seeding(store: VariantStore, commit: str, command: Sequence[str]) -> Seeding:
    """Read the scripts of a run; where Python cannot compile one of the others, the script alone."""
    scripts = _of_run(store, commit, command)
    try:
        return find_seeding(scripts)
    except VariantError:
        return find_seeding({store.script: scripts[store.script]} if store.script in scripts else {})


def _of_run(store: VariantStore, commit: str, command: Sequence[str]) -> dict[str, str]:
    """Return the scripts beside the script that take part in a run: the started and editable ones, and those that they
    import. All of them where the command starts no Python file, so that any may take part."""
    scripts = store.scripts(commit)
    started = {os.path.normpath(word) for word in command if word.endswith(".py")}
    if command and not started & scripts.keys():
        return scripts
    first = {path: text for path, text in scripts.items() if path in started or path in store.files}
    return {path: scripts[path] for path in with_imported(first, scripts.get) if path in scripts}


def _refusal(store: VariantStore, variant: Variant, seeding: Seeding) -> str:
    places = ", ".join(f"{path} line {lines[0]}" for path, lines in seeding.fixed.items())
    said = (
        f"this repository takes no seed: {places} sets its own, so a repeat is the same run again and counts as no"
        " evidence, and nothing can be kept"
    )
    if store.script not in seeding.fixed:
        return f"{said}; let it read the variable {VARIABLE}, commit, and make another session"
    return (
        f"{said}; with --seed-by {ADD} the session's copy of {store.script} has this change: {_change(store, variant)}"
    )


def _change(store: VariantStore, variant: Variant) -> str:
    """Return the changed lines, old to new, as one line of text."""
    before = store.source(variant.commit).splitlines()
    after = with_seed(store.source(variant.commit)).splitlines()
    changed = [f"{old.strip()} -> {new.strip()}" for old, new in zip(before, after, strict=True) if old != new]
    more = f" and {len(changed) - SHOWN_LINES} more" if len(changed) > SHOWN_LINES else ""
    return "; ".join(changed[:SHOWN_LINES]) + more
