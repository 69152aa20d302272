"""Whole nights on the simulated fleet with a scripted model, through the real worker, SDK and wire format.

One night goes well. In another the API fails in every way it can.
"""

import os
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cockpit.agent.claude.researcher import Claude
from cockpit.agent.proposers import planned
from cockpit.agent.proposers.hybrid import Hybrid
from cockpit.agent.proposers.search import Search
from cockpit.core.agent_events import ApiUsed
from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import Approved, AskEnded, CapReached, Said
from cockpit.core.events import Asked as ProposerAsked
from cockpit.core.intents import Reject, Say, encode_intent
from cockpit.core.model import ClusterState, Tier, WaveKind, WaveStatus
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.decide.budget import accounts
from cockpit.read.needs import needs
from cockpit.session.api_key import KEY_VARIABLE, KeyHolder
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.settings import AgentSettings, EnvelopeSettings, NewSession, Settings
from cockpit.tui.views.summary import header_needs
from cockpit.worker import build
from tests.agent.direct_api import PROGRAM
from tests.agent.messages_server import KEY, Answer, Asked, Hang, MessagesServer, Refuse, Reply, calls, says, together
from tests.worker.sessions import ROOT, git

Script = Callable[[Asked], Reply]

EDIT = {"search": "WARMDOWN_RATIO = 0.5", "replace": "WARMDOWN_RATIO = 0.55"}
STEER = "Stop widening, look at the schedule."
REJECTION = "no code edits tonight"


class Researcher:
    """A scripted model that plans from its briefing alone, and the person it works with."""

    def __init__(self, folder: SessionFolder) -> None:
        self.folder = folder
        self.noticed: list[str] = []
        """Milestones in order."""
        self._grids = 0

    def __call__(self, asked: Asked) -> Answer:
        if not asked.opens_turn:
            return self._continue(asked)
        text = asked.briefing
        conversation = text.partition("# conversation")[2]
        if "Is the model wide enough?" not in text and "w-validated" not in self.noticed:
            return self._screen("Is the model wide enough?", "ASPECT_RATIO", [48, 64, 80, 96], phase="width")
        if "w-validated" not in self.noticed and re.search(r"The last finished waves", text):
            return calls("query_experiments", {"edited": False, "sort": "score", "limit": 3})
        if "refused" not in self.noticed and REJECTION not in text:
            if "Does a longer cooldown help?" in text:
                return says("I wait for your answer on the code edit.")
            return calls("propose_wave", {"question": "Does a longer cooldown help?", "arms": [{"edits": [EDIT]}]})
        if REJECTION in text and "refused" not in self.noticed:
            self.noticed.append("refused")
        if STEER in conversation and "steered" not in self.noticed:
            self.noticed.append("steered")
            return self._screen("Which cooldown is best?", "WARMDOWN_RATIO", [0.3, 0.4, 0.6, 0.7], phase="schedule")
        self._grids += 1
        return self._screen(f"Which rate, {self._grids}?", "SCALAR_LR", [round(0.3 + self._grids / 50, 3), 0.9])

    def _screen(self, question: str, factor: str, levels: list[Any], phase: str = "") -> Answer:
        wave = {
            "question": question,
            "factors": {factor: levels, "MATRIX_LR": [0.03, 0.04, 0.05]},
            "would_change_mind": "no level beats the incumbent",
        }
        first = [calls("set_phase", {"phase": phase})] if phase else []
        return together(*first, calls("propose_wave", wave))

    def _continue(self, asked: Asked) -> Answer:
        answer = asked.answers[-1]
        if "rows" in answer and "w-validated" not in self.noticed:
            best = [row[0] for row in answer["rows"] if row[0] != "e0000"][:2]
            self.noticed.append("w-validated")
            arms = [{"measure_again": name} for name in best]
            return together(
                calls("compare", {"a": best[0], "b": "e0000"}),
                calls("record_finding", {"claim": "Wider is better up to 96.", "experiments": best}),
                calls("propose_wave", {"question": "Does the width hold?", "arms": arms, "tier": "validate"}),
            )
        return says("That is what I try next.")

    def person(self, worker: Any) -> None:
        """Act as the person, from the worker's state between two ticks."""
        state, inbox = worker.state, Inbox(self.folder.inbox)
        for name in state.proposals:
            wave = state.waves[name]
            edits = any(state.experiments[arm].change.edits for arm in wave.arms)
            if edits and wave.status is WaveStatus.PROPOSED:
                inbox.put("ann", encode_intent(Reject(name, REJECTION)))
                inbox.put("ann", encode_intent(Say(STEER)))
        inbox.close()


