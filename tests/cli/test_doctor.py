"""The doctor reads the output of the `sky` command, as SkyPilot 0.14.1 prints it."""

import sys
from pathlib import Path

import pytest

from cockpit.cli import doctor
from cockpit.cli.doctor import _confinement, _scores
from cockpit.cli.doctor_sky import _images, _scripts, _task, disabled_infra, enabled_infra, refusal
from cockpit.cli.finding import Finding
from cockpit.fleet.node.confinement import Wall, available
from cockpit.fleet.sky import registry
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import Settings
from tests.scoring.upstream_shape import write
from tests.worker.sessions import git

CHECKED = """\
Checking credentials to enable infra for SkyPilot.
  AWS: disabled
    Reason [compute, storage]: AWS credentials are not set.

\x1b[32m🎉 Enabled infra 🎉\x1b[0m
  Kubernetes [compute]
    Allowed contexts:
    └── kind
  Slurm [compute]
"""
NO_SUCH_GPU = """\
YAML to run: experiment.yaml
Running on cluster: sky-74a8-root
No resource satisfying Slurm({'B999': 1}) on Slurm.
sky.exceptions.ResourcesUnavailableError: \x1b[31mCatalog does not contain any instances satisfying it: 1x B999.
To fix: relax or change the resource requirements.

Hint: sky gpus list to list available accelerators.
"""


@pytest.mark.parametrize(
    ("text", "ok", "said"),
    [
        (None, False, "there is no "),
        ("run: 3\n", False, "SkyPilot rejects experiment.yaml: Invalid task YAML: 3 is not of type 'string'"),
        ("run: x\nresources: {accelerators: {H100: 1, H200: 1}}\n", True, "H100, H200"),
        (
            "run: x\nresources: {accelerators: H100:8}\n",
            True,
            "H100; a cluster has 8 H100: each run gets all of them, unless",
        ),
    ],
)
def test_the_task_file_is_checked_as_skypilot_reads_it(tmp_path: Path, text: str | None, ok: bool, said: str) -> None:
    pytest.importorskip("sky", reason="SkyPilot is not installed")
    if text is not None:
        (tmp_path / "experiment.yaml").write_text(text)
    found = _task(tmp_path)
    assert found.ok is ok and said in (found.said if ok else found.remedy)


def test_enabled_clouds_are_named() -> None:
    assert enabled_infra(CHECKED) == ["Kubernetes", "Slurm"]
    assert enabled_infra("Checking credentials to enable infra for SkyPilot.\n  AWS: disabled\n") == []


def test_why_a_cloud_is_disabled_is_reported() -> None:
    assert disabled_infra(CHECKED) == {"AWS": "AWS credentials are not set."}


def test_a_task_whose_set_up_uses_a_file_that_is_not_committed_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("sky", reason="SkyPilot is not installed")
    from cockpit.fleet.sky.task_file import read_task

    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("")
    (tmp_path / "needs.txt").write_text("")
    git(tmp_path, "add", "train.py")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    task = read_task("setup: pip install -r needs.txt\nrun: python train.py\n", tmp_path / "experiment.yaml")
    assert _scripts(tmp_path, task).said == "the set-up of experiment.yaml uses needs.txt, which is not committed"
    git(tmp_path, "add", "needs.txt")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "second")
    assert _scripts(tmp_path, task).ok


@pytest.mark.parametrize(
    ("there", "ok", "said"),
    [
        (True, True, "docker.io/pytorch/pytorch:2.9"),
        (False, False, "no docker.io/pytorch/pytorch:2.9 in its registry"),
        (None, False, "was not"),
    ],
)
def test_an_image_is_asked_for_with_the_login_of_the_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool | None, ok: bool, said: str
) -> None:
    pytest.importorskip("sky", reason="SkyPilot is not installed")
    from cockpit.fleet.sky.task_file import read_task

    asked = []

    def is_there(image: str, login: tuple[str, str] | None) -> bool:
        asked.append((image, login))
        if there is None:
            raise registry.RegistryError("the registry cannot be asked from here")
        return there

    monkeypatch.setattr(registry, "is_there", is_there)
    text = "run: x\nresources: {image_id: 'docker:pytorch/pytorch:2.9', accelerators: H100:1}\n"
    login = {"USERNAME": "ann", "PASSWORD": "word", "SERVER": "docker.io"}
    text += "secrets:\n" + "".join(f"  SKYPILOT_DOCKER_{name}: {value}\n" for name, value in login.items())
    (found,) = _images(read_task(text, tmp_path / "experiment.yaml"))
    assert asked[0][1] == ("ann", "word") and "pytorch/pytorch:2.9" in asked[0][0]
    assert found.ok is ok and said in found.said and (found.needed or there is None)


