"""A task file that cannot be used is refused in one sentence, by SkyPilot itself, before anything is launched."""

import sys
from pathlib import Path

import pytest

from cockpit.fleet.base import FleetError
from cockpit.fleet.sky.client import SkyClient, sentence
from cockpit.fleet.sky.parts import SessionIdentity


def client(folder: Path, text: str, infra: str = "") -> SkyClient:
    pytest.importorskip("sky", reason="SkyPilot is not installed")
    (folder / "experiment.yaml").write_text(text)
    return SkyClient(folder / "experiment.yaml", SessionIdentity("night", "s1"), infra, {}, 30)


@pytest.mark.parametrize("infra", ["", "slurm/lab"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [\n", "SkyPilot rejects experiment.yaml: while parsing a flow node"),
        ("run: 3\n", "3 is not of type 'string'"),
        ("run: x\nresources: 3\n", "3 is not of type 'dict'"),
        ("run: x\nresources: {acceleratorz: H100}\n", "did you mean 'accelerators'"),
        ("run: x\nresources: {accelerators: H100:many}\n", "Found: 'H100:many'"),
        ("setup: x\n", "experiment.yaml has no `run`"),
        ("run: x\npool: {workers: 2}\n", "experiment.yaml has a `service` or `pool`"),
        (
            "run: x\nservice: {readiness_probe: /}\nresources: {ports: 80}\n",
            "experiment.yaml has a `service` or `pool`",
        ),
    ],
)
def test_a_task_that_skypilot_rejects_is_one_sentence(tmp_path: Path, text: str, said: str, infra: str) -> None:
    with pytest.raises(FleetError) as refused:
        client(tmp_path, text, infra)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_fleet_without_a_task_file_is_refused_with_its_name(tmp_path: Path) -> None:
    pytest.importorskip("sky", reason="SkyPilot is not installed")
    with pytest.raises(FleetError, match=r"there is no .*experiment\.yaml: a fleet on SkyPilot needs its task file"):
        SkyClient(tmp_path / "experiment.yaml", SessionIdentity("night", "s1"), "", {}, 30)


def test_without_skypilot_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sky", None)
    with pytest.raises(FleetError, match=r"SkyPilot is not installed .*: pip install -e '\.\[sky\]'"):
        SkyClient(tmp_path / "experiment.yaml", SessionIdentity("night", "s1"), "", {}, 30)


@pytest.mark.parametrize("infra", ["", "slurm/lab"])
def test_a_task_may_name_where_it_runs_and_still_be_sent_elsewhere(tmp_path: Path, infra: str) -> None:
    client(tmp_path, "run: x\nresources: {infra: kubernetes, accelerators: {H100: 1, H200: 1}}\n", infra)


def test_the_message_of_any_error_is_one_line_without_colours() -> None:
    assert sentence(ValueError("\x1b[31mno\x1b[0m\n  capacity\n")) == "no capacity"
    assert sentence(ValueError()) == "ValueError"
