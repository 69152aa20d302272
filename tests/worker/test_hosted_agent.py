"""A hosted agent with a real worker, a real process that speaks ACP and real MCP tools; only the model is a script."""

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from cockpit.agent.claude import turn_status
from cockpit.core.intents import Interrupt, Permit, Say
from cockpit.core.state import open_permissions
from cockpit.fleet.node.confinement import Wall, available
from cockpit.read.needs import NeedKind, needs
from cockpit.report.markdown import markdown
from cockpit.session import worker_process
from cockpit.session.client import SteeringError
from tests.worker.agent_nights import NAME, WAIT_S, WAVE, Night, Step
from tests.worker.sessions import ROOT, kill, wait_for

SAY = {"text": "One wave is proposed."}


def test_an_agent_is_started_and_its_answer_taken(nights: Any) -> None:
    turn = [
        ["think", "Depth first."],
        ["plan", "try depth"],
        ["tool", "propose_wave", WAVE],
        ["say", "One wave", " is up."],
    ]
    night = nights(turn, [["say", "Nothing new."]])
    wait_for(lambda: "One wave is up." in night.said(), WAIT_S, "the agent's message")
    state = night.state
    waves = [wave for wave in state.waves.values() if wave.proposer == NAME]
    assert [wave.question for wave in waves] == ["Deeper?"]
    assert night.logged("answer")[0]["status"] == "proposed"
    assert "propose_wave" in night.logged("tools")[0] and "wait" not in night.logged("tools")[0]
    first = night.logged("prompt")[0]
    assert "You are the researcher" in first and "# Your task" in first
    assert "# train.py of e0000" in first and "DEPTH = 4" in first
    assert (night.folder.agent_files(NAME) / "checkout" / "train.py").exists()
    assert list(state.unmetered) == [NAME]
    text = night.folder.transcript.read_text()
    assert "Depth first." in text and "try depth" in text and "mcp__cockpit__propose_wave" in text


def test_edits_in_the_scratch_checkout_become_an_arm(nights: Any) -> None:
    wave = {"question": "A smaller step?", "from_scratch": True}
    edits = [["edit", "MATRIX_LR = 0.04", "MATRIX_LR = 0.05"], ["edit", "step in range(4)", "step in range(3)"]]
    night = nights([*edits, ["tool", "propose_wave", wave]])
    wait_for(lambda: night.logged("answer"), WAIT_S, "the answer to the proposal")
    assert night.logged("answer")[0]["experiments"], night.logged("answer")
    state = night.state
    (arm,) = [one for one in state.experiments.values() if state.waves[one.wave].proposer == NAME]
    assert len(arm.change.edits) == 2 and arm.overrides == {"MATRIX_LR": 0.05}
    checkout = Path(state.session.repo) / "train.py"
    assert "MATRIX_LR = 0.04" in checkout.read_text(), "the person's checkout is untouched"


def test_permissions_are_answered_by_policy_and_stored(nights: Any) -> None:
    wishes = [
        ["permit", "read", "Read train.py", "CWD/train.py"],
        ["permit", "edit", "Edit train.py", "CWD/train.py"],
        ["permit", "read", "Read /etc/passwd", "/etc/passwd"],
        ["permit", "read", "Read up", "CWD/../../../ledger.db"],
        ["permit", "execute", "rm -rf /"],
        ["permit", "fetch", "https://example.com"],
        ["permit", "other", "mcp__cockpit__brief"],
        ["permit", "other", "mcp__cockpit__brief; rm -rf /"],
        ["permit", "other", "propose_wave (cockpit MCP Server)"],
        ["write", "CWD/notes.txt", "mine"],
        ["write", "/tmp/not-mine.txt", "no"],
    ]
    night = nights([*wishes, ["say", "Asked."]])
    wait_for(lambda: "Asked." in night.said(), WAIT_S, "the end of the requests")
    assert [answer for _, answer in night.logged("permission")] == [
        *["yes"] * 2,
        *["no"] * 4,
        "yes",
        "no",
        "yes",
    ]
    assert night.logged("written") == ["CWD/notes.txt"] and len(night.logged("not written")) == 1
    told = night.said("news")
    assert "may use read: Read train.py (policy)" in told
    assert "may not use execute: rm -rf / (policy)" in told
    assert not any("mcp__cockpit__brief (" in each for each in told), "Cockpit's own tools are no news"


def asking(nights: Any, *turns: list[Step], permission_s: float = 60) -> Night:
    """Start a night whose agent's requests are shown to the person."""
    night: Night = nights(*turns, starts=False)
    night.configure(permissions="ask", permission_s=permission_s, silence_s=2)
    night.start()
    return night


