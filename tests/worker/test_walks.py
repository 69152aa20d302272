"""The walks of docs/design.md: the functions that it names are called, in its order."""

import asyncio
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest

from cockpit.cli.main import main
from cockpit.core.model import Mode
from cockpit.session.paths import SessionFolder
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import LedgerFeed
from cockpit.worker.build import build
from cockpit.worker.loop import Worker
from tests.tui.conftest import settle, shown
from tests.worker.sessions import ROOT, SCRIPT, git, local_session

PAGE = ROOT / "docs" / "design.md"
STEP = re.compile(r"^\d+\. `(cockpit/[\w/]+\.py)` `([\w.]+)` ", re.MULTILINE)
PATIENCE_S = 90.0

Step = tuple[str, str]


def walk(title: str) -> list[Step]:
    """Return the steps under a title of the page: (file, function)."""
    section = PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    steps = STEP.findall(section)
    assert len(steps) == len(re.findall(r"^\d+\. ", section, re.MULTILINE)), "a step names no function"
    return steps


class Calls:
    """Every call of a walk's functions, in order."""

    def __init__(self, steps: list[Step]) -> None:
        self._names = {(str(ROOT / path), name): (path, name) for path, name in steps}
        self._known: dict[CodeType, Step | None] = {}
        self.made: list[Step] = []

    def note(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in self._known:
            self._known[code] = self._names.get((code.co_filename, code.co_qualname))
        if step := self._known[code]:
            self.made.append(step)

    def first_missing(self, steps: list[Step]) -> Step | None:
        """Return the first step that was not called after the steps before it; None where the walk is complete."""
        calls = iter(self.made)
        return next((step for step in steps if step not in calls), None)


@contextmanager
def noted(steps: list[Step]) -> Iterator[Calls]:
    calls = Calls(steps)
    before = sys.getprofile()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


@contextmanager
def working(folder: SessionFolder) -> Iterator[Worker]:
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    try:
        yield worker
    finally:
        worker.close("the test is over")


def tick_until(worker: Worker, done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, f"waited {PATIENCE_S:.0f} s for {what}"
        worker.tick()
        time.sleep(0.05)


def test_a_proposal_walks_to_a_kept_commit_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = local_session(tmp_path, clusters=2, mode=Mode.AUTOPILOT, proposer="human")
    monkeypatch.setenv("COCKPIT_SESSIONS", str(folder.root.parent))
    steps = walk("From `cockpit propose` to a kept commit")
    with working(folder) as worker:
        tick_until(worker, lambda: worker.state.incumbent == "e0000", "the baseline to be measured")
        with noted(steps) as calls:
            with pytest.raises(SystemExit) as left:
                main(["propose", "MATRIX_LR=0.02,0.05", "-s", "night"])
            tick_until(worker, lambda: worker.state.incumbent == "e0002", "the better rate to be kept")
        kept = worker.state.experiments["e0002"].commit
    assert left.value.code == 0
    assert calls.first_missing(steps) is None
    assert git(tmp_path / "repo", "rev-parse", "cockpit/night").strip() == kept


def test_a_key_walks_to_a_run_that_ends_as_the_page_says(tmp_path: Path) -> None:
    script = SCRIPT.replace("SECONDS = 0.6", "SECONDS = 60")
    folder = local_session(tmp_path, clusters=1, script=script, mode=Mode.MANUAL)
    steps = walk("From a key to a run that ends")

    async def press(worker: Worker) -> Calls:
        app = CockpitApp(LedgerFeed(folder.root), user="ann")
        async with shown(app) as pilot:
            with noted(steps) as calls:
                await pilot.press("x")
                await settle(pilot)
                await pilot.press("y")
                await settle(pilot)
                tick_until(worker, lambda: not worker.state.in_flight, "the run to end")
                until = time.monotonic() + PATIENCE_S
                while calls.first_missing(steps) and time.monotonic() < until:
                    await asyncio.sleep(0.05)
        return calls

    with working(folder) as worker:
        tick_until(worker, lambda: bool(started(worker)), "the run to start")
        calls = asyncio.run(press(worker))
        assert worker.state.outcome_counts == {"cancelled": 1}
    assert calls.first_missing(steps) is None


def started(worker: Worker) -> list[str]:
    return [name for name in worker.state.in_flight if worker.state.attempts[name].started_at]


@pytest.mark.parametrize("title", ["From `cockpit propose` to a kept commit", "From a key to a run that ends"])
def test_a_walk_visits_no_function_twice(title: str) -> None:
    steps = walk(title)
    assert len(set(steps)) == len(steps)
