"""The page of a long session stays small enough to forward."""

from cockpit.core.events import Ended, Proposed, Queued, Started, Submitted, Submitting
from cockpit.core.fold import fold
from cockpit.core.model import Attempt, AttemptKind, Change, Experiment, Metrics, Outcome, Value, Wave
from cockpit.core.state import State
from cockpit.report.html import html
from tests.report.test_html import BEGAN, night

WAVES, ARMS = 400, 25
PAGE_BYTES = 1_000_000


def long_night() -> State:
    """Return the night with 10,000 more experiments in waves of two factors, on two classes."""
    state = night(text="is wider better, and does that depend on the learning rate of the matrices? " * 4)
    at = BEGAN + 1000.0
    for number in range(WAVES):
        name = f"w{number + 2:03d}"
        factors: dict[str, list[Value]] = {
            f"FACTOR_{number % 20}": [1, 2, 3, 4, 5],
            f"OTHER_{number % 7}": [1, 2, 3, 4, 5],
        }
        first, second = factors
        cells: list[dict[str, Value]] = [{first: arm % 5 + 1, second: arm // 5 + 1} for arm in range(ARMS)]
        arms = [
            Experiment(
                f"e{3 + number * ARMS + arm:05d}", name, "e0000", Change(cell), "c" * 40, "t", "p",
                f"{number}.{arm}", levels=cell,
            )
            for arm, cell in enumerate(cells)
        ]  # fmt: skip
        wave = Wave(name, "claude", f"wave {number}: " + "does it help? " * 10, factors=factors, base="e0000",
                    arms=[arm.id for arm in arms])  # fmt: skip
        fold(state, Proposed(at=at, wave=wave, experiments=arms))
        for place, arm in enumerate(arms):
            at += 10
            attempt, hardware = f"{arm.id}.1", "H100" if place % 2 else "H200"
            cluster = f"gpu-0{1 + place % 2}"
            fold(state, Queued(at=at, attempt=Attempt(attempt, arm.id, AttemptKind.ARM, 1)))
            fold(state, Submitting(at=at, attempt=attempt, cluster=cluster, hardware=hardware))
            fold(state, Submitted(at=at, attempt=attempt))
            fold(state, Started(at=at, attempt=attempt))
            score = 0.99 + 0.001 * (place % 5) + 1e-5 * (number % 31)
            fold(state, Ended(at=at + 5, attempt=attempt, outcome=Outcome.VALID, metrics=Metrics(score)))
    return state


def test_the_page_of_ten_thousand_experiments_is_under_a_megabyte() -> None:
    state = long_night()
    assert len(state.experiments) > 10_000
    diff = "+    a line of code that was changed\n" * 10_000
    assert len(html(state, state.now, diff).encode()) < PAGE_BYTES
