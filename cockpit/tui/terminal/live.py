"""A screen that is drawn while a question covers it. Textual draws the changed widgets of the top screen only."""

from textual import events
from textual.screen import Screen


class LiveScreen(Screen[None]):
    def on_idle(self, event: events.Idle) -> None:
        """Draw the widgets that changed under a question."""
        app = self.app
        if self.is_current or app._batch_count or self not in app._background_screens:
            return
        if self._layout_required:
            self._refresh_layout()
            self._layout_required = False
        if self._dirty_widgets:
            self._compositor.update_widgets(self._dirty_widgets)
            self._compositor_refresh()
