"""Requests over HTTP and runs of a real worker draw on one cap, while a person moves it up and down."""

import itertools
import random
import time
from pathlib import Path

import pytest

from cockpit.core.agent_events import ApiReserved, ApiUsed
from cockpit.core.cluster_events import Launching
from cockpit.core.events import BudgetSet, Submitting
from cockpit.core.intents import SetBudget, encode_intent
from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.session.api_key import KEY_VARIABLE
from cockpit.session.inbox import Inbox
from tests.agent.messages_server import KEY, Answer, Asked, MessagesServer, calls, says
from tests.agent.test_reserved import events_of
from tests.faults.checks import commits_within_its_cap
from tests.worker.sessions import sim_session, state_of, wait_for

CAPS = (8.0, 2.0, 20.0, 5.0, 30.0, 1.0)


def is_down(state: State) -> bool:
    ended = (ClusterState.DOWN, ClusterState.GIVEN_UP)
    return all(cluster.state in ended for cluster in state.clusters.values()) and not state.api_reserved


@pytest.mark.timeout(300)
def test_requests_and_runs_draw_on_one_cap_however_it_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    levels = itertools.count()

    def script(asked: Asked) -> Answer:
        if not asked.opens_turn:
            return says("Enough for now.")
        number = next(levels)
        grid = {"WARMDOWN_RATIO": [round(0.3 + number / 1_000, 4), round(0.5 + number / 1_000, 4)]}
        return calls("propose_grid", {"question": "how long?", "factors": grid})

    with MessagesServer(script) as server:
        folder = sim_session(tmp_path, speed=120.0, clusters=6, proposer="claude", mode="autopilot", budget_usd=CAPS[0])
        toml = f'[agent]\nbase_url = "{server.url}"\ntimeout_s = 60.0\nkey_file = ""\n'
        (tmp_path / "repo" / "cockpit.toml").write_text(toml)
        worker_process.start(folder)
        try:
            inbox, dice = Inbox(folder.inbox), random.Random(3)
            wait_for(
                lambda: state_of(folder).spend.api_usd > 0 and state_of(folder).attempts, 120, "a request and runs"
            )
            for cap_usd in CAPS[1:]:
                inbox.put("ann", encode_intent(SetBudget(cap_usd)))
                time.sleep(dice.uniform(0.5, 2.0))
            inbox.close()
            wait_for(lambda: state_of(folder).budget_usd == CAPS[-1], 60, "the last cap")
            wait_for(lambda: is_down(state_of(folder)), 120, "the end of what was committed above it")
        finally:
            worker_process.terminate(folder)
    state = commits_within_its_cap(folder)
    kinds = {type(event) for event in events_of(folder)}
    assert {ApiReserved, ApiUsed, BudgetSet, Launching, Submitting} <= kinds
    assert state.spend.api_usd > 0 and not server.problems
