"""A run on this machine gets as many GPUs as its command starts processes, by a shell's text too."""

from pathlib import Path

import pytest

from cockpit.create.fleet_spec import gpus_per_run
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import Settings


@pytest.mark.parametrize(
    ("command", "script", "count"),
    [
        ("torchrun --nproc_per_node=8 train.py", "", 8),
        ("sh -c 'cd src && torchrun --standalone --nproc_per_node=8 train.py'", "", 8),
        ("bash run.sh", "#!/bin/sh\nset -e\ntorchrun --standalone --nproc_per_node=4 train.py\n", 4),
        ("./run.sh", "torchrun \\\n  --nproc_per_node 2 \\\n  train.py\n", 2),
        ("bash run.sh", "export NPROC=${NPROC:-6}\ntorchrun --nproc_per_node=$NPROC train.py\n", 6),
        ("bash run.sh", "torchrun --nproc_per_node=${NPROC:-3} train.py\n", 3),
        ("bash run.sh", "GPUS=5  # all\naccelerate launch --num_processes ${GPUS} train.py\n", 5),
        ("bash run.sh", "# torchrun --nproc_per_node=8 train.py\necho 'it\\'s\npython train.py\n", 1),
        ("bash run.sh", "torchrun --nproc_per_node=$COUNT train.py\n", 1),
        ("bash other.sh", "torchrun --nproc_per_node=8 train.py\n", 1),
    ],
)
def test_the_processes_of_a_shell_script_count(tmp_path: Path, command: str, script: str, count: int) -> None:
    (tmp_path / "run.sh").write_text(script)
    assert gpus_per_run(Settings(research=ResearchSettings(command=command)), tmp_path) == count
