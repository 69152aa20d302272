"""The glossary has every word of the design page, with its meaning there."""

import re

import pytest

from cockpit.read.glossary import MEANINGS, meaning_of
from tests.hygiene.sentences import ROOT


def test_the_glossary_is_the_table_of_the_design_page() -> None:
    page = (ROOT / "docs" / "design.md").read_text()
    table = page[page.index("## Words") : page.index("## Two arrows")]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert {words: meaning.replace("`", "") for words, meaning in rows[1:]} == MEANINGS


@pytest.mark.parametrize("word", [one for words in MEANINGS for one in words.split(", ")])
def test_each_word_has_its_meaning_alone_and_in_the_plural(word: str) -> None:
    assert meaning_of(word) == meaning_of(f"{word}s") == meaning_of(word.upper()) != ""


def test_another_word_has_none() -> None:
    assert meaning_of("moon") == meaning_of("") == ""
