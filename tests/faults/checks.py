"""Checks of a session's files, with SQL and a reading of their own: they share no code with the ledger."""

import json
import sqlite3
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from cockpit.core.agent_events import ApiReserved
from cockpit.core.cluster_events import Launching
from cockpit.core.events import Submitting
from cockpit.core.fold import fold, fold_all
from cockpit.core.state import State
from cockpit.decide.budget import committed_usd
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader

CENT = 0.01

Body = dict[str, Any]


def numbered_bodies(path: Path) -> list[tuple[int, Body]]:
    """Return (number, event) of every event in a ledger's file, packed ones too."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        found: list[tuple[int, Body]] = []
        for last, count, packed in db.execute("SELECT last, events, body FROM packs ORDER BY last"):
            text, at, number = unpacked(packed), 0, last - count
            while at < len(text):
                size = int.from_bytes(text[at : at + 4], "little")
                number += 1
                found.append((number, json.loads(text[at + 4 : at + 4 + size])))
                at += 4 + size
            assert number == last, f"the pack to {last} holds another number of events"
        found += [(seq, json.loads(body)) for seq, body in db.execute("SELECT seq, body FROM events ORDER BY seq")]
    finally:
        db.close()
    return found


def unpacked(packed: bytes) -> bytes:
    """Return the text of a pack; those of older sessions are deflated."""
    is_deflated = packed[:1] == b"\x78"
    return zlib.decompress(packed) if is_deflated else zstandard.ZstdDecompressor().decompress(packed)


def nothing_counted_twice(folder: SessionFolder) -> list[Body]:
    """Check the numbers, and that each attempt ended at most once and was not run after its end. Returns the events."""
    found = numbered_bodies(folder.ledger)
    numbers = [number for number, _ in found]
    assert numbers == list(range(1, len(numbers) + 1)), "a number is missing, or there twice"
    events = [event for _, event in found]
    ended: set[str] = set()
    started: set[str] = set()
    for event in events:
        kind, attempt = event["kind"], event.get("attempt", "")
        if kind == "Ended":
            assert attempt not in ended, f"{attempt} ended twice"
            ended.add(attempt)
        elif kind == "Started":
            assert attempt not in ended, f"{attempt} started after its end"
            started.add(attempt)
    intents = Counter(event["intent"] for event in events if event["kind"] == "IntentTaken")
    assert not [number for number, count in intents.items() if count > 1], "an intent was taken twice"
    ids = Counter(one["id"] for event in events if event["kind"] == "Proposed" for one in event["experiments"])
    assert not [name for name, count in ids.items() if count > 1], "an experiment's name was given twice"
    return events


def every_start_has_one_end(folder: SessionFolder) -> None:
    """Check a session that is over: all of the above, and no run is left without an end."""
    events = nothing_counted_twice(folder)
    started = {event["attempt"] for event in events if event["kind"] == "Started"}
    ended = {event["attempt"] for event in events if event["kind"] == "Ended"}
    assert started <= ended, f"runs without an end: {sorted(started - ended)}"


def a_fold_from_nothing_is_the_state(folder: SessionFolder) -> None:
    """Check that the snapshot and the events after it give the state that all events give."""
    reader = LedgerReader(folder)
    try:
        told = msgspec.msgpack.encode(reader.state())
        anew = fold_all(reader.since(0))
        reader.fold_live(anew)
        assert msgspec.msgpack.encode(anew) == told, "the snapshot's state is another one than the events give"
    finally:
        reader.close()
    ledger = Ledger.open(folder.ledger)
    try:
        assert msgspec.msgpack.encode(ledger.state()) == told, "the ledger's state is another one than the reader's"
        assert ledger.notes == []
    finally:
        ledger.close()


def commits_within_its_cap(folder: SessionFolder) -> State:
    """Fold the session again, and check the money after each event that commits some. Returns its state."""
    state: State | None = None
    reader = LedgerReader(folder)
    try:
        for event in reader.since(0):
            state = fold(state, event)
            if isinstance(event, Launching | Submitting | ApiReserved) and state.budget_usd:
                committed = committed_usd(state, event.at)
                assert committed <= state.budget_usd + CENT, (state.seq, event, committed, state.budget_usd)
    finally:
        reader.close()
    assert state is not None
    return state
