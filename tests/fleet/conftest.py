from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight
from tests.scoring.conftest import data

__all__ = ["data"]


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def night(tmp_path: Path, cloud: FakeCloud) -> Iterator[FakeNight]:
    """Return a night on a fake cloud, whose one cluster is up."""
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    yield night
    night.close()
