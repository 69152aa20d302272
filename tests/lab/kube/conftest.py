"""The Kubernetes lab for tests: brought up once, always taken down, and skipped where it cannot run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.kube.lab import KubeLab, alone, unavailable
from tests.lab.processes import LabError
from tests.lab.sessions import LabSession

INFRA = "k8s/cockpit-lab"


@contextlib.contextmanager
def alone_or_skipped() -> Iterator[contextlib.ExitStack]:
    """Hold the machine's one place for a lab of Kubernetes; skip the test where it cannot run."""
    if reason := unavailable():
        pytest.skip(reason)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone())
        except LabError as error:
            pytest.skip(str(error))
        yield held


@pytest.fixture(scope="session")
def kube() -> Iterator[KubeLab]:
    """13 nodes with an H100, 3 with an H200 and one with 8 A100."""
    with alone_or_skipped() as held:
        yield held.enter_context(KubeLab())


@pytest.fixture(scope="module")
def plane() -> Iterator[KubeLab]:
    """The stand-in of Kubernetes without SkyPilot, for a module of tests that run kubectl on it."""
    with alone_or_skipped() as held:
        lab = KubeLab()
        held.callback(lab.down)
        lab.up_without_skypilot()
        yield lab


@pytest.fixture
def session(kube: KubeLab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LabSession]:
    """A session of confined runs that is not made yet, named after its test's first word."""
    made = LabSession(kube, tmp_path, f"kube-{request.node.name.split('_')[2]}", infra=INFRA, confine=True)
    yield made
    made.close()
    if left := kube.clusters():
        kube.sky("down", "--yes", *left)
