"""The sentences of the project keep the writing rules of docs/design.md."""

from pathlib import Path

import pytest

from tests.hygiene.sentences import PROSE, ROOT, Finding, Passage, check, findings, passages

DOCSTRING = '"""A module."""\n\ndef clear() -> None:\n    """{}"""\n'


@pytest.mark.parametrize("place", PROSE)
def test_no_sentence_breaks_the_writing_rules(place: str) -> None:
    assert [str(found) for found in findings([ROOT / place])] == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("What a request cost.", "What"),
        ("Keep it. So that it stays.", "So"),
        ("The run ends by itself.", "by itself"),
        ("A watcher is no client.", "is no"),
        ("Nobody reads it.", "Nobody"),
        ("Pack them. Returns whether it did.", "Returns whether"),
    ],
)
def test_a_broken_rule_is_found(text: str, phrase: str) -> None:
    passage = Passage(Path("page.md"), 1, text, is_sentence=True)
    assert [found.phrase for found in check(passage)] == [phrase]


@pytest.mark.parametrize("text", ["There is no session.", "It is no longer listed.", "`nobody` owns it."])
def test_a_plain_sentence_passes(text: str) -> None:
    assert list(check(Passage(Path("page.md"), 1, text, is_sentence=True))) == []


@pytest.mark.parametrize(
    ("docstring", "phrases"),
    [("Clear the screen.", []), ("The screen, cleared.", ["no verb first"]), ("[(x, y)]", ["no verb first"])],
)
def test_the_docstring_of_a_function_starts_with_a_verb(tmp_path: Path, docstring: str, phrases: list[str]) -> None:
    module = tmp_path / "screen.py"
    module.write_text(DOCSTRING.format(docstring))
    found: list[Finding] = [each for passage in passages(module) for each in check(passage)]
    assert [each.phrase for each in found] == phrases
