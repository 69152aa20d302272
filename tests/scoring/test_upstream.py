"""Promises about an unmodified karpathy/autoresearch: its model is scored by code that it cannot touch."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cockpit.core.rescore import Rescore, Scoring
from cockpit.core.session import ClusterSpec, RunAccess
from cockpit.fleet.base import Job, JobEnded
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.scoring import sealed
from cockpit.scoring.contract import can_rescore, is_upstream, leaves_model
from cockpit.scoring.export import sitecustomize
from tests.fleet.test_local import until
from tests.scoring.conftest import ROOT
from tests.scoring.upstream_shape import write, write_shards

pytestmark = pytest.mark.timeout(400)


def run(tmp_path: Path, leak: str = "", sealed: bool = True, edit: tuple[str, str] = ("", "")) -> tuple[str, Rescore]:
    """Run the small upstream. Returns its output and its score from outside."""
    source, home = tmp_path / "runs" / "e0001.1", tmp_path / "home"
    source.mkdir(parents=True)
    write(source, leak)
    if edit[0]:
        train = (source / "train.py").read_text()
        assert edit[0] in train
        (source / "train.py").write_text(train.replace(*edit))
    write_shards(home, sealed)
    own = {"HOME": str(home), "COCKPIT_MODEL": "model.pt", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    log = tmp_path / "e0001.1.log"
    job = Job("e0001.1", "cpu-01", source, log, own, (sys.executable, "-u", "train.py"), 180.0, rescore=Scoring.WHOLE)
    access = RunAccess(confine=True, readable=(str(home / ".cache" / "autoresearch"),))
    fleet = LocalFleet((ClusterSpec("cpu-01", "CPU"),), threading.Event(), access)
    fleet.submit(job)
    ended = until(fleet, JobEnded, 300)
    assert isinstance(ended, JobEnded)
    printed = log.read_text()
    assert ended.exit_code == 0, printed
    assert ended.evidence is not None and ended.evidence.rescore is not None
    return printed, ended.evidence.rescore


def test_the_score_from_outside_is_the_one_that_upstream_prints(tmp_path: Path) -> None:
    printed, found = run(tmp_path)
    assert found.trouble == found.failed == ""
    said = next(float(line.split()[1]) for line in printed.splitlines() if line.startswith("val_bpb:"))
    assert found.public_bpb == pytest.approx(said, abs=1e-3), "under the same autocast, by the same text"
    assert found.whole and found.sealed_bpb > 0
    assert "causality" in found.passed


def test_a_leak_is_named(tmp_path: Path) -> None:
    _, found = run(tmp_path, leak=" + x.roll(-1, 1)")
    assert found.failed.startswith("attends to the future: logits at")


def test_a_missing_sealed_shard_is_one_sentence(tmp_path: Path) -> None:
    _, found = run(tmp_path, sealed=False)
    assert found.trouble.startswith("the sealed shard in ") and "is missing" in found.trouble


def test_a_model_that_cannot_be_saved_is_one_sentence_and_costs_the_run_nothing(tmp_path: Path) -> None:
    printed, found = run(tmp_path, edit=("model.eval()", "model._orig_mod.hook = lambda: 1; model.eval()"))
    assert "val_bpb:" in printed
    assert found.trouble.startswith("its model cannot be used: RuntimeError: it cannot be saved: ")
    assert "\n" not in found.trouble


class Doubles(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)

    def forward(self, tokens: torch.Tensor) -> Any:
        return 2 * self.inner(tokens)


def _whole(model: Any) -> Any:
    return torch.compile(model, backend="eager")


def _in_place(model: Any) -> Any:
    model.compile(backend="eager")
    return model


def _its_forward(model: Any) -> Any:
    model.forward = torch.compile(model.forward, backend="eager")
    return model


def _a_part(model: Any) -> Any:
    model.inner = torch.compile(model.inner, backend="eager")
    return model


@pytest.mark.parametrize("compiled", [_whole, _in_place, _its_forward, _a_part])
def test_a_compiled_model_is_saved_as_it_was_before(compiled: Callable[[Any], Any], tmp_path: Path) -> None:
    model = compiled(Doubles())
    tokens = torch.ones(1, 2)
    answer = model(tokens)
    sitecustomize.save(model, str(tmp_path / "model.pt"))
    saved = torch.load(tmp_path / "model.pt", weights_only=False)
    assert "problem" not in saved
    assert torch.equal(saved["model"](tokens), answer) and torch.equal(model(tokens), answer)
    assert ("forward" in vars(model)) == (compiled in (_whole, _its_forward)), "the run's own model stays compiled"


def test_the_shape_of_upstream_is_known_by_its_files(tmp_path: Path) -> None:
    write(tmp_path)
    assert is_upstream(tmp_path) and can_rescore(tmp_path) and not leaves_model(tmp_path)
    assert not is_upstream(ROOT) and can_rescore(ROOT) and leaves_model(ROOT)
    (tmp_path / "train.py").write_text("print('val_bpb: 1.0')")
    assert not can_rescore(tmp_path)


def test_the_sealed_shard_is_fetched_from_its_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "shard_00002.parquet").write_bytes(b"text")
    write(tmp_path, hub=hub.as_uri())
    write_shards(tmp_path / "home", sealed=False)
    steps = list(sealed.fetch(tmp_path, 60.0))
    assert steps == [(100, "fetching shard_00002.parquet")]
    found = sealed.sealed_shard(tmp_path)
    assert found is not None and found.read_bytes() == b"text"
    assert found.parent.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(sealed.SealedShardProblem, match=r"could not be fetched: it did not arrive within 0 s"):
        list(sealed.fetch(tmp_path, 0.0))
    (hub / "shard_00002.parquet").unlink()
    with pytest.raises(sealed.SealedShardProblem, match="could not be fetched"):
        list(sealed.fetch(tmp_path, 60.0))
    assert list(found.parent.iterdir()) == [found], "no part is left"
