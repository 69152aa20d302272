"""Which runs of a new session are scored outside them, by its repository and its fleet."""

from pathlib import Path

import msgspec
import pytest

from cockpit.core.session import ClusterSpec, FleetSpec
from cockpit.create.plan import Plan
from cockpit.create.rescoring import rescored_runs
from cockpit.session.settings import Settings
from tests.scoring.upstream_shape import write, write_shards

SKY = FleetSpec("sky", (ClusterSpec("gpu-01", "H100"),))
LOCAL = FleetSpec("local", (ClusterSpec("gpu-01", "H100"),))


def test_upstream_is_scored_outside_on_clusters_and_here_once_its_sealed_shard_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    write(tmp_path)
    write_shards(home, sealed=False)
    plan = Plan("night", tmp_path, Settings())
    assert rescored_runs(plan, SKY) == "keeps", "the node fetches the shard"
    assert rescored_runs(plan, LOCAL) == ""
    write_shards(home)
    assert rescored_runs(plan, LOCAL) == "keeps"


def test_no_run_is_scored_outside_where_the_settings_turn_it_off(tmp_path: Path) -> None:
    write(tmp_path)
    settings = Settings()
    off = msgspec.structs.replace(settings, research=msgspec.structs.replace(settings.research, rescore="off"))
    assert rescored_runs(Plan("night", tmp_path, off), SKY) == ""
