"""A task is checked before a night: the room for it, its scripts and its image."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

import sky
from sky import models

from cockpit.fleet.sky import private_names, registry, scripts
from cockpit.fleet.sky.room import Room, room_for
from cockpit.fleet.sky.task_file import read_task

ROOT = Path(__file__).parents[2]


def gpus(name: str, free: int, capacity: int, counts: tuple[int, ...] = (1,)) -> list[Any]:
    """Return a row as SkyPilot's API server gives it: its RealtimeGpuAvailability, as a list."""
    return list(models.RealtimeGpuAvailability(gpu=name, counts=list(counts), capacity=capacity, available=free))


class Sdk:
    """The calls of SkyPilot that tell what there is."""

    def __init__(self, enabled: list[str], kubernetes: Any = (), slurm: Any = ()) -> None:
        self._enabled, self._kubernetes, self._slurm = enabled, kubernetes, slurm

    def get(self, request: Any) -> Any:
        if isinstance(request, Exception):
            raise request
        return request

    def enabled_clouds(self) -> Any:
        return self._enabled

    def realtime_kubernetes_gpu_availability(self, is_ssh: bool = False) -> Any:
        return [] if is_ssh else self._kubernetes

    def realtime_slurm_gpu_availability(self) -> Any:
        return self._slurm


NODES = [("one", [gpus("H100", 3, 13), gpus("A100", 8, 8, (1, 2, 4, 8))]), ("two", [gpus("H100", 1, 2)])]


def room(tmp_path: Path, resources: str, sdk: Sdk, quota: str = "") -> Room:
    text = f"run: x\nresources: {resources}\n"
    return room_for(read_task(text, tmp_path / "experiment.yaml"), sdk, lambda one: quota)


def test_the_free_gpus_of_all_contexts_are_reported_by_class(tmp_path: Path) -> None:
    sdk = Sdk(["kubernetes"], NODES)
    assert room(tmp_path, "{accelerators: {H100: 1, 'A100': 8}}", sdk).words == [
        "8 of 8 A100 of Kubernetes are free",
        "4 of 15 H100 of Kubernetes are free",
    ]


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ("{accelerators: B200:1}", "no node of Kubernetes has B200: there is A100, H100"),
        ("{accelerators: H100:8}", "no node of Kubernetes has 8 H100: the most is 1"),
        ("{accelerators: H100:1, infra: slurm}", "Slurm does not tell its GPUs: sinfo: not found"),
    ],
)
def test_a_resource_that_no_node_has_is_reported(tmp_path: Path, resources: str, said: str) -> None:
    sdk = Sdk(
        ["kubernetes", "slurm"] if "slurm" in resources else ["kubernetes"], NODES, RuntimeError("sinfo: not found")
    )
    found = room(tmp_path, resources, sdk)
    assert (found.problems, found.words) == ([said], [])


def test_a_class_that_another_place_may_have_is_not_a_problem(tmp_path: Path) -> None:
    sdk = Sdk(["kubernetes", "slurm"], NODES, [("lab", [gpus("B200", 0, 4)])])
    found = room(tmp_path, "{accelerators: B200:1}", sdk)
    assert (found.problems, found.words) == ([], ["0 of 4 B200 of Slurm are free"])


def test_a_cloud_that_grants_no_quota_is_reported_and_a_cluster_of_nodes_is_not_asked_for_one(tmp_path: Path) -> None:
    why = "AWS grants no quota for p5.48xlarge in us-east-1"
    assert room(tmp_path, "{accelerators: H100:8, infra: aws}", Sdk(["aws", "kubernetes"], NODES), why).problems == [
        why
    ]
    assert room(tmp_path, "{accelerators: H100:1, infra: k8s}", Sdk(["aws", "kubernetes"], NODES), why).problems == []


@pytest.mark.parametrize(
    ("granted", "spot", "kind"), [(False, False, ""), (False, True, "spot machines of "), (True, False, "")]
)
def test_skypilots_own_check_of_a_quota_is_asked_for_what_it_would_launch(
    monkeypatch: pytest.MonkeyPatch, granted: bool, spot: bool, kind: str
) -> None:
    def optimize(dag: Any, quiet: bool) -> None:
        cloud = SimpleNamespace(check_quota_available=lambda best: granted, __str__=lambda self: "AWS")
        best = SimpleNamespace(cloud=cloud, use_spot=spot, instance_type="p5.48xlarge", region="us-east-1")
        dag.tasks[0].best_resources = best

    from sky import optimizer

    monkeypatch.setattr(optimizer.Optimizer, "optimize", optimize)
    said = private_names.quota_problem(sky.Resources(accelerators="H100:8", use_spot=spot))
    assert said == "" if granted else said.endswith(f" grants no quota for {kind}p5.48xlarge in us-east-1")


