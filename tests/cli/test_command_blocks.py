"""The commands of the README and the pages run as they are written, or say why they are not run.

A block of commands is fenced with `sh`. Its commands run in a scratch checkout that has one simulated session, `night`.
A block that cannot run says so behind the word `unrun:`, with the reason.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from cockpit.cli.demo import copy_of
from cockpit.cli.errors import UsageError
from cockpit.cli.parser import parser
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings
from cockpit.worker.build import build
from tests.cli.shell import environment
from tests.worker.sessions import ROOT

GUIDE = ROOT / "cockpit" / "agent" / "guide" / "AGENTS.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
PAGES += sorted((ROOT / "docs").glob("*.md"))
NO_COMMANDS = {"text", "toml", "json", "mermaid", "python", "diff", "yaml"}
BLOCK_WITHIN_S = 120.0
INCOMPLETE = ("the following arguments are required", "expected one argument")
"""A sentence names a command or a flag alone."""
REASONS = ("needs ", "opens ", "serves ")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    unrun: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = []
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language, _, info = match[1].partition(" ")
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, info.removeprefix("unrun:").strip(), match[2]))
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [block for block in BLOCKS if block.language == "sh" and not block.unrun]


def test_every_block_says_its_kind() -> None:
    kinds = NO_COMMANDS | {"sh"}
    assert not [str(block) for block in BLOCKS if block.language not in kinds], f"fence it as one of {kinds}"
    indented = [
        f"{page.name}: {line}"
        for page in PAGES
        for line in re.findall(r"\n\n    (?! )(.+)", re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8")))
    ]
    assert not indented, "fence it: an indented block cannot say whether it is run"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.unrun], ids=str)
def test_a_block_that_is_not_run_says_why(block: Block) -> None:
    assert block.language == "sh"
    files = re.findall(r"\S*/\w+(?:\.py)?", block.unrun)
    assert files or block.unrun.startswith(REASONS), block.unrun
    assert all((ROOT / file).exists() for file in files), block.unrun


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in ("toml", "json")], ids=str)
def test_an_example_of_a_file_is_accepted(block: Block) -> None:
    if block.language == "json":
        json.loads(block.text)
    else:
        msgspec.convert(tomllib.loads(block.text), Settings)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a scratch repository with the default project, the examples, and a night of one simulated hour."""
    place = tmp_path_factory.mktemp("docs") / "checkout"
    copy_of(ROOT, place)
    for word in ("examples", "docs"):
        (place / word).symlink_to(ROOT / word)
    folder = SessionFolder(place / "sessions" / "night")
    new = NewSession(fleet="sim", clusters=16, mode="autopilot", proposer="grid", budget_hours=1.0)
    settings = Settings(session=new, envelope=EnvelopeSettings(usd=1e6))
    create(folder, Plan("night", place, settings, speed=0.0), SIM_EPOCH)
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    worker.close(worker.run(threading.Event()))
    command = place.parent / "bin" / "cockpit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cockpit "$@"\n')
    command.chmod(0o755)
    return place


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_of_commands_runs(checkout: Path, block: Block) -> None:
    variables = environment(checkout / "sessions")
    del variables["COCKPIT_SESSIONS"]
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    variables |= {
        "PATH": os.pathsep.join((str(checkout.parent / "bin"), variables["PATH"])), "HOME": str(home),
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", f"trap 'cd \"$PWD\"; {stop_started(block)}' EXIT\n{block.text}"],
        cwd=checkout, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BLOCK_WITHIN_S,
    )  # fmt: skip
    assert done.returncode == 0, f"{block.text}{done.stdout}{done.stderr}"


def stop_started(block: Block) -> str:
    """Return the command that ends the workers of sessions that a block makes."""
    names = re.findall(r"^cockpit new (\w+)", block.text, re.MULTILINE)
    return "; ".join(f"cockpit stop {name} --cancel --wait 60" for name in names) or "true"


def commands_in(page: Path) -> list[str]:
    """Return each `cockpit …` of a page, in its blocks and within its sentences."""
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"(?<!`)`(cockpit [^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", text))
    lines = [line for block in blocks(page) if block.language == "sh" for line in joined(block.text)]
    lines += re.findall(r"^    (cockpit .+)$", text, re.MULTILINE)
    return spans + [line for line in lines if line.startswith("cockpit ")]


def joined(text: str) -> list[str]:
    """Return the lines of a block; one that ends in a backslash continues in the next."""
    return text.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("page", [*PAGES, GUIDE], ids=lambda page: page.name if isinstance(page, Path) else "")
def test_every_command_that_a_page_names_is_one_with_these_flags(page: Path) -> None:
    refused = []
    for command in commands_in(page):
        plain = re.sub(r'"\$\(.*?\)"', "VALUE", command)
        words = shlex.split(re.split(r" [|>] ", plain)[0], comments=True)[1:]
        if words[-1] == "…" or "--help" in words:
            words = words[:-1]
        try:
            parser().parse_args(words)
        except UsageError as error:
            if not any(word in str(error) for word in INCOMPLETE):
                refused.append(f"{command}: {error}")
    assert refused == []
