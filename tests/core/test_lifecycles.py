"""docs/lifecycles.md draws the transitions that the fold makes, all of them and no other."""

from pathlib import Path

from tests.core.transitions import PAGE, page_with, seen_transitions


def test_the_diagrams_are_those_of_the_fold(tmp_path: Path) -> None:
    page = PAGE.read_text()
    assert page == page_with(page, seen_transitions(tmp_path)), "draw them: python -m tests.core.transitions"
