"""A wave as a table of arms, and the edits a person can make to a waiting one: each gives the draft that it then is."""

import ast
from dataclasses import dataclass

import msgspec

from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Experiment, ExperimentStatus, Value, Wave, WaveStatus
from cockpit.core.state import State, constants_of
from cockpit.read.forecasts import LIKELY, ArmForecast, gigabytes, percent
from cockpit.tui.figures import value
from cockpit.tui.plain import plain
from cockpit.tui.views.summary import raw_score
from cockpit.tui.views.waves import delta_to_base

MEMORY_CONSTANTS = ("DEPTH", "ASPECT_RATIO", "HEAD_DIM", "DEVICE_BATCH_SIZE")
_OUT_OF_MEMORY = ("outofmemory", "out of memory", "cannot allocate memory")

GLYPHS: dict[ExperimentStatus, tuple[str, str]] = {
    ExperimentStatus.PROPOSED: ("○", "dim"),
    ExperimentStatus.QUEUED: ("·", "dim"),
    ExperimentStatus.RUNNING: ("▶", "good"),
    ExperimentStatus.VALID: ("◇", "info"),
    ExperimentStatus.KEPT: ("◆", "good"),
    ExperimentStatus.DISCARDED: ("–", "dim"),
    ExperimentStatus.CRASHED: ("×", "bad"),
    ExperimentStatus.DROPPED: ("⊘", "faint"),
}


@dataclass(frozen=True)
class ArmView:
    id: str
    status: ExperimentStatus
    levels: dict[str, str]
    """Constant to its value here; a value equal to the base's is in `same`."""
    same: frozenset[str]
    patch: str
    runs: int
    val_bpb: float | None
    delta: float | None
    crash: str
    """Of an arm that waits: the probability of a crash with its interval."""
    likely: bool
    """Whether that is worth a warning."""
    memory: str
    warning: str
    """A duplicate, a crash it repeats, or memory it likely exceeds."""


def columns(state: State, wave: Wave) -> list[str]:
    """The constants that the table has a column for: factors first, then what any arm changes."""
    names = list(wave.factors)
    for arm in wave.arms:
        names.extend(name for name in state.experiments[arm].change.constants if name not in names)
    return names


def arm_view(
    state: State,
    arm: Experiment,
    names: list[str],
    memory: "Memory | None" = None,
    forecast: ArmForecast | None = None,
) -> ArmView:
    base = constants_of(state, arm.base) if arm.base in state.experiments else {}
    mine = {**base, **arm.change.constants}
    score, _ = raw_score(state, arm.id)
    edits = len(arm.change.edits)
    return ArmView(
        id=plain(arm.id),
        status=arm.status,
        levels={name: plain(value(mine[name])) for name in names if name in mine},
        same=frozenset(name for name in names if name in mine and base.get(name) == mine[name]),
        patch=f"+{arm.lines_added} −{arm.lines_removed}" if edits else "",
        runs=arm.replicates,
        val_bpb=score if arm.scores else None,
        delta=delta_to_base(state, arm),
        crash=percent(forecast.crash) if forecast else "",
        likely=forecast is not None and forecast.crash.mean >= LIKELY,
        memory=gigabytes(forecast.peak_vram_mb) if forecast and forecast.peak_vram_mb else "",
        warning=warning(state, arm, memory),
    )


def warning(state: State, arm: Experiment, memory: "Memory | None" = None) -> str:
    twin = state.by_fingerprint.get(arm.fingerprint, arm.id)
    if twin != arm.id:
        return f"the same code as {twin}"
    if arm.status is ExperimentStatus.PROPOSED:
        like = memory.likely_exceeded(state, arm) if memory is not None else ""
        return f"memory: {like} ran out with no more" if like else ""
    return plain(arm.reason)


class Memory:
    """Which sizes of model and batch ran, and which ran out of memory; kept up as runs end."""

    def __init__(self) -> None:
        self._ended = -1
        self._ran: set[Sizes] = set()
        self._ran_out: dict[Sizes, str] = {}

    def follow(self, state: State) -> None:
        ended = sum(state.outcome_counts.values())
        if ended == self._ended:
            return
        self._ended = ended
        for known in state.experiments.values():
            if known.scores:
                self._ran.add(_sizes(state, known.id))
            elif known.status is ExperimentStatus.CRASHED and _is_out_of_memory(known.reason):
                self._ran_out.setdefault(_sizes(state, known.id), known.id)

    def likely_exceeded(self, state: State, arm: Experiment) -> str:
        """An experiment that ran out of memory though nothing that drives memory was larger there; empty where there
        is none, or where something as large as the arm has run."""
        mine = _sizes(state, arm.id)
        if any(_as_large(ran, mine) for ran in self._ran):
            return ""
        return next((name for sizes, name in self._ran_out.items() if _as_large(mine, sizes)), "")


