"""The use of the GPUs as nvidia-smi tells it: recorded answers, and a run beside a stand-in of the command."""

import os
from pathlib import Path

import pytest

from cockpit.core.metric import VAL_BPB
from cockpit.fleet.node import device_use
from cockpit.fleet.node.device_use import DeviceUse, answer, command_for
from cockpit.fleet.printed_steps import PrintedSteps
from cockpit.fleet.run_log import RunLog
from tests.fleet.test_runner import SCORE, Run

LINE = b"[cockpit: device | mem: 45060 MiB | temp: 67 C | power: 612 W]\n"
STEP = "step 00100 (10.5%) | loss: 2.5 | dt: 314ms"

HASTY = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from cockpit.fleet.node import device_use, runner;"
    "runner.DeviceUse = lambda visible: device_use.DeviceUse(None, 0.0, 0.05); runner.main()"
)
"""A runner that asks twenty times a second, also for a run on a processor."""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a command of the name on the PATH, which notes its arguments and prints the file `answer`.

    It names no GPU: the fleet has a processor.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "nvidia-smi"
    wanted = 'case "$*" in *memory.used*) ;; *) exit 9 ;; esac'
    command.write_text(f'#!/bin/sh\n{wanted}\necho "$@" >> {folder}/asked\ncat {folder}/answer\n')
    command.chmod(0o755)
    (folder / "answer").write_text("45060, 67, 612.40\n")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("45060, 67, 612.40\n", LINE),
        ("45060, 67, 300\n0, 61, 312\n", LINE),
        ("45060, 67, [N/A]\n", LINE.replace(b"612", b"0")),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", b""),
        ("", b""),
        ("nan, inf, 3\n", b"[cockpit: device | mem: 0 MiB | temp: 0 C | power: 3 W]\n"),
    ],
)
def test_an_answer_becomes_one_line(stand_in: Path, said: str, line: bytes) -> None:
    (stand_in / "answer").write_text(said)
    assert answer(command_for("0")) == line
    assert (stand_in / "asked").read_text().split()[-2:] == ["-i", "0"]


def test_a_run_that_sees_no_gpu_asks_nothing(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command_for("") == [] and command_for("-1") == []
    assert command_for(None)[1:] == list(device_use.QUERY), "all GPUs of the machine"
    monkeypatch.setenv("PATH", "/nowhere")
    assert command_for("0") == []


def test_a_command_that_fails_is_asked_no_more(stand_in: Path) -> None:
    (stand_in / "answer").unlink()
    use = DeviceUse(None, first_after_s=0.0, every_s=0.0)
    use._thread.join(30)
    assert not use._thread.is_alive() and use.take() == b""
    assert len((stand_in / "asked").read_text().splitlines()) == device_use.TROUBLES


def figures(steps: PrintedSteps) -> tuple[float, float, float]:
    assert steps.progress is not None
    return steps.progress.memory_mb, steps.progress.temperature_c, steps.progress.power_w


def test_the_step_has_what_the_node_shows_and_the_run_s_own_figure_goes_first() -> None:
    steps = PrintedSteps(VAL_BPB)
    assert steps.read_device(LINE.decode().strip()) and not steps.read_device(STEP)
    steps.read(STEP, 1.0)
    assert figures(steps) == (45060.0, 67.0, 612.0)
    steps.read(f"{STEP} | power: 700 W", 2.0)
    assert figures(steps) == (45060.0, 67.0, 700.0)
    steps.read_device("[cockpit: device | mem: 1 MiB | temp: 70 C | power: 5 W]")
    assert figures(steps) == (1.0, 70.0, 5.0)


def test_the_line_is_left_out_of_the_run_s_last_words() -> None:
    log = RunLog()
    log.feed(b"Killed\n" + LINE, 1.0)
    assert log.last_line == "Killed"


def test_a_run_s_log_has_the_use_between_its_lines(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("cockpit.fleet.local.fleet.RUNNER", HASTY)
    asked = stand_in / "asked"
    script = f"import os, time\nprint('{STEP}', flush=True)\nend = time.monotonic() + 60\n"
    script += "print('half', end='', flush=True)\ntime.sleep(0.5)\nprint(' a line', flush=True)\n"
    script += f"while time.monotonic() < end and not os.path.exists({str(asked)!r}): time.sleep(0.02)\n"
    script += f"time.sleep(1.0)\n{SCORE}"
    run = Run(tmp_path / "session", script)
    assert run.verdict().metrics is not None
    log = run.log()
    assert LINE.decode() in log and "half a line\n" in log