def problems(text: str, *files: str, folder: Path = ROOT) -> list[str]:
    task = read_task(text, folder / "experiment.yaml")
    return list(scripts.problems(task, "experiment.yaml", set(files).__contains__))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("setup: |\n  if true; then\n    fi done\nrun: x\n", "the set-up of experiment.yaml is not valid shell: "),
        ('run: |\n  echo "a\n', "the run of experiment.yaml is not valid shell: "),
        (
            "setup: pip install -r needs.txt\nrun: python train.py\n",
            "the set-up of experiment.yaml uses needs.txt, which",
        ),
        ("run: python -u src/go.py\n", "the run of experiment.yaml uses src/go.py, which is not committed"),
        ("run: x\nfile_mounts: {/data: ./no-such-data}\n", "which is mounted at /data, is not here"),
    ],
)
def test_a_script_that_would_fail_on_a_cluster_is_reported(text: str, said: str) -> None:
    (found,) = problems(text, "train.py")
    assert said in found


@pytest.mark.parametrize(
    "text",
    [
        "setup: git clone https://example.org/x && cd x && pip install -r needs.txt\nrun: python train.py\n",
        "setup: |\n  cat > needs.txt <<'END'\n  torch\n  END\n  pip install -r needs.txt\nrun: python ./train.py\n",
        "setup: bash /opt/prepare.sh; source ~/.venv/bin/activate.sh\nrun: python $SCRIPT.py\n",
        "run: python train.py\nfile_mounts: {/data: s3://bucket/x, /tests: ./tests}\n",
        "run: python -m package.train\n",
    ],
)
def test_a_script_that_may_be_right_is_accepted(text: str) -> None:
    assert problems(text, "train.py") == []


def test_the_task_of_this_repository_has_no_problem() -> None:
    assert problems((ROOT / "experiment.yaml").read_text(), "train.py", "prepare.py", "pyproject.toml") == []


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("ubuntu", (registry.DOCKER_HUB, "library/ubuntu", "latest")),
        ("pytorch/pytorch:2.9", (registry.DOCKER_HUB, "pytorch/pytorch", "2.9")),
        ("docker.io/ubuntu:24.04", (registry.DOCKER_HUB, "library/ubuntu", "24.04")),
        ("nvcr.io/nvidia/pytorch:25.10-py3", ("nvcr.io", "nvidia/pytorch", "25.10-py3")),
        ("localhost:5000/mine", ("localhost:5000", "mine", "latest")),
        ("ghcr.io/a/b@sha256:0123", ("ghcr.io", "a/b", "sha256:0123")),
    ],
)
def test_the_name_of_an_image_is_read_as_docker_reads_it(image: str, parts: tuple[str, str, str]) -> None:
    assert registry.reference(image) == parts


class Registry(http.server.BaseHTTPRequestHandler):
    """A registry that gives tokens, as Docker Hub does; `secret` needs a login, and `basic` takes nothing else."""

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        host = self.headers["Host"]
        if self.path.startswith("/token?"):
            assert "service=tests" in self.path and "scope=repository" in self.path
            self._answer(200, b'{"token": "%s"}' % (b"owner" if given.startswith("Basic ") else b"anyone"))
        elif "/basic/" in self.path and not given.startswith("Basic "):
            self._answer(401, challenge='Basic realm="here"')
        elif not given:
            self._answer(401, challenge=f'Bearer realm="http://{host}/token",service="tests",scope="repository:x:pull"')
        elif "/secret/" in self.path and given != "Bearer owner":
            self._answer(401)
        else:
            self._answer(200 if self.path.endswith("/1.0") else 404)

    def _answer(self, status: int, body: bytes = b"{}", challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


OWNER = ("ann", "password")


def test_an_image_is_there_or_not(host: str) -> None:
    assert registry.is_there(f"{host}/mine:1.0") and not registry.is_there(f"{host}/mine:2.0")
    assert registry.is_there(f"{host}/secret/mine:1.0", OWNER) and registry.is_there(f"{host}/basic/mine:1.0", OWNER)


@pytest.mark.parametrize("name", ["secret/mine:1.0", "basic/mine:1.0"])
def test_an_image_behind_a_login_is_unknown_without_one(host: str, name: str) -> None:
    with pytest.raises(registry.RegistryError, match="without a login, or has none"):
        registry.is_there(f"{host}/{name}")


def test_a_registry_that_does_not_answer_is_unknown() -> None:
    with pytest.raises(registry.RegistryError, match="cannot be asked from here"):
        registry.is_there("127.0.0.1:1/mine:1.0")
