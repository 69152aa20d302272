"""Every module is short and is named after its content."""

from tests.hygiene.sentences import ROOT

FEWER_LINES_THAN = 500
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common"}
MODULES = [
    path
    for room in ("cockpit", "tests", "benchmarks", "docs")
    for path in sorted((ROOT / room).rglob("*.py"))
    if not path.is_symlink()
]


def test_modules_are_under_500_lines() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count >= FEWER_LINES_THAN} == {}


def test_modules_are_named_after_their_content() -> None:
    parts = {part.removesuffix(".py") for path in MODULES for part in path.relative_to(ROOT).parts}
    assert not parts & EMPTY_NAMES