@pytest.mark.parametrize("image", ["mine/image:1", "registry.example.org/mine/image:1"])
def test_the_login_of_a_private_registry_reaches_that_registry_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, image: str
) -> None:
    pytest.importorskip("sky", reason="SkyPilot is not installed")
    from cockpit.fleet.sky.task_file import read_task

    asked: list[tuple[str, tuple[str, str] | None]] = []

    def is_there(image: str, login: tuple[str, str] | None) -> bool:
        asked.append((image, login))
        return True

    monkeypatch.setattr(registry, "is_there", is_there)
    login = {"USERNAME": "ann", "PASSWORD": "word", "SERVER": "registry.example.org"}
    text = f"run: x\nresources: {{image_id: 'docker:{image}'}}\nenvs:\n"
    text += "".join(f"  SKYPILOT_DOCKER_{name}: {value}\n" for name, value in login.items())
    list(_images(read_task(text, tmp_path / "experiment.yaml")))
    assert asked == [("registry.example.org/mine/image:1", ("ann", "word"))], "as SkyPilot names it"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (NO_SUCH_GPU, "Catalog does not contain any instances satisfying it: 1x B999."),
        ("ValueError: Invalid resources YAML: no `acceleratorz`\n", "Invalid resources YAML: no `acceleratorz`"),
        ("YAML to run: experiment.yaml\nit went wrong\n\n", "it went wrong"),
        ("", "no reason was given"),
    ],
)
def test_why_nothing_would_be_launched_is_one_sentence(output: str, said: str) -> None:
    assert refusal(output) == said


def test_a_repository_in_upstreams_shape_is_scored_outside_its_runs_on_both_fleets(tmp_path: Path) -> None:
    write(tmp_path)
    assert _scores(tmp_path, ResearchSettings(), "sky").said.endswith("a node fetches the sealed shard for that")
    assert "self-scored" not in _scores(tmp_path, ResearchSettings(), "local").said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"command": "make bench"}, "runs are self-scored (each prints its own score): the command is your own"),
        ({"metric": "val_acc"}, "only val_bpb of a saved model is computed outside its run"),
        ({"rescore": "off"}, "`[research] rescore` is off"),
        ({"command": "make", "score_command": "python score.py"}, "`python score.py` scores each run after its end"),
    ],
)
def test_why_runs_print_their_own_score_is_told_as_a_new_session_tells_it(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    write(tmp_path)
    assert _scores(tmp_path, ResearchSettings(**settings), "local").said.endswith(said)  # type: ignore[arg-type]


@pytest.mark.skipif(available().wall is Wall.NONE, reason="runs are unconfined here")
@pytest.mark.parametrize(
    ("research", "start", "end"),
    [
        (ResearchSettings(), "runs and hosted agents are confined by ", ""),
        (ResearchSettings(command="make"), "hosted agents are ", "left out, and their command is not Python"),
        (ResearchSettings(confine=False), "hosted agents are ", "runs are unconfined: `[research] confine` is false"),
    ],
)
def test_the_wall_is_told_for_the_runs_of_this_repository(research: ResearchSettings, start: str, end: str) -> None:
    said = _confinement(Settings(research=research)).said
    assert said.startswith(start) and said.endswith(end)


def found_in(place: Path, monkeypatch: pytest.MonkeyPatch, settings_text: str) -> dict[str, Finding]:
    """Return what doctor finds in a repository with these settings, by subject, up to the agents."""
    monkeypatch.setattr(doctor, "_said", lambda command, timeout_s: None)  # git and torch are not asked
    write(place)
    (place / "cockpit.toml").write_text(settings_text)
    found: dict[str, Finding] = {}
    for finding in doctor.check(str(place), "local"):
        found[finding.about] = finding
        if finding.about == "agents":
            break
    return found


def test_agents_without_a_wall_by_the_settings_are_reported_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = found_in(tmp_path, monkeypatch, "[agent]\nconfined = false\n")["walls"].said
    assert "`[agent] confined` is false" in said or "runs and hosted agents are unconfined" in said
    assert "`[agent] confined` is false" not in found_in(tmp_path, monkeypatch, "")["walls"].said


def test_an_agent_s_variables_are_reported_with_the_secrets_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "t")
    settings_text = f"[agents.careful]\ncommand = [{sys.executable!r}]\n"
    said = found_in(tmp_path, monkeypatch, settings_text)["agents"].said
    assert "careful inherits" in said and "no key and no token among them" in said
    said = found_in(tmp_path, monkeypatch, settings_text + 'env = ["MY_TOKEN"]\n')["agents"].said
    assert "MY_TOKEN among them" in said


def test_an_agent_that_is_not_here_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    available()  # it is asked once for a process, with the real PATH
    monkeypatch.setenv("PATH", "")
    found = found_in(tmp_path, monkeypatch, "[session]\nagent = 'codex'\n")["agents"]
    assert "the command codex-acp of codex is not here" in found.said and found.needed
    assert "npm install -g @agentclientprotocol/codex-acp" in found.remedy
    none = found_in(tmp_path, monkeypatch, "")["agents"]
    assert not none.needed and "claude-code: `npm install -g" in none.remedy
