"""Name the hardware classes of a task: an accelerator, with its number where kinds of node differ in it.

SkyPilot is not needed here.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

CPU = "CPU"
Numbers = Mapping[str, Collection[float]]
"""The numbers of each accelerator that a node of a task may have."""


def numbers_of(alternatives: Iterable[Any]) -> dict[str, set[float]]:
    """Return the numbers of each accelerator in a task's alternatives, which are SkyPilot's Resources."""
    numbers: dict[str, set[float]] = {}
    for one in alternatives:
        for name, count in (one.accelerators or {}).items():
            numbers.setdefault(name, set()).add(count)
    return numbers


def class_of(accelerators: Mapping[str, float] | None, numbers: Numbers) -> str:
    """Return the class of a node with these accelerators, in a session whose task has these `numbers`.

    It is the name alone if all nodes have the same whole number. A part of a GPU is a class of its own, and so is a
    number other than the task's: `A10:0.167`, `H100:8`.
    """
    for name, count in (accelerators or {}).items():
        is_usual = count == int(count) and all(count == usual for usual in numbers.get(name, ()))
        return name if is_usual else f"{name}:{count:g}"
    return CPU


def accelerator_of(name: str) -> str:
    """Return the accelerator of a class, without its number."""
    return name.partition(":")[0]
