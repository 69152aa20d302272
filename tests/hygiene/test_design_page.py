"""The design page names every room, and every file that it names exists."""

import re

from tests.hygiene.sentences import ROOT

PAGE = (ROOT / "docs" / "design.md").read_text()
NO_ROOM = {"__pycache__", "templates"}


def test_the_page_names_every_room() -> None:
    named = set(re.findall(r"^  ([a-z]+)/ ", PAGE, re.MULTILINE))
    rooms = {path.name for path in (ROOT / "cockpit").iterdir() if (path / "__init__.py").exists()}
    assert named == rooms - NO_ROOM


def test_every_file_of_the_page_exists() -> None:
    named = re.findall(r"`((?:cockpit|tests|docs)/[\w/]+\.py)`", PAGE)
    assert named and not [path for path in named if not (ROOT / path).is_file()]
