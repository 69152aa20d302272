"""Make the metric of a session from the repository's settings."""

from itertools import product

from cockpit.core.metric import (
    DEFAULT_NAME,
    Constraint,
    Direction,
    Metric,
    MetricError,
    TieBreak,
    check_name,
    check_pattern,
    constraint_of,
    direction_of,
)
from cockpit.core.units import factor
from cockpit.session.research_settings import ResearchSettings, words_of


def metric_of(research: ResearchSettings) -> Metric:
    """Return the metric. Raises MetricError, which names the setting."""
    setting = "metric"
    try:
        name = check_name(research.metric or DEFAULT_NAME)
        setting = "pattern"
        pattern = check_pattern(research.pattern, (1,))
        setting = "progress"
        progress = check_pattern(research.progress, (1, 2))
        setting = "loss"
        loss = check_pattern(research.loss, (1,))
        setting = "constraints"
        limits = [constraint_of(text) for text in research.constraints]
        setting = "score_command"
        score_command = words_of(research.score_command)
    except ValueError as error:
        raise MetricError(f"[research] {setting}: {research.score_command!r} is not a command: {error}") from None
    except MetricError as error:
        raise MetricError(f"[research] {setting}: {error}") from None
    if name in (one.name for one in limits):
        raise MetricError(f"[research] constraints: {name} is the metric itself")
    if excluding := _excluding([one for one in limits if isinstance(one, Constraint)]):
        raise MetricError(f"[research] constraints: no value keeps to both {excluding[0]} and {excluding[1]}")
    return Metric(
        name=name,
        direction=Direction(research.direction) if research.direction else direction_of(name),
        pattern=pattern,
        progress=progress,
        loss=loss,
        constraints=tuple(one for one in limits if isinstance(one, Constraint)),
        tie_breaks=tuple(one for one in limits if isinstance(one, TieBreak)),
        score_command=score_command,
    )


def _excluding(limits: list[Constraint]) -> tuple[Constraint, Constraint] | None:
    """Return two limits of one name that exclude each other."""
    for most, least in product(limits, limits):
        if most.name != least.name or not most.wants_less or least.wants_less:
            continue
        in_its_unit = 1.0 if most.unit == least.unit else factor(least.unit, most.unit)
        if most.limit is None or least.limit is None or in_its_unit is None:
            continue
        low = least.limit * in_its_unit
        if low > most.limit or (low == most.limit and not (most.holds(low, low) and least.holds(low, low))):
            return most, least
    return None