def test_a_person_allows_or_refuses_what_the_policy_does_not(nights: Any) -> None:
    night = asking(
        nights,
        [
            ["permit", "execute", "List", "", {"command": "ls -l\rrm x", "timeout": 5, "description": "harmless"}],
            ["permit", "fetch", "https://example.com"],
            ["permit", "execute", "x" * 2_000],
            ["say", "Asked."],
        ],
    )
    wait_for(lambda: open_permissions(night.state), WAIT_S, "the first request")
    (name,) = night.state.permissions
    asked = night.state.permissions[name]
    assert asked.what == 'use execute: List with ls -l\\rrm x {"timeout": 5}' and asked.within_s == 60
    assert [need.about for need in needs(night.state, night.state.now) if need.kind is NeedKind.PERMISSION] == [name]
    time.sleep(3)  # longer than the agent may be silent: a turn that waits for a person does not hang
    night.do(Permit(name, True))
    wait_for(lambda: len(night.state.permissions) == 2, WAIT_S, "the second request")
    (other,) = open_permissions(night.state)
    with pytest.raises(SteeringError, match="waits for an answer"):
        night.do(Permit(name, True))
    night.do(Permit(other, False))
    wait_for(lambda: "Asked." in night.said(), WAIT_S, "the end of the requests")
    assert [answer for _, answer in night.logged("permission")] == ["yes", "no", "no"]
    told = night.said("news")
    assert f"may {asked.what} (person:ann)" in told
    assert "may not use fetch: https://example.com (person:ann)" in told
    assert any(each.startswith("may not use execute: xxx") and each.endswith("(policy)") for each in told)
    wait_for(lambda: not night.state.permissions and not night.state.ask_failures, WAIT_S, "the end of the turn")


def test_a_request_that_is_not_answered_is_refused_and_the_next_do_not_wait(nights: Any) -> None:
    night = asking(
        nights, [["permit", "execute", "ls"], ["permit", "execute", "pwd"], ["say", "Asked."]], permission_s=1
    )
    wait_for(lambda: "Asked." in night.said(), WAIT_S, "the end of the requests")
    assert [answer for _, answer in night.logged("permission")] == ["no", "no"]
    told = night.said("news")
    assert "may not use execute: ls (deadline)" in told and "may not use execute: pwd (policy)" in told


def test_an_interrupt_refuses_what_waits_for_a_person(nights: Any) -> None:
    night = asking(nights, [["permit", "execute", "ls"], ["until_cancelled"]])
    wait_for(lambda: open_permissions(night.state), WAIT_S, "the request")
    night.do(Interrupt())
    wait_for(lambda: NAME not in night.state.asks, WAIT_S, "the end of the turn")
    assert not night.state.permissions and not night.state.ask_failures


@pytest.mark.skipif(available().wall is Wall.NONE, reason="this machine has no wall")
def test_an_agent_behind_its_wall_sees_its_checkout_and_not_the_session(nights: Any, tmp_path: Path) -> None:
    night = nights(starts=False)
    session, repo = night.folder.root, Path(night.state.session.repo)
    checkout = session / "seats" / NAME / "checkout"
    seen = [checkout / "train.py", checkout, night.own, session / "seats" / NAME / "tmp"]
    unseen = [
        night.folder.ledger, night.folder.inbox, repo / "train.py", repo, ROOT / "pyproject.toml"
    ]  # fmt: skip
    looks = [["look", str(path)] for path in (*seen, *unseen, session, tmp_path)]
    night.write([*looks, ["tool", "propose_wave", WAVE], ["say", "Looked."]])
    night.start()
    wait_for(lambda: "Looked." in night.said(), WAIT_S, "the end of the turn")
    assert [path for path, sees in night.logged("looked") if sees][: len(seen)] == list(map(str, seen))
    assert not [path for path, sees in night.logged("looked") if sees and path in map(str, unseen)]
    left = {path.parent for path in tmp_path.rglob("mine.txt")}
    assert left == {checkout, night.own, session / "seats" / NAME / "tmp"}, "it wrote nowhere else"
    assert night.logged("answer")[0]["status"] == "proposed", "Cockpit's tools are reached through the wall"
    wall = str(available().wall)
    assert night.state.agent_walls == {NAME: wall}
    assert f"is confined by {wall}: it sees its checkout, its login and the network" in night.said("news")


def test_an_unconfined_agent_is_said_to_be(nights: Any) -> None:
    night = nights([["say", "Here."]], starts=False)
    night.configure(confined=False)
    night.start()
    wait_for(lambda: "Here." in night.said(), WAIT_S, "the turn")
    assert night.state.agent_walls == {NAME: "unconfined"}
    assert "is unconfined: a command that it runs has your rights (`[agent] confined` is false)" in night.said(
        "trouble"
    )
    assert f"| {NAME} (unconfined) |" in markdown(night.state, night.state.now)


def test_an_interrupt_cancels_the_turn(nights: Any) -> None:
    night = nights([["say", "Thinking about it."], ["think", "hm"], ["until_cancelled"]])
    wait_for(lambda: turn_status.read(night.folder.agent_live(NAME)), WAIT_S, "the turn")
    wait_for(lambda: night.logged("prompt") and night.state.asks.get(NAME), WAIT_S, "the prompt")
    night.do(Interrupt())
    wait_for(lambda: NAME not in night.state.asks, WAIT_S, "the end of the turn")
    assert night.logged("cancel") and not night.state.ask_failures