def run_night(
    tmp_path: Path, failing: Callable[[Researcher], Script] | None = None, timeout_s: float = 60.0, **new: Any
) -> tuple[Researcher, MessagesServer, list[AnyEvent], Any]:
    """Run a session to its end. Return the researcher, the server, all events and the final state."""
    os.environ[KEY_VARIABLE] = KEY
    repo = tmp_path / "repo"
    repo.mkdir()
    for name in ("train.py", "prepare.py"):
        (repo / name).write_bytes((ROOT / name).read_bytes())
    (repo / "program.md").write_text(PROGRAM)
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    folder = SessionFolder(tmp_path / "sessions" / "night")
    chosen: dict[str, Any] = {"fleet": "sim", "clusters": 16, "mode": "autopilot", "proposer": "claude", **new}
    session = NewSession(**chosen)
    settings = Settings(session=session, envelope=EnvelopeSettings(usd=1e6, wave_size=16))
    create(folder, Plan("night", repo, settings, speed=0), SIM_EPOCH)
    researcher = Researcher(folder)
    with MessagesServer(failing(researcher) if failing else researcher) as server:
        agent = AgentSettings(base_url=server.url, timeout_s=timeout_s, tries=3)
        claude = Claude(agent, folder, KeyHolder(""), backoff_s=0.001)
        with pytest.MonkeyPatch.context() as patch:
            hybrid = Hybrid(claude, Search(), 0.5)
            named = {
                "claude": claude,
                "hybrid": hybrid,
                "search": Search(),
                "ablate": planned.ablate(),
                "rebase": planned.rebase(),
            }
            patch.setattr(build, "proposers", lambda *arguments: named)
            worker = build.build(folder, threading.Event(), threading.Event())
        tick = worker.tick

        def tick_with_person() -> None:
            tick()
            researcher.person(worker)

        worker.tick = tick_with_person  # type: ignore[method-assign]
        worker.start()
        worker.close(worker.run(threading.Event()))
    ledger = LedgerReader(folder)
    events, state = ledger.since(0), ledger.state()
    ledger.close()
    return researcher, server, events, state


def check_the_night(researcher: Researcher, events: list[AnyEvent], state: Any) -> None:
    """Check what holds for every night."""
    waves = [wave for wave in state.waves.values() if wave.proposer == "claude"]
    questions = [wave.question for wave in waves]
    assert questions[0] == "Is the model wide enough?"
    assert len(questions) == len(set(questions)), "no question is asked twice"
    fingerprints = [experiment.fingerprint for experiment in state.experiments.values()]
    assert len(fingerprints) == len(set(fingerprints))
    approvals = {event.wave: event for event in events if isinstance(event, Approved)}
    for attempt in state.attempts.values():
        assert attempt.rule, f"{attempt.id} ran under no rule"
    edited = {experiment.wave for experiment in state.experiments.values() if experiment.change.edits}
    assert edited and not edited & set(approvals), "code outside the envelope waits for the person"
    promoted = next(wave for wave in waves if wave.tier is Tier.VALIDATE)
    for name in promoted.again:
        runs = [state.attempts[attempt] for attempt in state.experiments[name].attempts]
        better = [run for run in runs if run.tier is Tier.VALIDATE]
        assert better, f"{name} was promoted"
        # A run may crash or be cut off by the end of the night; one that gave a result did so on the better class.
        assert all(run.hardware == "H200" for run in better if run.metrics is not None)
    assert sorted(researcher.noticed) == ["refused", "steered", "w-validated"]
    assert researcher.noticed.index("refused") < researcher.noticed.index("steered")
    asked_at = {wave.question: wave.proposed_at for wave in waves}
    said_at = next(event.at for event in events if isinstance(event, Said) and event.text == STEER)
    assert asked_at["Which cooldown is best?"] >= said_at
    assert state.findings[0].claim == "Wider is better up to 96."
    baseline, incumbent = state.experiments["e0000"], state.experiments[state.incumbent]
    assert min(min(s) for s in incumbent.scores.values()) < min(min(s) for s in baseline.scores.values())


