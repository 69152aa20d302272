"""A task file that cannot be used is refused in one sentence, by SkyPilot itself, before anything is launched."""

import sys
from pathlib import Path
from typing import Any

import pytest

from cockpit.fleet.base import FleetError
from cockpit.fleet.sky.client import SkyClient
from cockpit.fleet.sky.error_text import sentence
from cockpit.fleet.sky.parts import ClusterRecord, LaunchOrder, SessionIdentity, SkyError, TaskNews
from cockpit.fleet.sky.task_file import recorded_text


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
    assert sentence(ValueError("Invalid payload string:\n")) == "its node gave no answer"


class Sdk:
    """Stands in for `sky.client.sdk`: notes its launches, and refuses autodown as some clouds do."""

    def __init__(self, refuses_autodown: bool = False) -> None:
        self.refuses_autodown = refuses_autodown
        self.launched: list[tuple[Any, dict[str, object]]] = []

    def launch(self, task: Any, cluster_name: str, **options: object) -> str:
        if self.refuses_autodown and options:
            from sky import exceptions

            raise exceptions.NotSupportedError("Autodown is not supported by this cloud.")
        self.launched.append((task, options))
        return "request-1"

    def get(self, request: str) -> tuple[int, None]:
        return 7, None


TASK = """\
run: x
resources:
  any_of:
    - {accelerators: H100:1, use_spot: true}
    - {accelerators: H200:1, image_id: docker:ours/image}
"""


def launching(folder: Path, sdk: Sdk) -> SkyClient:
    made = client(folder, TASK)
    made._sdk = sdk
    return made


def test_a_cloud_that_refuses_autodown_launches_without_it(tmp_path: Path) -> None:
    sdk = Sdk(refuses_autodown=True)
    order = LaunchOrder("gpu-01-s1", tmp_path, hardware="h100")
    assert launching(tmp_path, sdk).launch(order, lambda request: None) == 7
    ((task, options),) = sdk.launched
    assert options == {}
    assert [dict(one.accelerators) for one in task.resources] == [{"H100": 1}]
    assert task.envs["COCKPIT_SESSION"] == "night" and task.envs["COCKPIT_SESSION_ID"] == "s1"


def test_a_relaunch_keeps_the_image_and_spot_of_its_alternative(tmp_path: Path) -> None:
    sdk = Sdk()
    made = launching(tmp_path, sdk)
    for accelerators in ({"H200": 1.0}, {"H100": 1.0}, {"A100": 1.0}):
        record = ClusterRecord("gpu-01-s1", "INIT", "night", "x", 1.0, accelerators, "", 1.0, "s1")
        made.launch(LaunchOrder("gpu-01-s1", tmp_path, record), lambda request: None)
    (h200,), (h100,), (a100,) = (list(task.resources) for task, _ in sdk.launched)
    assert h200.image_id and h100.use_spot
    assert dict(a100.accelerators) == {"A100": 1}


def test_a_task_file_that_breaks_after_the_start_is_reported_and_launches_use_it_as_it_was(tmp_path: Path) -> None:
    sdk = Sdk()
    made = launching(tmp_path, sdk)
    assert made.look_at_task() == TaskNews(TASK)
    path = tmp_path / "experiment.yaml"
    for text in ("a: [\n", "", "3", "run: 3\n", "setup: x\n", "\x00"):
        path.write_text(text)
        news = made.look_at_task()
        assert news is not None and news.text == "" and "experiment.yaml" in news.problem
        assert made.look_at_task() is None
        made.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    path.unlink()
    gone = made.look_at_task()
    assert gone is not None and "there is no" in gone.problem
    made.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    assert len(sdk.launched) == 7


def test_a_changed_task_is_used_once_it_is_taken(tmp_path: Path) -> None:
    sdk = Sdk()
    made = launching(tmp_path, sdk)
    changed = TASK.replace("run: x", "run: export SEED=7; x") + "envs: {A: 1}\n"
    (tmp_path / "experiment.yaml").write_text(changed)
    assert made.look_at_task() == TaskNews(changed, "", ("envs", "run"))
    made.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    made.use_task(changed)
    made.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    assert [task.envs.get("A") for task, _ in sdk.launched] == [None, "1"]


def test_a_restarted_worker_uses_the_recorded_text(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text("run: changed\nresources: {accelerators: A100:1}\n")
    made = SkyClient(path, SessionIdentity("night", "s1"), "", {}, 30, TASK)
    assert made.classes() == {"H100", "H200"}
    news = made.look_at_task()
    assert news is not None and news.fields == ("resources", "run")


SECRETS = TASK + "secrets: {HF: s3cr3t-1}\nenvs: {WANDB_API_KEY: s3cr3t-2, SEED: 7}\n"


def test_the_value_of_a_secret_is_not_recorded_and_reaches_the_task(tmp_path: Path) -> None:
    text = recorded_text(SECRETS)
    assert "s3cr3t" not in text and "SEED: '7'" in text.replace("SEED: 7", "SEED: '7'")
    sdk = Sdk()
    client(tmp_path, SECRETS)
    made = SkyClient(tmp_path / "experiment.yaml", SessionIdentity("night", "s1"), "", {}, 30, text)
    made._sdk = sdk
    made.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    ((task, _),) = sdk.launched
    assert task.secrets["HF"].get_secret_value() == "s3cr3t-1" and task.envs["WANDB_API_KEY"] == "s3cr3t-2"
    assert made.look_at_task() == TaskNews(text)


def test_a_recorded_task_whose_secret_is_gone_from_the_file_says_so(tmp_path: Path) -> None:
    client(tmp_path, SECRETS)
    made = SkyClient(tmp_path / "experiment.yaml", SessionIdentity("night", "s1"), "", {}, 30, recorded_text(SECRETS))
    made._sdk = Sdk()
    (tmp_path / "experiment.yaml").write_text(TASK)
    with pytest.raises(SkyError, match="WANDB_API_KEY") as refused:
        made.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    assert refused.value.kind == "task"
