"""Promises of the share card: a small PNG with the verdict and the chart that looks the same everywhere."""

import io
from pathlib import Path

import pytest
from PIL import Image

from cockpit.report import card as module
from cockpit.report.card import KEPT, SIZE, card
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit
from tests.report.test_html import BEGAN, night
from tests.tui import stories
from tests.worker.sessions import state_of

BYTES_AT_MOST = 200_000


def colours(picture: bytes) -> dict[tuple[int, ...], int]:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    found = image.getcolors(1 << 24)
    assert found is not None
    return {colour: number for number, colour in found if isinstance(colour, tuple)}


def near(colour: tuple[int, ...], wanted: str) -> bool:
    parts = [int(wanted[at : at + 2], 16) for at in (1, 3, 5)]
    return all(abs(a - b) <= 30 for a, b in zip(colour, parts, strict=True))


def test_the_card_has_the_size_of_a_link_preview_and_is_small(night_folder: SessionFolder) -> None:
    state = state_of(night_folder)
    picture = card(state, state.now)
    assert Image.open(io.BytesIO(picture)).size == SIZE
    assert len(picture) < BYTES_AT_MOST
    assert card(state, state.now) == picture


def test_the_best_line_and_the_kept_changes_are_green_on_it() -> None:
    state = stories.night().state
    kept = sum(number for colour, number in colours(card(state, state.now)).items() if near(colour, KEPT))
    assert kept > 1_000
    assert not any(near(colour, KEPT) for colour in colours(card(stories.empty().state, 1.0)))


def test_a_simulated_night_says_so_in_a_banner() -> None:
    simulated, real = (colours(card(night(simulated=one), BEGAN + 1000)) for one in (True, False))
    assert any(near(colour, module.BANNER) for colour in simulated)
    assert not any(near(colour, module.BANNER) for colour in real)


def test_text_that_the_font_has_not_is_spelled_with_what_it_has() -> None:
    assert module._drawable("−0.02 → 3 × é \x1b[2J\u202e") == "-0.02 -> 3 x e \x1b[2J"


@pytest.mark.timeout(120)
def test_the_command_writes_the_page_the_text_and_the_picture(night_folder: SessionFolder, tmp_path: Path) -> None:
    place = night_folder.root.parents[1]
    for flags, name, start in (
        ((), "night.html", b"<!doctype html>"), (("--md",), "night.md", b"## SIMULATED: night"),
        (("--png",), "night.png", b"\x89PNG"),
    ):  # fmt: skip
        told = cockpit(place, "report", "night", *flags, cwd=tmp_path)
        assert told.returncode == 0 and told.stdout.startswith(f"written to {name}\n"), told.stderr
        assert (tmp_path / name).read_bytes().lstrip().startswith(start)
    assert "+++ b/train.py" in (tmp_path / "night.html").read_text()
    assert "+++ b/train.py" in (tmp_path / "night.md").read_text()
