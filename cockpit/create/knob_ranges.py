"""Collect the ranges of a new session's knobs: the person's, those that the code states, and the machine preset's."""

from collections.abc import Mapping
from pathlib import Path

from cockpit.core.errors import CockpitError
from cockpit.core.events import Event, Said, Trouble
from cockpit.core.knobs import KnobRange
from cockpit.core.model import Value
from cockpit.core.seeds import IS_A_SEED
from cockpit.core.session import Session
from cockpit.read.knobs import NO_RANGE, reason_of
from cockpit.science.knob_names import exclusion
from cockpit.science.search_space import ROW_TOKENS, Ladder, Real, search_space, unclear
from cockpit.session.research_settings import KnobSetting
from cockpit.variant.editable import Place, places
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import find_constants, no_such_constant
from cockpit.variant.knobs.knob_hints import comments, given_by_callers, limits, stated_ranges
from cockpit.variant.seeding import seeding_knobs

MOST_NAMED = 2
"""Knobs that a sentence of the note names; of more, it counts the others."""


class KnobSettingError(CockpitError):
    """A setting of `[research.knobs]` does not fit the code; the message is one sentence that names it."""


def knob_ranges(
    files: Mapping[str, str], constants: Mapping[str, Value], settings: Mapping[str, KnobSetting | str]
) -> dict[str, KnobRange]:
    """Return the ranges by the knob's name in the session. `files` are the texts of the editable files by path.

    Raises KnobSettingError for a setting of a knob that does not exist, or that leaves nothing to search.
    """
    found: dict[str, KnobRange] = {}
    names = {place: name for name, place in places(files).items()}
    for path, source in files.items():
        for own, stated in stated_ranges(source, path).items():
            found[names[Place(path, own)]] = stated
        for own, (least, greatest) in limits(source, path).items():
            name = names[Place(path, own)]
            if name in constants and name not in found and (cut := _cut(name, constants[name], least, greatest)):
                found[name] = cut
        for own, comment in comments(source, path).items():
            if reason := exclusion(own, comment):
                found[names[Place(path, own)]] = KnobRange(excluded=reason)
        for own in seeding_knobs(source, path):
            found[names[Place(path, own)]] = KnobRange(excluded=IS_A_SEED)
        for own in given_by_callers(source, path):
            found[names[Place(path, own)]] = KnobRange(excluded="its callers give another value")
    for name, setting in settings.items():
        if name not in constants:
            known = list(constants)
            raise KnobSettingError(f"[research.knobs]: {no_such_constant(name, known, ' and '.join(files))}")
        found[name] = _given(name, setting, constants[name])
    return {name: one for name, one in found.items() if name in constants}


def _cut(name: str, value: Value, least: float, greatest: float) -> KnobRange | None:
    """Return the part of a knob's usual range that its definition allows; None if that is all of it, or too little."""
    match search_space({name: value}).get(name):
        case Ladder(rungs):
            kept = tuple(rung for rung in rungs if least <= rung <= greatest)
            return KnobRange(choices=kept) if 1 < len(kept) < len(rungs) else None
        case Real(low, high):
            inside = KnobRange(low=max(low, least), high=min(high, greatest))
            return inside if inside != KnobRange(low=low, high=high) else None
    return None


def _given(name: str, setting: KnobSetting | str, value: Value) -> KnobRange:
    if isinstance(setting, str):
        return KnobRange(excluded="cockpit.toml excludes it", pinned=setting == "pin")
    given = KnobRange(setting.low, setting.high, setting.choices)
    if given.low is not None and given.high is not None and not given.low < given.high:
        raise KnobSettingError(f"[research.knobs] {name}: low {given.low:g} is not below high {given.high:g}")
    if given == KnobRange():
        raise KnobSettingError(f'[research.knobs] {name}: give low, high or choices, or "exclude" or "pin"')
    if name not in search_space({name: value}, {name: given}):
        raise KnobSettingError(f"[research.knobs] {name}: it is {value!r}, and its range leaves no value to search")
    return given


def preset_ranges(repo: Path, preset: str, constants: Mapping[str, Value]) -> dict[str, KnobRange]:
    """Return the least batch sizes that the preset of prepare.py can run: it divides both by its `batch_scale`."""
    if preset != "cpu-small":
        return {}
    try:
        scale = find_constants((repo / "prepare.py").read_text(encoding="utf-8")).get("CPU_SMALL.batch_scale")
    except (OSError, UnicodeDecodeError, VariantError):
        return {}
    if not isinstance(scale, int):
        return {}
    least = {"DEVICE_BATCH_SIZE": float(scale), "TOTAL_BATCH_SIZE": float(scale * ROW_TOKENS)}
    return {name: KnobRange(low=low) for name, low in least.items() if name in constants}


def knobs_note(session: Session, at: float) -> Event:
    """Return the message on the knobs that search varies; a trouble if there are none."""
    if not session.constants:
        return Trouble(
            at=at,
            text=f"{' and '.join(session.editable)}: no literals with a name, so only patches can be proposed",
        )
    return Said(at=at, author="cockpit", text=varied_sentence(session.constants, session.ranges))


def varied_sentence(constants: Mapping[str, Value], ranges: Mapping[str, KnobRange]) -> str:
    """Return how many knobs search varies, and what a person can do about those that no name explains."""
    space = search_space(constants, ranges)
    said = f"Search varies {len(space)} of {len(constants)} knobs; `:knob` lists them all"
    left = (name for name in constants if name not in space)
    if without := sum(reason_of(name, ranges.get(name, KnobRange())) == NO_RANGE for name in left):
        said += f". {without} {'has' if without == 1 else 'have'} no range: `:knob NAME 1..9` sets one"
    if names := unclear(constants, ranges):
        said += f". {_names(names)} may measure rather than train: `:knob NAME exclude` leaves one out"
    return said


def _names(names: list[str]) -> str:
    """Return the first names, and the number of the others."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