Sizes = tuple[float, ...]


def _as_large(one: Sizes, other: Sizes) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True))


def _is_out_of_memory(reason: str) -> bool:
    said = reason.casefold()
    return any(words in said for words in _OUT_OF_MEMORY)


def _sizes(state: State, experiment: str) -> Sizes:
    constants = constants_of(state, experiment)
    found = (constants.get(name, 0) for name in MEMORY_CONSTANTS)
    return tuple(float(size) if isinstance(size, int | float) else 0.0 for size in found)


def settles(wave: Wave) -> list[tuple[str, str]]:
    """[(label, words)]: what the wave is for."""
    said = [("hypothesis", wave.hypothesis), ("changes my mind", wave.would_change_mind), ("design", wave.design),
            ("reason", wave.reason)]  # fmt: skip
    return [(label, words) for label, words in said if words]


# Edits


class EditError(Exception):
    """What was typed cannot be carried out; the message is one sentence."""


def draft_of(state: State, wave: Wave) -> Draft:
    """The proposal as a draft that would make it again."""
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


def parse_value(text: str) -> Value:
    """A level as typed: a literal of Python, or bare words as a string. Raises EditError."""
    text = text.strip()
    if not text:
        raise EditError("a level cannot be empty")
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if isinstance(found, tuple | list):
        items = list(found)
        if all(isinstance(item, bool | int | float | str) for item in items):
            return items
        raise EditError(f"{text} is not a level: lists hold numbers or words")
    if isinstance(found, bool | int | float | str):
        return found
    raise EditError(f"{text} is not a level: give a number, a word, or a list of them")


def with_level(draft: Draft, experiment: str, name: str, text: str) -> Draft:
    level = parse_value(text)
    arms = tuple(
        _changed(arm, {**arm.change.constants, name: level}, {**arm.levels, name: level})
        if arm.experiment == experiment
        else arm
        for arm in draft.arms
    )
    return _with_arms(draft, arms)


def with_factor(draft: Draft, text: str) -> Draft:
    """`NAME = level, level …`: every arm once for each level. Raises EditError."""
    name, equals, levels_text = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier():
        raise EditError("a factor is written NAME = level, level")
    try:
        listed = ast.literal_eval(f"[{levels_text}]")
        levels: list[Value] = [parse_value(repr(item)) for item in listed]
    except (ValueError, SyntaxError):
        levels = [parse_value(part) for part in levels_text.split(",")]
    if not levels:
        raise EditError("a factor needs at least one level")
    arms = tuple(
        msgspec.structs.replace(
            _changed(arm, {**arm.change.constants, name: level}, {**arm.levels, name: level}),
            experiment=arm.experiment if number == 0 else "",
        )
        for arm in draft.arms
        for number, level in enumerate(levels)
    )
    return _with_arms(draft, arms)


def without_factor(draft: Draft, name: str) -> Draft:
    """Arms that differ in nothing else become one. Raises EditError when nothing would be left to try."""
    arms: list[Arm] = []
    seen: set[str] = set()
    for arm in draft.arms:
        constants = {key: level for key, level in arm.change.constants.items() if key != name}
        levels = {key: level for key, level in arm.levels.items() if key != name}
        key = repr((sorted(constants.items(), key=lambda item: item[0]), arm.change.edits))
        if key not in seen and (constants or arm.change.edits):
            seen.add(key)
            arms.append(_changed(arm, constants, levels))
    if not arms:
        raise EditError(f"without {name} nothing is left to try: reject the proposal instead")
    return _with_arms(draft, tuple(arms))


def without_arm(draft: Draft, experiment: str) -> Draft:
    arms = tuple(arm for arm in draft.arms if arm.experiment != experiment)
    if not arms:
        raise EditError("a wave needs at least one arm: reject the proposal instead")
    return _with_arms(draft, arms)


def with_replicates(draft: Draft, text: str) -> Draft:
    if not text.strip().isdigit() or not 1 <= int(text) <= 16:
        raise EditError("replicates are a number from 1 to 16")
    return msgspec.structs.replace(draft, replicates=int(text))


def _changed(arm: Arm, constants: dict[str, Value], levels: dict[str, Value]) -> Arm:
    change = Change(constants=constants, edits=arm.change.edits)
    return msgspec.structs.replace(arm, change=change, levels=levels)


def _with_arms(draft: Draft, arms: tuple[Arm, ...]) -> Draft:
    """The draft with these arms, its factors what their levels now are."""
    factors: dict[str, list[Value]] = {}
    for arm in arms:
        for name, level in arm.levels.items():
            levels = factors.setdefault(name, [])
            if level not in levels:
                levels.append(level)
    return msgspec.structs.replace(draft, arms=arms, factors=factors, design="")


def is_waiting(wave: Wave) -> bool:
    return wave.status is WaveStatus.PROPOSED
