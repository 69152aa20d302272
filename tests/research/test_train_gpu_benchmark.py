"""benchmarks.train_gpu as far as a processor can run it: reading, the order of runs, the table, refusals."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.train_gpu import NO_CUDA, Measured, Script, lay_out, measure, parsed, run, scripts, table, turns
from tests.research.conftest import ROOT

STEPS = ((300, 1_740_000), (283, 1_852_613), (284, 1_846_090))
SUMMARY = """---
val_bpb:          0.997900
training_seconds: 300.1
total_seconds:    325.9
peak_vram_mb:     45060.2
mfu_percent:      39.80
total_tokens_M:   499.6
num_steps:        953
num_params_M:     50.3
depth:            8
"""


def output(end: str, tokens: str) -> str:
    """Return the output of a run whose step lines end with `end`."""
    lines = [
        f"step {number:05d} ({number:.1f}%) | loss: 5.{number:06d} | lrm: 1.00 | dt: {ms}ms"
        f" | tok/sec: {rate:{tokens}} | mfu: 39.8% | epoch: 1 | remaining: 290s"
        for number, (ms, rate) in enumerate(STEPS)
    ]
    return end.join(("", *lines, "")) + "\n" + SUMMARY


@pytest.mark.parametrize(
    ("end", "tokens"), [("\n", ","), ("\r", ","), ("    \r", "d")], ids=["ours", "upstream", "plain"]
)
def test_the_figures_of_a_run_are_read_from_its_output(end: str, tokens: str) -> None:
    assert parsed(output(end, tokens)) == Measured(284.0, 1_846_090.0, 39.8, 45060.2 / 1024, 0.9979)


@pytest.mark.parametrize(
    "text", ["", SUMMARY, output("\n", ",").replace("val_bpb", "loss"), output("\n", "d").replace("0.997900", "?")]
)
def test_an_output_without_all_figures_gives_none(text: str) -> None:
    assert parsed(text) is None


def test_ours_and_upstream_s_take_turns_three_times_at_each_width(tmp_path: Path) -> None:
    found = [Script("ours", tmp_path, "python"), Script("upstream", tmp_path, "python")]
    assert [(script.name, ratio) for script, ratio in turns(found)] == [
        (name, ratio) for ratio in (64, 96) for _ in range(3) for name in ("ours", "upstream")
    ]
    assert len(turns(found[:1])) == 6


def test_the_table_has_the_median_and_the_range_of_the_runs(tmp_path: Path) -> None:
    times = iter([290.0, 310.0, 280.0, 350.0, 360.0, 340.0])
    said: list[str] = []

    def one(script: Script, ratio: int) -> Measured:
        return Measured(next(times), 1_850_000.0, 39.8, 44.0, 0.9979)

    runs = measure([Script("ours", tmp_path, "python")], one, said.append)
    head, rule, default, wide = table("H200", runs).splitlines()
    assert head == "| H200 | ms a step | tokens a second | MFU | memory, GB | val_bpb |"
    assert rule == "|---|---|---|---|---|---|"
    assert default.startswith("| ours, ASPECT_RATIO 64 | 290 (280 to 310) | 1,850,000 (1,850,000 to 1,850,000) | 39.8 ")
    assert wide.startswith("| ours, ASPECT_RATIO 96 | 350 (340 to 360) |")
    assert said[0] == "ours, ASPECT_RATIO 64: 290 ms a step, val_bpb 0.9979"


def checkout(place: Path, train: str) -> Path:
    """Make a folder in the shape of upstream's."""
    place.mkdir()
    (place / "train.py").write_text(train)
    (place / "prepare.py").write_text("TIME_BUDGET = 1\n")
    return place


def test_a_run_has_the_width_it_is_run_at_and_leaves_the_checkout_alone(tmp_path: Path) -> None:
    source = f"import prepare\nASPECT_RATIO = 64\nprint({output(chr(10), ',')!r}.replace('39.80', str(ASPECT_RATIO)))\n"
    upstream = checkout(tmp_path / "upstream", source)
    ours, theirs = scripts(upstream)
    assert (ours.folder, theirs.folder, theirs.python) == (ROOT, upstream, sys.executable)
    assert run(theirs, 96).mfu_percent == 96
    assert sorted(path.name for path in upstream.iterdir()) == ["prepare.py", "train.py"]
    assert (upstream / "train.py").read_text() == source


def test_a_checkout_s_own_environment_runs_its_script(tmp_path: Path) -> None:
    upstream = checkout(tmp_path / "upstream", "ASPECT_RATIO = 64\n")
    python = upstream / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert scripts(upstream)[1].python == str(python)


def test_our_own_script_is_laid_out_at_each_width(tmp_path: Path) -> None:
    lay_out(scripts(None)[0], 96, tmp_path)
    assert "\nASPECT_RATIO = 96 " in (tmp_path / "train.py").read_text()
    assert (tmp_path / "prepare.py").read_text() == (ROOT / "prepare.py").read_text()


@pytest.mark.parametrize(
    ("train", "says"),
    [
        (
            "ASPECT_RATIO = 64\nraise SystemExit('there is no data')\n",
            "upstream at .* 96 gave no score: there is no data",
        ),
        ("ASPECT_RATIO = 64\nprint('val_bpb: 1.0')\n", "upstream at ASPECT_RATIO 96 gave no score: val_bpb: 1.0"),
        ("WIDTH = 64\n", "has no constant ASPECT_RATIO"),
    ],
)
def test_a_script_that_cannot_be_measured_ends_it_with_a_sentence(tmp_path: Path, train: str, says: str) -> None:
    upstream = checkout(tmp_path / "upstream", train)
    with pytest.raises(SystemExit, match=says):
        run(scripts(upstream)[1], 96)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"has no train.py: name a checkout of karpathy/autoresearch"):
        scripts(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_the_benchmark_refuses_a_machine_without_a_device_in_one_sentence() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.train_gpu"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{NO_CUDA}\n")
