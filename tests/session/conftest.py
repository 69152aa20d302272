"""A new ledger in a session's folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.session.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "night" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger.create(path)
    yield made
    made.close()
