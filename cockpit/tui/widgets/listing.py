"""A pane with a selection, which moves by key and wheel and stays visible."""

from textual import events
from textual.message import Message

from cockpit.core.state import State
from cockpit.tui.widgets.pane import Pane


class Listing(Pane, can_focus=True):
    """A list of keys, one of them selected. A subclass gives the keys (`keys_of`) and draws `window(most)` of them."""

    class Moved(Message):
        """The selection changed."""

        def __init__(self, pane: str, key: str) -> None:
            super().__init__()
            self.pane, self.key = pane, key

    class Opened(Message):
        """The selection was double-clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.state: State | None = None
        self.now = 0.0
        self.keys: list[str] = []
        self.selected = ""
        self.top = 0
        self.stride = 1
        """Keys in a row."""
        self.item_rows = 1
        self._lines = 1

    def keys_of(self, state: State) -> list[str]:
        raise NotImplementedError

    def tell(self, state: State, now: float) -> None:
        """Show another state. The selection stays while its key exists."""
        self.state, self.now = state, now
        index = self.keys.index(self.selected) if self.selected in self.keys else 0
        self.keys = self.keys_of(state)
        if self.selected not in self.keys:
            self.selected = self.keys[min(index, len(self.keys) - 1)] if self.keys else ""
        self.paint()

    def window(self, most: int) -> list[str]:
        """Return the keys to draw where `most` fit, with the selected one among them."""
        most = max(self.stride, most)
        self._lines = most
        index = self.keys.index(self.selected) if self.selected in self.keys else 0
        if index < self.top:
            self.top = index // self.stride * self.stride
        elif index >= self.top + most:
            self.top = (index // self.stride + 1) * self.stride - most
        self.top = max(0, min(self.top, -(-len(self.keys) // self.stride) * self.stride - most))
        return self.keys[self.top : self.top + most]

    def select_index(self, index: int) -> None:
        if not self.keys or not 0 <= index < len(self.keys):
            return
        key = self.keys[index]
        if key != self.selected:
            self.selected = key
            self.paint()
            self.post_message(self.Moved(self.NAME, key))

    def point_at(self, key: str) -> None:
        """Select a key without a message: a choice made in another pane is followed."""
        if key in self.keys and key != self.selected:
            self.selected = key
            self.paint()

    def select_by(self, steps: int) -> None:
        index = self.keys.index(self.selected) if self.selected in self.keys else 0
        self.select_index(max(0, min(len(self.keys) - 1, index + steps)))

    def move(self, key: str) -> bool:
        """Carry a movement out. Returns False if it means nothing here."""
        page = max(1, self._lines - self.stride)
        steps = {
            "up": -self.stride,
            "down": self.stride,
            "page_up": -page,
            "page_down": page,
            "top": -len(self.keys),
            "bottom": len(self.keys),
        }
        if key not in steps:
            return False
        self.select_by(steps[key])
        return True

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.select_by(self.stride)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.select_by(-self.stride)
