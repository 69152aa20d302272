"""Nights with a scripted hosted agent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cockpit.session import lock, worker_process
from tests.worker.agent_nights import Night, Step
from tests.worker.sessions import ROOT


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made: list[Night] = []

    def make(*turns: list[Step], starts: bool = True, **how: Any) -> Night:
        made.append(Night(tmp_path, *turns, **how))
        if starts:
            made[-1].start()
        return made[-1]

    yield make
    for night in made:
        if lock.worker_status(night.folder).state != "stopped":
            worker_process.terminate(night.folder)
