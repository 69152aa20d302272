"""The transitions of waves, experiments, attempts and clusters, as folding events makes them.

    python -m tests.core.transitions         draws the diagrams of docs/lifecycles.md again

The events are those of random histories, written histories, the stories that the screen's tests tell, and a session
that a real worker wrote.
"""

import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from cockpit.core.events import Event
from cockpit.core.fold import fold
from cockpit.core.state import State
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.core.histories import Histories
from tests.core.written_histories import WRITTEN_HISTORIES
from tests.tui import stories

PAGE = Path(__file__).parents[2] / "docs" / "lifecycles.md"
OLD_LEDGER = Path(__file__).parent / "data" / "ledger_2026_11.db"
KINDS = ("wave", "experiment", "attempt", "cluster")
START = "[*]"
"""The state before the first one, as Mermaid writes it."""
RANDOM_HISTORIES = 200


class Transition(NamedTuple):
    before: str
    after: str
    event: str


class Recorder:
    """Folds events, and notes each transition with the event that made it."""

    def __init__(self) -> None:
        self.seen: dict[str, set[Transition]] = defaultdict(set)

    def fold(self, state: State | None, event: Event) -> State:
        before = _statuses(state) if state is not None else {}
        state = fold(state, event)
        for (kind, name), after in _statuses(state).items():
            was = before.get((kind, name), START)
            if was != after:
                self.seen[kind].add(Transition(was, after, type(event).__name__))
        return state

    def fold_all(self, events: Iterable[Event]) -> None:
        state = None
        for event in events:
            state = self.fold(state, event)


def _statuses(state: State) -> dict[tuple[str, str], str]:
    return {
        **{("wave", wave.id): str(wave.status) for wave in state.waves.values()},
        **{("experiment", one.id): str(one.status) for one in state.experiments.values()},
        **{("attempt", one.id): str(one.status) for one in state.attempts.values()},
        **{("cluster", one.name): str(one.state) for one in state.clusters.values()},
    }


def seen_transitions(scratch: Path) -> dict[str, set[Transition]]:
    """Fold all histories and return their transitions by kind of record. A copy of a ledger is read in `scratch`."""
    recorder = Recorder()

    class Recorded(Histories):
        """Random histories that are only recorded: tests/core/test_fold.py checks them."""

        def tell(self, event: Event) -> None:
            self.state = recorder.fold(self.state if self.story else None, event)
            self.story.append(event)

        def teardown(self) -> None:
            pass

    run_state_machine_as_test(
        Recorded,
        settings=settings(
            max_examples=RANDOM_HISTORIES,
            stateful_step_count=60,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    for written in WRITTEN_HISTORIES:
        history = Recorded()
        history.create()
        written(history)
    for make in (stories.night, stories.filled, stories.laptop):
        recorder.fold_all(make().events)
    shutil.copy(OLD_LEDGER, scratch / "ledger.db")
    ledger = LedgerReader(SessionFolder(scratch))
    recorder.fold_all(ledger.since(0))
    ledger.close()
    return recorder.seen


def diagram(transitions: Iterable[Transition]) -> str:
    """Draw a Mermaid state diagram with one arrow for each pair of states, labelled with its events."""
    events: dict[tuple[str, str], list[str]] = defaultdict(list)
    for before, after, event in sorted(transitions):
        events[before, after].append(event)
    arrows = [
        f"    {_identifier(before)} --> {_identifier(after)}: {', '.join(names)}"
        for (before, after), names in events.items()
    ]
    return "\n".join(["stateDiagram-v2", *arrows])


def _identifier(status: str) -> str:
    """Return the status as Mermaid can name a state: without blanks."""
    return status.replace(" ", "_")


def page_with(page: str, seen: dict[str, set[Transition]]) -> str:
    """Return the page with the diagrams of these transitions, each under the heading that ends in its kind."""
    for kind in KINDS:
        block = re.compile(rf"(^## \w+ {kind}$.*?```mermaid\n).*?(\n```)", re.MULTILINE | re.DOTALL)
        page, replaced = block.subn(lambda match, kind=kind: match[1] + diagram(seen[kind]) + match[2], page)  # type: ignore[misc]
        assert replaced == 1, f"{PAGE.name} needs one section for a {kind}, with a Mermaid diagram"
    return page


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(page_with(PAGE.read_text(), seen_transitions(Path(scratch))))


if __name__ == "__main__":
    main()
