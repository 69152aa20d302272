"""Writing what a session has found: its report as a page, as Markdown or as a picture."""

import sys
from pathlib import Path
from typing import Literal

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session, state_of
from cockpit.core.installation import install_command
from cockpit.core.model import IMPORTED
from cockpit.core.state import State
from cockpit.decide.kept_changes import unablated_summary

Form = Literal["html", "md", "png"]


def write_report(name: str | None, output: str | None, form: Form) -> None:
    """Write the session's report, to NAME.html, NAME.md or NAME.png by default."""
    folder = session(name)
    state = state_of(folder)
    page = _made(state, form)
    if output == "-":
        _to_standard_output(page)
        return
    path = Path(output or f"{folder.name}.{form}")
    path.write_bytes(page if isinstance(page, bytes) else page.encode())
    print(f"written to {path}")
    if state.session.fleet.kind != IMPORTED and (left := unablated_summary(state)):
        print(f"! {left}; `cockpit ablate {folder.name}` proposes it")


def write_replay(name: str | None, output: str | None) -> None:
    """Write the session as a page that plays, to NAME-replay.html by default."""
    from cockpit.report.replay_page import replay_html

    folder = session(name)
    state = state_of(folder)
    page = replay_html(state, state.now)
    if output == "-":
        _to_standard_output(page)
        return
    path = Path(output or f"{folder.name}-replay.html")
    path.write_text(page, encoding="utf-8")
    print(f"written to {path}")


def _made(state: State, form: Form) -> str | bytes:
    if form == "png":
        from cockpit.report.card import card

        try:
            return card(state, state.now)
        except ImportError:
            raise CommandError(f"the picture needs Pillow: `{install_command('card')}`") from None
    if form == "md":
        from cockpit.report.markdown import markdown

        return markdown(state, state.now, best_diff(state))
    from cockpit.report.html import html

    return html(state, state.now, best_diff(state))


def _to_standard_output(page: str | bytes) -> None:
    if isinstance(page, bytes):
        sys.stdout.buffer.write(page)
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(page.encode(encoding, "xmlcharrefreplace").decode(encoding))


def best_diff(state: State) -> str | None:
    """Return the diff of the best variant to the unchanged code; None if the repository is not at hand."""
    from cockpit.variant.errors import VariantError
    from cockpit.variant.store import VariantStore

    if state.incumbent not in state.experiments:
        return None
    try:
        store = VariantStore.of(state.session)
        try:
            commits = (state.experiments[name].commit for name in (state.baseline, state.incumbent))
            return store.diff(*commits)
        finally:
            store.close()
    except VariantError:
        return None