def failing_script(researcher: Researcher) -> Script:
    """Return a script that fails about half of the requests, in every way."""
    dice = random.Random(11)
    failures: list[Reply] = [
        Refuse(429, "rate_limit_error", headers={"retry-after": "0"}),
        Refuse(429, "rate_limit_error", headers={"retry-after": "600"}),
        Refuse(529, "overloaded_error"),
        Refuse(500, "api_error"),
        Refuse(401, "authentication_error"),
        Refuse(402, "billing_error"),
        Hang(1.0),
        Answer([]),
        Answer([{"type": "text", "text": "I would rather"}], stop_reason="refusal"),
        calls("propose_wave", {"question": 7}),
        calls("rm", {"rf": "/"}),
    ]
    cuts: list[dict[str, Any]] = [
        {"cut_after": 5},
        {"cut_after": 8, "end_early": True},
        {"cut_after": 7, "error_after": "overloaded_error"},
    ]
    turns = iter(range(10**6))

    def script(asked: Asked) -> Reply:
        number = next(turns)
        if number < 2 * len(failures) and number % 2 == 0:
            return failures[number // 2]
        if asked.answers and "error" in asked.answers[-1] and len(asked.body["messages"]) > 12:
            return says("I cannot get it right.")
        roll = dice.random()
        if roll < 0.2:
            return failures[dice.randrange(len(failures) - 1) if dice.random() < 0.9 else 0]
        if roll < 0.4 and asked.opens_turn:
            planned = calls("propose_wave", {"question": "Half said", "factors": {"DEPTH": [4, 6]}})
            for name, value in dice.choice(cuts).items():
                setattr(planned, name, value)
            return planned
        if asked.answers and "error" in asked.answers[-1] and not _of_the_script(asked):
            return says("That was wrong.")
        return researcher(asked)

    return script


def _of_the_script(asked: Asked) -> bool:
    return "rows" in asked.answers[-1]


Night = tuple[Researcher, MessagesServer, list[AnyEvent], Any, Path]


@pytest.fixture(scope="module")
def good_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    place = tmp_path_factory.mktemp("good")
    return *run_night(place, budget_hours=1.25), place


@pytest.fixture(scope="module")
def bad_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    place = tmp_path_factory.mktemp("bad")
    return *run_night(place, failing_script, timeout_s=0.4, budget_hours=1.75), place


def test_a_night_screens_promotes_and_follows_the_person(good_night: Night) -> None:
    researcher, server, events, state, _ = good_night
    check_the_night(researcher, events, state)
    assert not server.problems
    ended = [event for event in events if isinstance(event, AskEnded) and event.proposer == "claude"]
    assert not [event.trouble for event in ended if event.trouble]


def test_every_request_is_paid_in_the_ledger(good_night: Night) -> None:
    _, server, events, state, _ = good_night
    used = [event for event in events if isinstance(event, ApiUsed)]
    assert len(used) == len(server.asked)
    assert state.spend.api_usd == pytest.approx(sum(event.usd for event in used)) and state.spend.api_usd > 0
    assert state.spend.cache_read_tokens > state.spend.cache_write_tokens


def test_a_night_with_every_failure_reaches_the_same_ends(bad_night: Night) -> None:
    researcher, _, events, state, _ = bad_night
    check_the_night(researcher, events, state)
    troubles = {event.trouble for event in events if isinstance(event, AskEnded) and event.trouble}
    assert len(troubles) >= 4
    assert all("\n" not in trouble and KEY not in trouble for trouble in troubles)
    assert "Half said" not in [wave.question for wave in state.waves.values()]


def test_failures_of_the_model_do_not_idle_the_fleet(good_night: Night, bad_night: Night) -> None:
    good, bad = (accounts(night[3], night[3].now) for night in (good_night, bad_night))
    assert bad.duty > 0.9 * good.duty


@pytest.mark.parametrize("night", ["good_night", "bad_night"])
def test_the_key_is_in_no_file_and_not_in_the_environment_after_a_night(
    night: str, request: pytest.FixtureRequest
) -> None:
    place: Path = request.getfixturevalue(night)[4]
    files = [path for path in place.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert {"ledger.db", "transcript.jsonl", "agent.claude.live"} <= {path.name for path in files}
    assert KEY not in os.environ.values()


def test_filler_waves_are_proposed_by_search(bad_night: Night) -> None:
    waves = bad_night[3].waves.values()
    assert {wave.proposer for wave in waves if wave.kind is WaveKind.FILLER} == {"search"}


def test_an_api_that_stays_out_is_asked_more_and_more_rarely(tmp_path: Path) -> None:
    out = Refuse(529, "overloaded_error")
    _, _, events, state = run_night(tmp_path, lambda _: lambda asked: out, budget_hours=1.5)
    ended = [event for event in events if isinstance(event, AskEnded) and event.proposer == "claude"]
    waits = [round(event.retry_at - event.at) for event in ended]
    assert waits[:6] == [60, 120, 240, 480, 900, 900] and len(waits) < 10
    assert accounts(state, state.now).duty > 0.9
    assert "claude" not in {wave.proposer for wave in state.waves.values()}


def test_hybrid_is_not_asked_because_of_its_own_messages(tmp_path: Path) -> None:
    _, server, events, state = run_night(tmp_path, budget_hours=0.5, proposer="hybrid")
    assert not server.problems
    reasons = [event.reason for event in events if isinstance(event, ProposerAsked) and event.proposer == "hybrid"]
    spoken = [event for event in events if isinstance(event, Said) and event.author == "ann"]
    assert reasons and reasons.count("said") <= len(spoken)
    by = {wave.proposer for wave in state.waves.values() if wave.kind is WaveKind.WAVE}
    assert by - {"rebase"} == {"claude", "search"}


def test_the_cap_ends_the_night_with_one_message_and_is_never_exceeded(tmp_path: Path) -> None:
    _, _, events, state = run_night(tmp_path, budget_hours=1.0, budget_usd=12.0)
    assert accounts(state, state.now).total_usd <= 12.0
    reached = [event for event in events if isinstance(event, CapReached)]
    assert len(reached) == 1, "one message"
    sentence = reached[0].text
    assert sentence.startswith("the budget of $12.00 is reached: $11.")
    assert [message.text for message in state.messages if message.kind == "trouble"].count(sentence) == 1
    assert sentence in [need.sentence for need in needs(state, state.now)]
    running = WorkerStatus("running", 0.0)
    assert "budget reached: raise it to continue" in [need.short for need in header_needs(state, running, state.now)]
    assert not [event for event in events if isinstance(event, ProposerAsked) and event.at >= reached[0].at]
    assert {cluster.state for cluster in state.clusters.values()} == {ClusterState.DOWN}
    assert len(state.experiments) < 200, "no more was proposed than the budget pays for"
