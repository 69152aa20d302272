"""A circumstance that lasts is told once in a session, however many runs and workers find it."""

from pathlib import Path

import msgspec
import pytest

from cockpit.core.events import Ended, Event, Trouble
from cockpit.core.fold import fold
from cockpit.core.metric import Metric
from cockpit.core.state import State
from cockpit.fleet.base import FleetTrouble, JobEnded
from cockpit.worker.reports import Reports
from tests.worker.test_long_logs import ENDS, STEP, Following

SLOW = "((a|aa)+)(?:b)$"
SLOW_LINE = b"a" * 200 + b"cb\n"


def told(state: State, events: list[Event]) -> list[str]:
    """Fold the troubles among events. Returns their sentences."""
    texts = []
    for event in events:
        if isinstance(event, Trouble):
            fold(state, event)
            texts.append(event.text)
    return texts


def test_a_lasting_circumstance_is_told_by_the_first_worker_alone(tmp_path: Path) -> None:
    following = Following(tmp_path)
    for first in (True, False):
        reports = Reports(following.path)
        cores = FleetTrouble(1.0, "this machine's CPU is used by another session too", once=True)
        assert told(following.state, reports.events(following.state, cores)) == ([cores.text] if first else [])
        outage = FleetTrouble(1.0, "the server does not answer")
        assert told(following.state, reports.events(following.state, outage)) == [outage.text]


@pytest.mark.parametrize("what", ["progress", "loss"])
def test_a_pattern_that_takes_too_long_is_told_once(tmp_path: Path, what: str) -> None:
    following = Following(tmp_path)
    metric = msgspec.structs.replace(Metric(), **{what: SLOW})
    for name in ("e0.0", "e0.1"):
        following.prints(name, 100, SLOW_LINE + STEP)
    sentence = (
        f"the pattern of the {what} takes too long on a line of output, so no {what} is shown from there on: give a"
        f" simpler --{what}"
    )
    following.reports = Reports(following.path, metric)
    assert told(following.state, following.tick(1.0)) == [sentence]
    following.reports = Reports(following.path, metric)
    assert told(following.state, following.tick(2.0)) == []


def test_a_pattern_that_takes_too_long_is_told_at_the_end_of_a_short_run(tmp_path: Path) -> None:
    following = Following(tmp_path)
    following.reports = Reports(following.path, msgspec.structs.replace(Metric(), progress=SLOW))
    following.prints("e0.0", 100, SLOW_LINE + ENDS)
    events = following.tick(1.0, JobEnded(5.0, "e0.0", "exited", 0))
    assert len(told(following.state, events)) == 1
    assert [event.attempt for event in events if isinstance(event, Ended)] == ["e0.0"]
