"""How properties are searched: without a clock, since these machines are shared, and the same way each time in CI.
And in how many processes tests run: files are shared out among them, so that a file's fixtures are made once."""

import atexit
import importlib.metadata
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

settings.register_profile("cockpit", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("cockpit")

# The size of pytest's own terminal, as its processes are told: terminals that tests open have sizes of their own.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)

os.environ["COCKPIT_DEVICE_LOCKS"] = tempfile.mkdtemp(prefix="cockpit-locks-")
"""Tests in other processes use the cores of this machine as well."""
atexit.register(shutil.rmtree, os.environ["COCKPIT_DEVICE_LOCKS"], ignore_errors=True)


@pytest.fixture(autouse=True)
def locks_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test the devices of a machine of its own."""
    monkeypatch.setenv("COCKPIT_DEVICE_LOCKS", str(tmp_path_factory.mktemp("locks")))


def pytest_report_header() -> str:
    """Name the SkyPilot that the suite runs on."""
    try:
        return f"SkyPilot {importlib.metadata.version('skypilot')}"
    except importlib.metadata.PackageNotFoundError:
        return "SkyPilot is not installed: its tests are skipped"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return three for two cores, because half of a test's time is waiting for real workers, terminals and runs.

    None beside this one where the lab is asked for, of which a machine has one.
    """
    return 0 if config.option.markexpr.startswith("lab") else (3 * (os.cpu_count() or 1) + 1) // 2
