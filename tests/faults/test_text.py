"""Text that UTF-8 cannot hold reaches the ledger with a question mark in its place, by any door, and stops nothing."""

import threading
from pathlib import Path

import pytest

from cockpit.control.values import BadArgument, parse_value
from cockpit.core.events import Said, Trouble
from cockpit.core.intents import Draft, Say, encode_intent
from cockpit.core.whole_text import with_whole_text
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.worker.build import build
from tests.cli.shell import cockpit
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.worker.sessions import sim_session, state_of

HALF = "\udcff"
"""A byte of a file's name that is not UTF-8, as Python reads it."""


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return sim_session(tmp_path, speed=0, clusters=2, mode="manual")


def test_a_record_keeps_all_but_the_half_character() -> None:
    event = Said(at=1.0, author="ann", text=f"é日🦀{HALF}?")
    assert with_whole_text(event) == Said(at=1.0, author="ann", text="é日🦀??")
    assert b"a?" in encode_intent(Say(f"a{HALF}"))


def test_words_drafts_and_troubles_with_it_are_written_and_read_again(folder: SessionFolder) -> None:
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    worker.record(Trouble(at=worker.now(), text=f"/data/{HALF}.bin cannot be read", about=HALF))
    receipt = worker.ingest(Draft("claude", f"why {HALF}?", factors={"MATRIX_LR": [0.02, 0.03]}), 0)
    assert receipt.wave and len(receipt.experiments) == 2
    assert worker.ingest(Draft("claude", "?", factors={f"LR{HALF}": [0.02]}), 0).problems
    worker.tick()
    worker.close("the test is over")
    assert any(message.text == "/data/?.bin cannot be read" for message in state_of(folder).messages)
    assert state_of(folder).waves[receipt.wave].question == "why ??"
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


@pytest.mark.timeout(120)
def test_words_of_a_command_that_are_not_utf_8_are_taken(tmp_path: Path) -> None:
    folder = sim_session(tmp_path, speed=60.0, clusters=2, mode="copilot", proposer="search")
    worker_process.start(folder)
    try:
        for words in (("say", f"a{HALF}b", "-s"), ("propose", f"MATRIX_LR=0.01,{HALF}", "-s"), ("kill", HALF, "-s")):
            done = cockpit(tmp_path, *words, str(folder.root))
            assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    finally:
        worker_process.terminate(folder)
    a_fold_from_nothing_is_the_state(folder)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "(1, 1e999)", "9" * 400, "{}", "1j"], ids=lambda text: text[:10])
def test_a_level_that_no_float_holds_is_refused_where_it_is_given(text: str) -> None:
    with pytest.raises(BadArgument, match=r"is not a level") as refused:
        parse_value(text)
    assert len(str(refused.value)) < 300
