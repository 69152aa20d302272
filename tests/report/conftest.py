"""One simulated night for the tests of this room."""

import pytest

from cockpit.session.paths import SessionFolder
from tests.report.nights import played


@pytest.fixture(scope="session")
def night_folder(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return played(tmp_path_factory.mktemp("night"))
