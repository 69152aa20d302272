"""The clock of a followed session."""

from pathlib import Path

from cockpit.core.events import Said
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.ledger import Ledger
from cockpit.tui.feed import QUIET_S, LedgerFeed
from tests.tui import stories
from tests.tui.conftest import RUNNING


class Wall:
    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def test_a_simulated_clock_runs_on_at_its_own_speed_without_news(tmp_path: Path) -> None:
    story = stories.night()
    wall = Wall(1.0)
    feed = LedgerFeed(story.write(tmp_path), wall, lambda _: RUNNING)
    feed.load()
    newest = feed.now()
    wall.at += QUIET_S
    assert feed.now() == newest
    wall.at += 30
    assert feed.now() == newest + 30
    ledger = Ledger.open(feed.folder.ledger)
    ledger.append([Said(at=newest + 50, author="ada", text="news")])
    ledger.close()
    assert feed.poll()
    assert feed.now() == newest + 50
    feed.close()


def test_the_clock_stops_at_the_last_event_while_the_worker_is_away(tmp_path: Path) -> None:
    wall = Wall(1.0)
    feed = LedgerFeed(stories.night().write(tmp_path), wall, lambda _: WorkerStatus("stopped", 5.0))
    feed.load()
    newest = feed.now()
    wall.at += 1000
    assert feed.now() == newest
    feed.close()
