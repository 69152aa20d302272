"""A person at the real screen steers a real worker on the simulated fleet. A scripted model proposes over HTTP."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cockpit.core.model import AttemptStatus, Mode, Outcome, WaveStatus
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.session.api_key import KEY_VARIABLE
from cockpit.session.paths import SessionFolder
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import LedgerFeed
from tests.agent.messages_server import KEY, Answer, Asked, MessagesServer, calls, says, together
from tests.tui.conftest import press, shown, words_on
from tests.worker.sessions import kill, sim_session

pytestmark = pytest.mark.anyio

SPEED = 40.0
WHY = "no wider than 96, please"
ALOUD = "think aloud"


class Model:
    """A model that proposes another grid each turn, and thinks aloud, slowly, when asked to."""

    def __init__(self) -> None:
        self.turns = 0
        self.briefings: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        if not asked.opens_turn:
            return says("That is what I would try.")
        self.turns += 1
        self.briefings.append(asked.briefing)
        if ALOUD in asked.briefing:
            slow = says("Considering widths and rates once more. " * 400)
            slow.delay_s = 0.05
            return slow
        wave = {
            "question": f"Which rate, {self.turns}?",
            "factors": {"MATRIX_LR": [0.03, 0.05], "SCALAR_LR": [round(0.3 + self.turns / 50, 3)]},
            "would_change_mind": "no rate beats the incumbent",
        }
        return together(says("I look at the rates."), calls("propose_wave", wave))


@pytest.fixture
def model() -> Iterator[tuple[Model, MessagesServer]]:
    script = Model()
    with MessagesServer(script) as server:
        yield script, server


@pytest.fixture
def folder(
    tmp_path: Path, model: tuple[Model, MessagesServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[SessionFolder]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    made = sim_session(tmp_path, SPEED, clusters=4, mode="copilot", proposer="claude")
    (tmp_path / "repo" / "cockpit.toml").write_text(f'[agent]\nbase_url = "{model[1].url}"\n')
    worker_process.start(made)
    yield made
    kill(made)


class Person:
    """A person at the keyboard: presses keys, and waits for the state on the screen."""

    def __init__(self, app: CockpitApp, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def state(self) -> State:
        assert self.app.state is not None
        return self.app.state

    async def press(self, *keys: str) -> None:
        await press(self.pilot, *keys)

    async def sees(self, what: str, so: Callable[[], object], within_s: float = 90.0) -> None:
        until = time.monotonic() + within_s
        while not so():
            assert time.monotonic() < until, f"never saw {what}\n{words_on(self.app)}"
            await asyncio.sleep(0.05)

    async def proposal(self) -> str:
        """Wait for a proposal. Returns the one that the keys are about."""
        await self.sees("a proposal", lambda: self.state.proposals)
        return next(iter(self.state.proposals))


async def test_a_person_steers_a_session_from_the_screen(
    folder: SessionFolder, model: tuple[Model, MessagesServer]
) -> None:
    script, server = model
    app = CockpitApp(LedgerFeed(folder.root), user="ada")
    async with shown(app, 160, 44) as pilot:
        person = Person(app, pilot)
        sees, press = person.sees, person.press

        first = await person.proposal()
        await sees("its card", lambda: f"{first} claude Which rate, 1?" in words_on(app))
        await press("a", "y")
        await sees("it approved", lambda: person.state.waves[first].status is WaveStatus.APPROVED)
        assert person.state.waves[first].decided_by == "ada"
        await sees("it run", lambda: any(attempt_of(person.state, first)))
        await sees("it said to run", lambda: f"▶ {first}" in words_on(app))

        second = await person.proposal()
        await press("r", *WHY, "enter")
        await sees("it rejected", lambda: person.state.waves[second].status is WaveStatus.REJECTED)
        assert person.state.waves[second].reason == WHY
        await sees("the reason in the model's briefing", lambda: any(WHY in text for text in script.briefings))

        await press("H")
        await sees("all held", lambda: person.state.held and "held" in words_on(app).split("\n")[0])
        await press("H")
        await sees("all resumed", lambda: not person.state.held)

        third = await person.proposal()
        await press("A", "y")
        await sees("trust", lambda: person.state.envelope.proposers == ["claude"])
        assert person.state.waves[third].status is WaveStatus.APPROVED

        await press("m", "k", "enter")
        await sees("manual", lambda: person.state.mode is Mode.MANUAL)

        await press("i", *ALOUD, "enter", "escape")
        await sees("the words on the screen", lambda: ALOUD in words_on(app))
        await sees("it thinking aloud", lambda: "Considering widths" in words_on(app))
        await press("escape")
        await sees("the turn ended", lambda: not person.state.asks)
        await sees("nothing more of it", lambda: not app.main.talk.spoken)

        await press("1")
        await sees("a run", lambda: running_on(person.state, app.main.grid.selected) or not move(app))
        doomed = running_on(person.state, app.main.grid.selected)
        await press("x", "down", "enter")
        await sees("it killed", lambda: person.state.attempts[doomed].outcome is Outcome.CANCELLED)
        assert person.state.attempts[doomed].cancelled_by == "ada"
    assert not server.problems


def attempt_of(state: State, wave: str) -> list[str]:
    arms = state.waves[wave].arms
    return [name for name in state.in_flight if state.attempts[name].experiment in arms]


def running_on(state: State, cluster: str) -> str:
    """Return the attempt that trains there and is not half done; empty for none."""
    name = state.clusters[cluster].running
    attempt = state.attempts.get(name)
    if attempt is None or attempt.status is not AttemptStatus.RUNNING or attempt.progress is None:
        return ""
    return name if attempt.progress.fraction < 0.5 else ""


def move(app: CockpitApp) -> bool:
    """Select the next cluster, the first after the last."""
    grid = app.main.grid
    grid.select_index((grid.keys.index(grid.selected) + 1) % len(grid.keys))
    return True
