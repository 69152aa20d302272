"""Find the names that a run has printed before a number, for code that prints through a library.

Libraries print many scores: `val_accuracy: 0.91` of Keras, `{'eval_loss': 0.4}` of a trainer.
"""

import re
from collections.abc import Iterator

from cockpit.variant.guess.printed import NAME, STEP, Printed

LINE_CHARACTERS = 500
NAMES_AT_MOST = 50
_NAMED = re.compile(
    rf"(?<![\w./-])({NAME})[\"']?\s{{0,20}}[:=]\s{{0,20}}"
    r"([-+]?\.?\d[\w.+-]{0,30})",
    re.ASCII,
)

_IN_SENTENCE = re.compile(
    r"(?<![\w./-])((?:(?:test|val|valid|validation|eval|mean|average|final) )?"
    r"(?:accuracy|loss|error|score|reward|return|f1|auc|rmse|mse|mae))\s(?:of|on|for|over|in|after|with|across)\s"
    r"[^:=]{1,80}?(?:[:=]|\sis)\s{1,3}([-+]?\.?\d[\w.+-]{0,30})",
    re.ASCII | re.IGNORECASE,
)
"""A score with words between its name and its number: `Accuracy of the network on the 10000 test images: 54 %`."""
_WITHOUT_SIGN = re.compile(
    r"(?<![\w./-])((?:[A-Za-z]\w{0,20} )?(?:accuracy|score|reward|return|(?:win|hit|success|pass) rate))\s{1,20}"
    r"([-+]?(?:\d{0,15}\.\d{1,15}%?|\d{1,15}%))(?![\w.])",
    re.ASCII | re.IGNORECASE,
)
"""A score and its number with a blank alone between them: `Win rate 55%`."""
_BENCHMARKED = re.compile(r"(?<=\s)([-+]?\.?\d[\d.eE+-]{0,30}) ([A-Za-z][\w.@/-]{0,40})", re.ASCII)
"""A value and its name on a line of a Go benchmark."""


def names_in_output(text: str) -> dict[str, tuple[Printed, str]]:
    """Return each name with its place and its last number, the first name first."""
    found: dict[str, tuple[Printed, str]] = {}
    for number, line in enumerate(re.split(r"[\r\n]+", text), 1):
        for name, value, at in _named_in(line[:LINE_CHARACTERS]):
            if len(found) < NAMES_AT_MOST or name in found:
                found[name] = Printed(name, number, bool(STEP.search(line[:at]))), value
    return found


def _named_in(line: str) -> Iterator[tuple[str, str, int]]:
    """Yield each name of a line with its number and its place."""
    if line.startswith("Benchmark"):
        yield from ((one[2], one[1], one.start()) for one in _BENCHMARKED.finditer(line))
        return
    for shape in (_NAMED, _IN_SENTENCE, _WITHOUT_SIGN):
        yield from ((one[1], one[2], one.start()) for one in shape.finditer(line))
