"""Everything that depends on Textual's private names: each with its reason, and what would replace it.

Textual is pinned in pyproject.toml, because these names may change in any release. A test forbids them elsewhere.

textual._compositor's CompositorUpdate, LayoutUpdate, ChopsUpdate
    To read the cells of a composed frame.
    Replaced by a public frame type.
App._display
    To send the frame as the cells that differ.
    Replaced by a hook between compositing and the driver.
App._driver
    To write OSC 2, OSC 52 and frames to the terminal.
    Replaced by a public `App.write_sequence`.
App._running, _closed, _batch_count
    To send nothing before the start, after the end or in a batch.
    Replaced by the same hook as `App._display`.
App._previous_cursor_position, _sync_available
    To place the cursor and frame the update as Textual does.
    Replaced by the same hook as `App._display`.
Driver._writer_thread, its _queue
    To wait while the terminal has not taken the last frame.
    Replaced by a public count of pending writes.
App._fatal_error, _exception, _exit_renderables, _close_messages_no_wait
    To end with one sentence and a trace in a file.
    Replaced by a public hook for unhandled exceptions.
App._check_bindings
    To act on a key in an input at once, before later keys.
    Replaced by a public, awaitable way to run a binding.
App._next_callbacks
    To wait for what a key has scheduled.
    Replaced by a public way to await an idle app.
App._background_screens, Screen._dirty_widgets, _layout_required, _refresh_layout, _compositor, _compositor_refresh
    To draw a screen that a question covers.
    Replaced by an option of ModalScreen.
"""
