"""Reads the summaries of two evaluators whose lines do not hold the metric's name next to its value.

COCO's has a line for each setting: ` Average Precision  (AP) @[ IoU=0.50 | area=   all | maxDets=100 ] = 0.587`, which
is AP50. Ultralytics' has the row `all` below a line of names.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

_COCO = re.compile(
    r"\s*Average (?:Precision|Recall)\s+\((AP|AR)\)\s*@\[\s?IoU=([\d.:]+)\s*\|\s?area=\s*(\w+)\s*\|\s?maxDets=\s*(\d+)"
    r"\s*\]\s?=\s?(\d[\d.]*)",
    re.ASCII,
)
"""A line of the summary. A value of -1 stands for no object of that size, and is not read."""
_PART = re.compile(r"annotation type \*(\w+)\*", re.ASCII)
_NAMES = re.compile(r"\s*Class\s+Images\s+Instances\s+(?:Box\()?P\s+R\s+mAP50\s+mAP50-95")
_ALL = re.compile(r"\s*all\s+\d+\s+\d+\s+([\d.e-]+)\s+([\d.e-]+)\s+([\d.e-]+)\s+([\d.e-]+)", re.ASCII)
_ULTRALYTICS = (("p", "precision"), ("r", "recall"), ("map50", "map@50", "map@0.5"), ("map50_95", "map"))
_SIZES = ("small", "medium", "large")


def _coco_names(kind: str, overlap: str, area: str, at_most: str) -> list[str]:
    """Return the plain names of a line of COCO's summary."""
    heads = ["ap", "map"] if kind == "AP" else ["ar"]
    if kind == "AR" and area == "all":
        ends = [at_most, f"_{at_most}", f"@{at_most}"]
    elif area in _SIZES:
        ends = [area[0], f"_{area}"]
    elif overlap == "0.50:0.95":
        return ["ap", "map", "average_precision", "map50_95"]
    else:
        share = overlap.removeprefix("0.")
        ends = [share, f"_{share}", f"@{share}", f"@{float(overlap):g}"] if overlap.count(".") == 1 else []
    return [f"{head}{end}" for head in heads for end in ends]


class Reported(NamedTuple):
    name: str
    """Its plain spelling."""
    text: str
    kind: str
    """The part of the report that it is in."""


class PrintedReports:
    """The report that a run is printing, if any."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        """The plain spellings of the names."""
        self._part = "-"
        self._is_next = False
        """Names have been printed, and the row `all` may follow."""
        self._reads = any(name.startswith(("ap", "map", "ar", "average_precision")) for name in names) or bool(
            {name for each in _ULTRALYTICS for name in each}.intersection(names)
        )

    def read(self, text: str) -> list[Reported]:
        """Read a line. Returns its values under the wanted names."""
        if not self._reads:
            return []
        if part := _PART.search(text):
            self._part = part[1]
        if (found := _COCO.match(text)) and found[2][:1] == "0":
            kind, overlap, area, at_most, value = found.groups()
            names = _coco_names(kind, overlap, area, at_most)
            return [Reported(name, value, self._part) for name in names if name in self._names]
        if _NAMES.match(text):
            self._is_next = True
        elif self._is_next and (row := _ALL.match(text)):
            self._is_next = False
            columns = zip(_ULTRALYTICS, row.groups(), strict=True)
            return [Reported(name, value, "-") for names, value in columns for name in names if name in self._names]
        return []
