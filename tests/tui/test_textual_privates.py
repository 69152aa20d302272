"""Textual's private names are used in cockpit/tui/terminal only. No class of the screen overrides one by accident."""

import ast
import inspect
from pathlib import Path

import pytest
import textual.app
import textual.dom
import textual.driver
import textual.message_pump
import textual.screen
import textual.widget
import textual.widgets
from textual import _compositor

import cockpit.tui
from cockpit.tui import terminal

TUI = Path(cockpit.tui.__file__).parent
TERMINAL = TUI / "terminal"
CLASSES = (
    textual.app.App,
    textual.screen.Screen,
    textual.screen.ModalScreen,
    textual.widget.Widget,
    textual.widgets.Input,
    textual.dom.DOMNode,
    textual.message_pump.MessagePump,
    textual.driver.Driver,
    _compositor.Compositor,
)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def names_of(made: type) -> set[str]:
    """Return the private names that a class defines or sets on its instances."""
    tree = ast.parse(inspect.getsource(made))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    return {name for name in defined | used if is_private(name)}


PRIVATE = set().union(*(names_of(made) for made in CLASSES))


def uses_in(source: str) -> set[str]:
    """Return the private names of Textual that a module imports, reads, sets or overrides."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name) if name in PRIVATE:
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in PRIVATE:
                found.add(name)
            case ast.ImportFrom(module=str(module)) if module.startswith("textual"):
                found.update(part for part in module.split(".") if is_private(part))
                found.update(alias.name for alias in node.names if is_private(alias.name))
    return found


EXCEPT = ("conftest.py", "test_wire.py", "test_many_clusters.py", Path(__file__).name)
"""The fixtures, the tests of the frames that Textual composes, and this module."""
OUTSIDE = sorted(path for path in TUI.rglob("*.py") if TERMINAL not in path.parents)
TESTS = sorted(path for path in Path(__file__).parent.glob("*.py") if path.name not in EXCEPT)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(TUI)))
def test_no_module_outside_terminal_uses_a_private_name(path: Path) -> None:
    assert not uses_in(path.read_text())


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_no_test_outside_the_fixtures_uses_a_private_name(path: Path) -> None:
    assert not uses_in(path.read_text())


@pytest.mark.parametrize("path", sorted(TERMINAL.glob("*.py")), ids=lambda path: path.name)
def test_each_private_name_in_terminal_has_its_reason(path: Path) -> None:
    assert terminal.__doc__ is not None
    undocumented = {name for name in uses_in(path.read_text()) if name not in terminal.__doc__}
    assert not undocumented


def test_a_use_of_a_private_name_is_found() -> None:
    assert uses_in("app._running = False\nfrom textual._compositor import CompositorUpdate") == {
        "_running",
        "_compositor",
    }
