"""The session that the screens show: its newest state, its troubles, and the intents that wait for an answer."""

import msgspec

from cockpit.agent.claude import turn_status
from cockpit.core.intents import Intent
from cockpit.core.state import State
from cockpit.session.client import SessionClient, SteeringError
from cockpit.session.ledger_errors import LedgerError
from cockpit.tui.actions.registry import ReplayPosition
from cockpit.tui.feed import Feed, ReplayFeed
from cockpit.tui.figures import duration


class Answer(msgspec.Struct, frozen=True):
    """The worker's answer to an intent that this screen sent."""

    number: int
    done: str
    """A sentence on what was done; may be empty."""
    refusal: str
    """The worker's reason; empty if it carried the intent out."""


class FollowedSession:
    """Follows a feed, and sends `user`'s intents unless this is a watcher's screen."""

    def __init__(self, feed: Feed, user: str, watch: bool) -> None:
        self.feed = feed
        self.user = user
        self.watch = watch
        self.trouble = ""
        """The reason why the ledger cannot be read; empty while it can."""
        self.client = None if watch else SessionClient(feed.folder, user)
        """Sends intents; None for a watcher."""
        self._sent: dict[int, str] = {}
        self._shown_second = 0
        self._shown_turn = 0.0

    @property
    def state(self) -> State | None:
        return self.feed.state

    @property
    def replaying(self) -> bool:
        return isinstance(self.feed, ReplayFeed)

    @property
    def needs_attention(self) -> str:
        """The trouble of this screen, else the worker's."""
        return self.trouble or self.feed.worker.note

    def now(self) -> float:
        return self.feed.now()

    def load(self) -> None:
        """Read the whole session; may take long."""
        try:
            self.feed.load()
        except LedgerError as error:
            self.trouble = str(error)

    def poll(self) -> bool:
        """Read what is new. Returns True if the screens have something else to show.

        Without news that is so once a second, for ages and for a proposer's words, which are kept beside the ledger.
        """
        try:
            changed = self.feed.poll()
            trouble = ""
        except LedgerError as error:
            changed, trouble = False, str(error)
        if trouble != self.trouble and self.state is not None:
            self.trouble, changed = trouble, True
        files = [self.feed.folder.agent_live(name) for name in self.state.asks] if self.state is not None else []
        second, turn = int(self.now()), max(map(turn_status.written_at, files), default=0.0)
        changed = changed or (second, turn) != (self._shown_second, self._shown_turn)
        self._shown_second, self._shown_turn = second, turn
        return changed

    def send(self, intent: Intent, done: str) -> int:
        """Leave an intent for the worker. Returns its number. Raises SteeringError and LedgerError."""
        if self.client is None:
            raise SteeringError("this screen watches: it changes nothing")
        number = self.client.send(intent)
        self._sent[number] = done
        return number

    def close(self) -> None:
        self.feed.close()
        if self.client is not None:
            self.client.close()

    def answers(self) -> list[Answer]:
        """Return the answers that came since the last call."""
        state = self.state
        if state is None:
            return []
        done = [number for number in self._sent if number <= state.intent]
        return [Answer(number, self._sent.pop(number), state.refusals.get(str(number), "")) for number in done]

    def replay_position(self) -> ReplayPosition | None:
        feed = self.feed
        if not isinstance(feed, ReplayFeed):
            return None
        return ReplayPosition(feed.began, feed.ended, feed.now(), feed.speed)

    def replay_words(self) -> str:
        """Return the speed and the moment of a replay; empty for any other session."""
        feed = self.feed
        if not isinstance(feed, ReplayFeed):
            return ""
        speed = f"×{feed.speed:g}" + (" paused" if feed.paused else "")
        return f"{speed} {duration(feed.now() - feed.began)} of {duration(feed.ended - feed.began)}"
