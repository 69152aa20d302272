"""The name of a test is a promise: a sentence whose subject comes first."""

import re

import pytest

from tests.hygiene.sentences import ROOT

UNCLEAR_START = re.compile(r"test_(?:it|its|they|their|this|these|that|those|what|whether|who|whoever|of|so|say)_")
NAMES = [
    f"{path.relative_to(ROOT)}: {name}"
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
]


def starts_unclearly(name: str) -> bool:
    return bool(UNCLEAR_START.match(name.rpartition(" ")[2]))


def test_the_name_of_a_test_starts_with_its_subject() -> None:
    assert [name for name in NAMES if starts_unclearly(name)] == []


@pytest.mark.parametrize("name", ["test_it_works", "test_what_a_run_leaves_is_scored", "test_of_two_jobs_one_counts"])
def test_an_unclear_name_is_found(name: str) -> None:
    assert starts_unclearly(name)
