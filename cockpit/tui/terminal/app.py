"""The app's side of the terminal: it sends only changed cells, copies by OSC 52, and ends a fault in one sentence."""

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from rich.color import ColorSystem
from rich.text import Text
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.screen import Screen

from cockpit.session.plain_file import open_to_append
from cockpit.tui.plain import plain
from cockpit.tui.terminal import clipboard
from cockpit.tui.terminal.keyboard import Keyboard
from cockpit.tui.terminal.wire import Wire

TRACE_FRAMES = 100
"""Frames of a trace. SkyPilot's threads may leave `sys.tracebacklimit`, which is the whole process's, at 0."""

_SYSTEMS = {"truecolor": ColorSystem.TRUECOLOR, "256": ColorSystem.EIGHT_BIT, "standard": ColorSystem.STANDARD}


class TerminalApp(App[int]):
    """An app that sends frames, copies and faults to the terminal in its own way, and handles keys in order."""

    def __init__(self, fault_log: Path) -> None:
        # Textual drops the colour of the terminal's own colours, and turns other colours into greys.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.animation_level = "none"
        self._fault_log = fault_log
        self._wire = Wire(_SYSTEMS.get(self.console.color_system or "", ColorSystem.EIGHT_BIT))
        self._flush_due = False
        self._keyboard = Keyboard(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._keyboard.take(event)
        else:
            await super().on_event(event)

    def note(self, text: str, ink: str = "accent") -> None:
        """Show a sentence for some seconds."""
        raise NotImplementedError

    def accept_keys(self) -> None:
        """Answer keys from now on: the session is on the screen."""
        self._keyboard.starting = False

    def redraw(self) -> None:
        self._wire.forget()
        self.refresh(layout=True)

    def copy_text(self, text: str, what: str) -> None:
        """Copy to the terminal's clipboard, through tmux if it is in between."""
        data = clipboard.fitting(text)
        route = "to tmux's buffer, and by OSC 52"
        if not clipboard.by_tmux(data):
            route = "by OSC 52, where the terminal takes it"
            self.write_sequence(clipboard.sequence(data))
        short = f", cut to {len(data):,} bytes" if len(data) < len(text.encode(errors="replace")) else ""
        self.note(f"copied {what}{short}: {route}", "accent")

    def write_sequence(self, sequence: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)
            self._driver.flush()

    def _display(self, screen: Screen[object], renderable: object) -> None:
        """Send the cells that differ from the terminal's. While it has not taken the last frame, send them later."""
        if (
            not isinstance(renderable, CompositorUpdate)
            or self._driver is None
            or self.is_headless
            or not self._running
            or self._closed
            or self._batch_count
        ):
            super()._display(screen, renderable)  # type: ignore[arg-type]
            return
        size = self.size
        if (size.width, size.height) != (self._wire.width, self._wire.height):
            self._wire.resize(size.width, size.height)
        self._wire.take(renderable)
        self._send_frame()
        self.post_display_hook()

    def _send_frame(self) -> None:
        self._flush_due = False
        driver = self._driver
        assert driver is not None
        writer = getattr(driver, "_writer_thread", None)
        if writer is not None and writer._queue.qsize() > 0:
            if not self._flush_due:
                self._flush_due = True
                self.set_timer(0.02, self._send_frame)
            return
        sequence = self._wire.flush()
        x, y = self.cursor_position
        if sequence or (x, y) != tuple(self._previous_cursor_position):
            self._previous_cursor_position = self.cursor_position
            synced = self._sync_available
            framed = f"\x1b[?2026h{sequence}\x1b[{y + 1};{x + 1}H\x1b[?2026l" if synced else sequence
            driver.write(framed if synced else f"{sequence}\x1b[{y + 1};{x + 1}H")
            driver.flush()

    def _fatal_error(self) -> None:
        """End on an unhandled exception: the trace goes to a file, one sentence to the terminal."""
        error = self._exception
        trace = "".join(traceback.format_exception(error or sys.exception(), limit=TRACE_FRAMES))
        path = _keep(self._fault_log, f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{trace}\n")
        said = plain(str(error).strip().partition("\n")[0])[:200]
        fault = f"{type(error).__name__}: {said}" if said else type(error).__name__
        sentence = (
            f"cockpit: the screen ended by a fault of its own ({fault}); the worker continues, the trace is in {path}"
        )
        self._exit_renderables = [Text(sentence)]
        self._close_messages_no_wait()


def _keep(path: Path, text: str) -> Path:
    """Append to the file, or to a temporary file if it cannot be written. Returns the path."""
    try:
        with open_to_append(path, 0o640) as file:
            file.write(text.encode())
    except OSError:
        descriptor, name = tempfile.mkstemp(prefix="cockpit-screen-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return Path(name)
    return path
