"""The page on the output of --json has every field with its type, and no other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.cli.json_output import SCHEMA
from cockpit.cli.main import main
from cockpit.core.agent_events import ModelEstimated
from cockpit.core.fold import fold
from cockpit.core.model_usage import ModelEstimate
from cockpit.report.status import status
from tests.tui import stories
from tests.worker.sessions import ROOT, local_session

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
TYPES = {str: "text", bool: "boolean", int: "integer", float: "number", type(None): "null"}
NAMED = (
    (r"^baseline\b", "best"),
    (r"\.runs\..+", ".runs.CLASS"),
    (r"^best\.val_bpb$", "best.NAME"),
    (r"^best\.others\..+$", "best.others.NAME"),
    (r"\.factors\.[^.]+\[\]$", ".factors.NAME[]"),
    (r"\.forecast\.e\d+\.", ".forecast.ARM."),
)
"""Parts of a path that are names from the session."""


def documented(heading: str) -> dict[str, set[str]]:
    """Return the fields under a heading with their types."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\S+)` \| (.+?) \| ?.*\|$", section.replace("\\|", "or"), re.MULTILINE)
    return {path: set(types.split(" or ")) for path, types in rows}


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value with its path, names from the session replaced."""
    match value:
        case dict():
            for key, each in value.items():
                yield from leaves(each, f"{path}.{key}" if path else str(key))
        case list():
            for each in value:
                yield from leaves(each, f"{path}[]")
        case _:
            for pattern, name in NAMED:
                path = re.sub(pattern, name, path)
            yield path, value


def undocumented(found: object, heading: str) -> list[str]:
    fields = documented(heading) | {"schema": {"integer"}}
    allowed = {path: types | ({"integer"} if "number" in types else set()) for path, types in fields.items()}
    return [
        f"{path}: {value!r}"
        for path, value in leaves(found)
        if path not in allowed or not ({TYPES[type(value)], "value"} & allowed[path])
    ]


def output(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_the_page_has_the_version() -> None:
    assert f"the version of this page, {SCHEMA}." in PAGE


def test_every_field_of_the_status_is_on_the_page() -> None:
    story = stories.night()
    worker = {"state": "stopped", "heartbeat_age_seconds": None, "pid": 0, "note": ""}
    estimate = ModelEstimate(8.0, "high", 50, 150, 10, 10, 10, 10, usd=16.0, thinking_usd=4.0)
    state = fold(story.state, ModelEstimated(at=story.at, estimate=estimate))
    found = status(state, story.at, worker)
    assert undocumented(found, "`status`") == []
    shown = {path for path, _ in leaves(found)} | {"best", "baseline", "unchecked[]", "best.others.NAME", "spend.model"}
    shown |= {"waves[].forecast.ARM.peak_vram_mb"}
    assert set(documented("`status`")) <= shown, "a field that is not there"


def test_each_output_has_its_version_and_the_fields_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = local_session(tmp_path)
    monkeypatch.setenv("COCKPIT_SESSIONS", str(folder.root.parent))
    outputs = {
        "`status`": [output(capsys, "status")],
        "`list`": output(capsys, "list"),
        "`doctor`": output(capsys, "doctor"),
        "`error`": [output(capsys, "approve", "w999")],
        "Commands that steer": [output(capsys, "hold"), output(capsys, "say", "hello"), output(capsys, "envelope")],
    }
    for heading, found in outputs.items():
        assert isinstance(found, list) and found
        for each in found:
            assert each["schema"] == SCHEMA
            assert undocumented(each, heading) == []
