"""Find the names that a run has printed before a number, for code that prints through a library.

Libraries print many scores: `val_accuracy: 0.91` of Keras, `{'eval_loss': 0.4}` of a trainer.
"""

import re

from cockpit.variant.guess.printed import STEP, Printed

LINE_CHARACTERS = 500
NAMES_AT_MOST = 50
_NAMED = re.compile(
    r"(?<![\w./-])([A-Za-z][\w.@/-]{0,40}(?: [A-Za-z][\w.@/-]{0,40})?)[\"']?\s{0,20}[:=]\s{0,20}"
    r"([-+]?\.?\d[\w.+-]{0,30})",
    re.ASCII,
)

_BENCHMARKED = re.compile(r"(?<=\s)([-+]?\.?\d[\d.eE+-]{0,30}) ([A-Za-z][\w.@/-]{0,40})", re.ASCII)
"""A value and its name on a line of a Go benchmark."""


def names_in_output(text: str) -> dict[str, tuple[Printed, str]]:
    """Return each name with its place and its last number, the first name first."""
    found: dict[str, tuple[Printed, str]] = {}
    for number, line in enumerate(re.split(r"[\r\n]+", text), 1):
        shape, name_at = (_BENCHMARKED, 2) if line.startswith("Benchmark") else (_NAMED, 1)
        for one in shape.finditer(line[:LINE_CHARACTERS]):
            name, value = one[name_at], one[3 - name_at]
            if len(found) < NAMES_AT_MOST or name in found:
                found[name] = Printed(name, number, bool(STEP.search(line[: one.start()]))), value
    return found
