"""The pages name what there is: every command, every key and every setting, and nothing else."""

import argparse
import json
import re
import tomllib

import msgspec

from cockpit.cli.parser import parser
from cockpit.session.research_settings import ResearchSettings, Row, rows
from cockpit.session.settings import AgentSettings, EnvelopeSettings, NewSession, Price, ScreenSettings, Settings
from cockpit.tui.actions.navigation import NAVIGATION
from cockpit.tui.actions.pages import PAGE_ACTIONS
from cockpit.tui.actions.registry import key_name
from cockpit.tui.actions.steering import STEERING
from tests.worker.sessions import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
SCREEN = (ROOT / "docs" / "screen.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()


def commands() -> set[str]:
    found = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return set(found.choices)


def table(text: str, heading: str) -> str:
    """Return the first column of the first table under a heading."""
    section = text.split(f"\n{heading}", 1)[1].split("\n## ")[0]
    return "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))


def test_the_two_commands_come_first() -> None:
    blocks = re.findall(r"```sh[^\n]*\n(.*?)\n```", README, re.DOTALL)
    assert blocks[0] == "python3 -m venv .venv && .venv/bin/pip install -e '.[local]' && .venv/bin/cockpit"
    assert blocks[1] == ".venv/bin/pip install -e '.[local,sky,test]' && .venv/bin/pytest"


def test_every_command_is_on_its_page() -> None:
    words = re.findall(r"`([a-z][a-z-]*)", table(COMMANDS, "| command"))
    assert set(words) - {"cockpit"} == commands()


def test_every_key_of_the_screen_page_does_something() -> None:
    known = {key_name(key) for action in (*STEERING, *NAVIGATION, *PAGE_ACTIONS) for key in action.keys} | {
        "hjkl",
        "g",
        "G",
        "tab",
        "…",
    }
    known |= {"enter", "esc"} | {f":{command}" for command in commands()}
    for spelled in re.findall(r"`([^`]+)`", table(SCREEN, "| key")):
        assert spelled in known, spelled


def test_every_setting_is_on_its_page_with_its_default() -> None:
    parts = {"session": NewSession, "envelope": EnvelopeSettings, "agent": AgentSettings, "screen": ScreenSettings}
    for name, part in parts.items():
        rows = re.findall(
            r"^\| `(\w+)` \| `(.*?)` \|", SETTINGS.split(f"## `[{name}]`")[1].split("\n## ")[0], re.MULTILINE
        )
        assert [row for row, _ in rows] == list(part.__struct_fields__)
        given = tomllib.loads(f"[{name}]\n" + "\n".join(f"{key} = {value}" for key, value in rows))
        assert msgspec.convert(given, Settings) == Settings(), name
    assert all(f"`{field}`" in SETTINGS for field in (*Price.__struct_fields__, "on_event"))
    assert "## `[usd_per_hour]`" in SETTINGS


def test_the_research_table_is_on_its_page_row_by_row() -> None:
    page = SETTINGS.split("## `[research]`")[1].split("\n##")[0]
    shown = [line for line in page.splitlines() if line.startswith("| `")]
    assert shown == [settings_row(row) for row in rows()]


def settings_row(row: Row) -> str:
    """Return the line of a row on the settings page."""
    default = getattr(ResearchSettings(), row.field)
    if isinstance(default, tuple):
        default = list(default)
    spelled = "left out" if default is None else f"`{json.dumps(default)}`"
    return f"| `{row.field}` | {spelled} | {row.flag.help} |"


def test_every_row_of_the_research_table_is_a_flag_of_new() -> None:
    new = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)).choices["new"]
    flags = {flag: action.dest for action in new._actions for flag in action.option_strings}
    assert all(flags.get(row.name) == row.field for row in rows())
