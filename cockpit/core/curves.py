"""Training curves as points, and packed into 32-bit floats for the state and the ledger."""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

Point = tuple[float, float]
"""(fraction of the training budget done, training loss there)."""

Curve = bytes
"""Points in ascending fraction, as little-endian 32-bit floats: a tenth of the memory of a list of tuples."""

_HIGHEST = 3.4e38
"""The largest loss that a packed curve holds, just below the greatest 32-bit float."""


def packed(points: Iterable[Point]) -> Curve:
    """Pack points into a curve; clip a loss above the 32-bit range."""
    floats = array("f", (max(-_HIGHEST, min(_HIGHEST, number)) for point in points for number in point))
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def points_of(curve: Curve) -> list[Point]:
    """Unpack the points of a curve, to seven digits."""
    floats = array("f", curve)
    if sys.byteorder == "big":
        floats.byteswap()
    return list(zip(floats[::2], floats[1::2], strict=True))


def thin(points: list[Point], most: int = 50) -> list[Point]:
    """Keep at most `most` points, evenly spread over the fraction done, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (points[-1][0] - points[0][0]) / (most - 1)
    kept = [points[0]]
    for point in points[1:-1]:
        if point[0] - kept[-1][0] >= step and len(kept) < most - 1:
            kept.append(point)
    return [*kept, points[-1]]


def rounded(points: Iterable[Point]) -> list[Point]:
    """Round points for the ledger: a fraction to six decimals, a loss to five digits."""
    return [(round(fraction, 6), float(f"{loss:.5g}")) for fraction, loss in points]


def loss_at(curve: Sequence[Point], fraction: float) -> float | None:
    """Interpolate the training loss at a fraction of the budget; None outside the curve."""
    index = bisect_left(curve, fraction, key=lambda point: point[0])
    if index == len(curve) or (index == 0 and curve[0][0] > fraction):
        return None
    (at, loss), (before, earlier) = curve[index], curve[max(0, index - 1)]
    if at == before:
        return loss
    return earlier + (loss - earlier) * (fraction - before) / (at - before)
