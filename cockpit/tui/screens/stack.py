"""The stack of pages: the main screen, pages over it, questions on top."""

from collections.abc import Callable

from textual.app import App

from cockpit.tui.screens.base import CockpitScreen


def top_page(app: App[int]) -> CockpitScreen | None:
    """Return the page that is shown, which a question may cover."""
    return next((screen for screen in reversed(app.screen_stack) if isinstance(screen, CockpitScreen)), None)


def open_page(app: App[int], page: tuple[str, str], make: Callable[[], CockpitScreen]) -> CockpitScreen:
    """Show a page: the one that is open already, or else a new one."""
    if not any(isinstance(screen, CockpitScreen) and screen.page == page for screen in app.screen_stack):
        made = make()
        app.push_screen(made)
        return made
    while not (isinstance(screen := app.screen, CockpitScreen) and screen.page == page):
        app.pop_screen()
    return screen


def close_pages(app: App[int], down_to: CockpitScreen) -> None:
    while app.screen is not down_to:
        app.pop_screen()
