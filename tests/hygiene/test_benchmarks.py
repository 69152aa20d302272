"""Every benchmark can be run with the project as it is."""

import importlib
from pathlib import Path

import pytest

from tests.hygiene.sentences import ROOT

BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__")
PAGES = "\n".join(page.read_text() for page in (ROOT / "benchmarks").glob("*.md"))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_is_imported_without_an_error(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


def test_a_night_is_timed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["night", "--hours", "0.3", "--clusters", "2"])
    importlib.import_module("benchmarks.night").main()
    assert "on the processor" in capsys.readouterr().out


def test_every_command_of_the_pages_is_a_benchmark() -> None:
    named = {word.split(".")[1] for word in PAGES.replace("`", " ").split() if word.startswith("benchmarks.")}
    assert named - {""} <= set(BENCHMARKS)
    assert Path(ROOT / "benchmarks" / "__init__.py").exists()
