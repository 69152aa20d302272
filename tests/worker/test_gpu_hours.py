"""GPU-hours count GPUs, not clusters: an hour on H100:8 is 8 GPU-hours."""

from pathlib import Path

import pytest

from cockpit.core.cluster_events import Launching
from cockpit.core.events import Event, SessionCreated
from cockpit.core.fold import fold
from cockpit.core.model import Envelope, Mode
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.budget import accounts
from cockpit.fleet.base import ClusterReady
from cockpit.worker.reports import Reports


@pytest.mark.parametrize(("gpus", "hours"), [(1, 1.0), (8, 8.0), (16, 16.0)])
def test_an_hour_of_a_cluster_is_an_hour_of_each_of_its_gpus(tmp_path: Path, gpus: int, hours: float) -> None:
    spec = FleetSpec("sky", (ClusterSpec("gpu-01", "H100"),), depth=2)
    session = Session("s", "/repo", "c0", spec, 0.0, "ann")
    events: list[Event] = [
        SessionCreated(at=0.0, session=session, mode=Mode.MANUAL, envelope=Envelope()),
        Launching(at=0.0, cluster="gpu-01"),
    ]
    state: State | None = None
    for event in events:
        state = fold(state, event)
    assert state is not None
    for event in Reports(lambda name: tmp_path / name).events(state, ClusterReady(0.0, "gpu-01", "H100", 24.0, gpus)):
        state = fold(state, event)
    found = accounts(state, 3600.0)
    assert found.gpu_hours == pytest.approx(hours)
    assert found.gpu_usd == pytest.approx(24.0)