def test_a_message_reaches_the_agent_in_its_turn_and_starts_the_next(nights: Any) -> None:
    night = nights([["until_cancelled"]], [["tool", "say", SAY]], [["say", "As you wish."]])
    wait_for(lambda: night.logged("prompt"), WAIT_S, "the first prompt")
    night.do(Say("Try the depth."))
    night.do(Interrupt())
    wait_for(lambda: len(night.logged("prompt")) == 2, WAIT_S, "the second prompt")
    assert "The person spoke" in night.logged("prompt")[1] and "Try the depth." in night.logged("prompt")[1]
    assert "You are the researcher" not in night.logged("prompt")[1], "the role is told once"


def test_a_crash_in_a_turn_is_one_sentence_and_others_take_over(nights: Any) -> None:
    night = nights([["say", "About to fall."], ["exit", 3]], [["say", "Back again."]])
    wait_for(lambda: night.state.ask_failures.get(NAME), WAIT_S, "the failed turn")
    assert f"{NAME} ended in the middle of its turn (exit status 3): a last word" in night.said("trouble")[0]
    wait_for(lambda: any(w.proposer == "search" for w in night.state.waves.values()), WAIT_S, "the stand-in's wave")
    night.do(Say("Come back."))
    wait_for(lambda: "Back again." in night.said(), WAIT_S, "the agent's return")
    assert len(night.logged("resume_session")) == 1
    wait_for(lambda: not night.state.ask_failures, WAIT_S, "the turn's end, which forgets the failure")


def test_the_agent_s_session_is_resumed_after_the_worker_was_killed(nights: Any) -> None:
    night = nights([["say", "First."], ["think", "long"], ["until_cancelled"]], [["say", "Second."]])
    wait_for(lambda: night.logged("prompt"), WAIT_S, "the first prompt")
    memory = json.loads((night.folder.agent_files(NAME) / "seat.json").read_bytes())
    left = memory["pid"]
    kill(night.folder)
    night.start()
    wait_for(lambda: "Second." in night.said(), WAIT_S, "the turn of the next worker")
    assert night.logged("resume_session") == [memory["session"]]
    assert not psutil.pid_exists(left), "the process of the killed worker is gone"


@pytest.mark.parametrize(
    ("handshake", "sentence"),
    [
        ({"asks_for_login": True}, "asks for a login: log in with its own command, then write to it"),
        ({"version": 2}, "speaks version 2 of ACP and this cockpit version 1: upgrade whichever is older"),
    ],
)
def test_an_agent_that_cannot_work_is_one_sentence(nights: Any, handshake: dict[str, Any], sentence: str) -> None:
    night = nights(**handshake)
    wait_for(lambda: night.state.ask_failures.get(NAME), WAIT_S, "the failed turn")
    assert sentence in night.said("trouble")[0]


def test_rubbish_before_messages_is_left_out_and_much_of_it_ends_the_agent(nights: Any) -> None:
    night = nights([["say", "Fine."]], [["print", "rubbish\n", 2_000], ["silence"]], prints_at_start="npm notice")
    wait_for(lambda: "Fine." in night.said(), WAIT_S, "the first turn")
    night.do(Say("More."))
    wait_for(lambda: night.state.ask_failures.get(NAME), WAIT_S, "the failed turn")
    assert "it printed 'rubbish' in place of a message" in night.said("trouble")[0]


def test_the_cost_of_a_turn_counts_as_spent(nights: Any) -> None:
    night = nights([["cost", 0.25]], [["cost", 0.40]])
    wait_for(lambda: night.state.spend.api_usd > 0, WAIT_S, "the cost")
    night.do(Say("More."))
    wait_for(lambda: night.state.spend.api_usd > 0.3, WAIT_S, "the second cost")
    assert night.state.spend.api_usd == pytest.approx(0.40)


def test_a_worker_that_stops_ends_the_agent(nights: Any) -> None:
    night = nights([["say", "Here."]])
    wait_for(lambda: "Here." in night.said(), WAIT_S, "the turn")
    pid = json.loads((night.folder.agent_files(NAME) / "seat.json").read_bytes())["pid"]
    worker_process.terminate(night.folder)
    wait_for(lambda: not psutil.pid_exists(pid), WAIT_S, "the end of the agent")


def test_an_agent_that_is_silent_is_ended_and_starts_again(nights: Any) -> None:
    night = nights([["say", "Hm."], ["silence"]], [["say", "Awake."]], starts=False)
    night.configure(silence_s=3)
    night.start()
    wait_for(lambda: night.state.ask_failures.get(NAME), WAIT_S, "the failed turn")
    assert f"{NAME} was silent for 0.05 min: its process was ended, and starts again" in night.said("trouble")[0]
    night.do(Say("Wake up."))
    wait_for(lambda: "Awake." in night.said(), WAIT_S, "the agent's return")
