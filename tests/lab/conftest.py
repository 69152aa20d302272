"""The lab for tests: brought up once a session and always taken down; skipped, with the reason, where it cannot run."""

import contextlib
import os
import time
from collections.abc import Iterator

import pytest

from tests.lab.cluster import Lab, alone, install_packages, unavailable
from tests.lab.processes import LabError

BEGAN = time.monotonic()
MINUTES = float(os.environ.get("COCKPIT_LAB_MINUTES", "inf"))
"""Minutes after which no scenario begins: CI on a busy machine runs fewer of them."""


@pytest.fixture(autouse=True)
def in_time() -> None:
    if time.monotonic() - BEGAN > 60 * MINUTES:
        pytest.skip(f"COCKPIT_LAB_MINUTES: {MINUTES:g} minutes are over on this machine, which is busy")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three H100 nodes and one H200, and this process made SkyPilot's client there."""
    if reason := unavailable():
        pytest.skip(reason)
    try:
        install_packages()
    except LabError as error:
        pytest.skip(f"the lab needs Debian packages that cannot be installed: {error}")
    before = dict(os.environ)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone())
        except LabError as error:
            pytest.skip(str(error))
        with Lab(h100=3, h200=1) as a_lab:
            os.environ.update(a_lab.env())
            try:
                yield a_lab
            finally:
                os.environ.clear()
                os.environ.update(before)
