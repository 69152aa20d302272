"""Each entry point checks the size of a grid before expanding it. These grids are too large to expand."""

import sqlite3
from pathlib import Path

import pytest

from cockpit.agent.arguments import ProposeWave
from cockpit.agent.tools.proposals import draft_of
from cockpit.control.drafts import draft_of_factors, with_factor
from cockpit.control.values import BadArgument
from cockpit.core.errors import CockpitError
from cockpit.core.intents import INTENT_BYTES_AT_MOST, Arm, Draft, EditProposal, Propose, decode_intent, encode_intent
from cockpit.core.model import Change, Value
from cockpit.core.state import State
from cockpit.decide.intents.request import Refused
from cockpit.science.design import choose_design, full_grid
from cockpit.science.effects import estimate_effects
from cockpit.science.noise import estimate_noise
from cockpit.science.reading import Reading
from cockpit.session.inbox import Inbox
from cockpit.session.ledger_errors import LedgerError
from cockpit.worker.intake import prepare_wave
from tests.decide.world import World

LEVELS: list[Value] = list(range(20))
GRIDS: dict[str, dict[str, list[Value]]] = {
    "20^7": {f"F{i}": LEVELS for i in range(7)},
    "2^40": {f"F{i}": [0, 1] for i in range(40)},
    "16^16": {f"F{i}": LEVELS[:16] for i in range(16)},
    "one factor of a million levels": {"F": list(range(1_000_000))},
}
AGAIN = tuple(Arm(Change(), experiment="e0000") for _ in range(10_000))
WIDE = (Arm(Change({f"C{i}": i for i in range(10_000)})),)


def draft(factors: dict[str, list[Value]] | None = None, arms: tuple[Arm, ...] = ()) -> Draft:
    return Draft("ann", "how large?", factors=factors or {}, arms=arms)


@pytest.fixture
def state() -> State:
    return World(lambda constants, attempt: 1.0).state


DRAFTS = {name: draft(factors) for name, factors in GRIDS.items()} | {
    "10,000 arms measured again": draft(arms=AGAIN),
    "an arm of 10,000 constants": draft(arms=WIDE),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", DRAFTS)
def test_an_intent_of_the_inbox_that_is_too_large_is_refused_unexpanded(name: str, state: State) -> None:
    read = decode_intent(encode_intent(Propose(DRAFTS[name])))
    assert isinstance(read, Propose)
    with pytest.raises(Refused, match=r"too many|give at most"):
        prepare_wave(None, state, read.draft, 0.0)  # type: ignore[arg-type]
    edited = decode_intent(encode_intent(EditProposal("w000", DRAFTS[name], "made it larger")))
    assert isinstance(edited, EditProposal)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_of_the_command_line_that_is_too_large_is_refused_unexpanded(name: str) -> None:
    words = [f"{factor}={','.join(map(str, levels))}" for factor, levels in GRIDS[name].items()]
    try:
        made = draft_of_factors(words)
    except BadArgument as error:
        assert "too many" in str(error) or "need" in str(error)
    else:
        assert 0 < len(made.arms) <= 256, "a fraction that fits"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "word",
    ["A=" + "1" * (1 << 20), "A" * (1 << 20) + "=1,2", "A='" + "," * (1 << 20)],
    ids=["level", "name", "commas"],
)
def test_a_word_of_a_megabyte_is_read_at_once_and_said_in_short(word: str) -> None:
    """Read characters one by one: a text that is copied for each of them would take minutes."""
    try:
        assert len(draft_of_factors([word]).arms) == 1
    except BadArgument as error:
        assert len(str(error)) < 300


def test_a_factor_that_is_given_twice_is_refused() -> None:
    with pytest.raises(BadArgument, match="A is given twice: give all its levels at once"):
        draft_of_factors(["A=1,2", "A=3"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", GRIDS)
def test_a_design_takes_no_more_cells_than_asked_for(name: str) -> None:
    try:
        cells = choose_design(GRIDS[name], 256).cells
    except ValueError as error:
        assert "too many" in str(error) or "need" in str(error)
    else:
        assert 0 < len(cells) <= 256


@pytest.mark.timeout(60)
def test_a_factor_added_on_the_screen_is_refused_where_the_arms_become_too_many() -> None:
    arms = tuple(Arm(Change({"A": number}), levels={"A": number}) for number in range(200))
    with pytest.raises(BadArgument, match="too many"):
        with_factor(draft(arms=arms), f"B={','.join(map(str, range(100_000)))}")


@pytest.mark.timeout(60)
def test_an_agents_grid_becomes_a_fraction_or_a_refusal(state: State) -> None:
    wave = ProposeWave(question="how large?", factors={f"F{i}": LEVELS[:16] for i in range(6)})
    try:
        made = draft_of(state, "claude", wave)
    except CockpitError as error:
        assert "too large" in str(error)
    else:
        assert 0 < len(made.arms) <= 64
    with pytest.raises(ValueError, match="at most 6"):
        ProposeWave(question="how large?", factors={f"F{i}": [0, 1] for i in range(40)})


@pytest.mark.timeout(120)
def test_the_effects_of_an_old_ledgers_huge_grid_are_bounded() -> None:
    """Read 256 runs of a wave with 60 factors: as columns, all pairs of its levels would take gigabytes."""
    names = [f"F{i}" for i in range(60)]
    factors: dict[str, list[Value]] = {name: list(range(200)) for name in names}
    runs = [
        ({name: (i * (n + 3)) % 200 for n, name in enumerate(names)}, Reading("e0001", "c", "CPU", 1.0))
        for i in range(256)
    ]
    found = estimate_effects(factors, runs, estimate_noise([]))
    assert found.runs == 256
    assert len(found.not_estimable) <= len(names)


def test_a_grid_is_still_expanded_where_it_fits() -> None:
    assert len(full_grid({"A": [1, 2, 3], "B": [1, 2]}).cells) == 6
    assert len(choose_design({f"F{i}": [0, 1] for i in range(16)}, 32).cells) == 32


@pytest.mark.timeout(60)
def test_an_intent_with_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    with pytest.raises(LedgerError, match="too large"):
        inbox.put("ann", b"x" * (INTENT_BYTES_AT_MOST + 1))
    inbox.put("ann", b"first")
    with sqlite3.connect(inbox.path) as db:  # another program's row, past the check above
        db.execute("INSERT INTO intents (author, body) VALUES ('mallory', zeroblob(?))", (INTENT_BYTES_AT_MOST + 1,))
        db.execute("INSERT INTO intents (author, body) VALUES (?, x'41')", ("m" * 1_000_000,))
    inbox.put("ann", b"last")
    read = inbox.after(0)
    assert [(number, body) for number, _, body in read] == [(1, b"first"), (2, b""), (3, b"A"), (4, b"last")]
    assert max(len(author) for _, author, _ in read) == 200


@pytest.mark.timeout(60)
def test_many_large_intents_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    for _ in range(6):
        inbox.put("ann", b"x" * INTENT_BYTES_AT_MOST)
    first = inbox.after(0)
    assert len(first) == 4
    assert [number for number, _, _ in inbox.after(first[-1][0])] == [5, 6]
