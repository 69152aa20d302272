"""Promises of the page that plays a night: complete without its script, which alone may run, and no text is markup."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cockpit.core.state import State
from cockpit.read.scores import kept_experiments
from cockpit.report.lanes import CLUSTERS_AT_MOST
from cockpit.report.replay_page import replay_html, replay_sentences
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit
from tests.report.test_html import BEGAN, HOSTILE, Page, night, text_of
from tests.report.test_page_size import PAGE_BYTES, long_night
from tests.tui import stories
from tests.worker.sessions import state_of


@pytest.fixture(scope="module")
def state(night_folder: SessionFolder) -> State:
    return state_of(night_folder)


def numbers(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', page)
    assert found is not None
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded


def test_the_page_shows_the_keeps_and_waves_in_the_order_of_time(state: State) -> None:
    sentences = replay_sentences(state)
    assert [one.hours for one in sentences] == sorted(one.hours for one in sentences)
    kept = [one.text.split(" ")[0] for one in sentences if one.kept]
    assert kept == kept_experiments(state) != []
    page = replay_html(state, state.now)
    assert len(re.findall(r'<li data-at="', page)) == len(sentences)
    assert "SIMULATED: no GPU ran any of this" in text_of(page)


def test_the_script_counts_with_the_times_of_the_session(state: State) -> None:
    found = numbers(replay_html(state, state.now))
    measured = [attempt for attempt in state.attempts.values() if attempt.metrics is not None]
    assert len(found["measured"]) == len(measured) and found["measured"] == sorted(found["measured"])
    assert [step[2] for step in found["best"]][-1] == state.incumbent
    assert 0 < found["left"] < found["right"] and found["hours"] > 0


def test_every_run_has_a_bar_in_the_lane_of_its_cluster(state: State) -> None:
    page = replay_html(state, state.now)
    lanes = page[page.index('<svg class="lanes"') :]
    ran = [attempt for attempt in state.attempts.values() if attempt.started_at]
    assert sum(path.count("M") for path in re.findall(r'<path d="([^"]*)"', lanes)) == len(ran)
    assert all(f">{name}</text>" in lanes for name in state.clusters)


def test_only_the_script_of_the_page_may_run(state: State) -> None:
    page = replay_html(state, state.now)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "default-src 'none'" in page
    assert Page(page).loads == []


def test_text_of_runs_models_and_people_is_never_markup_nor_script() -> None:
    page = replay_html(night(text=HOSTILE), BEGAN + 1000)
    assert Page(page).tags == Page(replay_html(night(), BEGAN + 1000)).tags
    assert "&lt;script&gt;" in page and "\x1b" not in page and "\u202e" not in page
    assert "<" not in json.dumps(numbers(page))


def test_a_long_night_is_a_small_page() -> None:
    state = long_night()
    assert len(state.experiments) > 10_000
    assert len(replay_html(state, state.now).encode()) < PAGE_BYTES


def test_lanes_beyond_the_first_are_counted(state: State) -> None:
    few = stories.night().state
    for number in range(CLUSTERS_AT_MOST):
        few.clusters[f"more-{number}"] = next(iter(few.clusters.values()))
    assert "16 more clusters are left out" in text_of(replay_html(few, few.now))


def test_an_empty_session_has_a_page_too() -> None:
    text = text_of(replay_html(stories.empty().state, 1.0))
    assert "Nothing has been measured yet" in text and "best val_bpb none yet" in text


@pytest.mark.timeout(120)
def test_the_command_writes_the_page(night_folder: SessionFolder, tmp_path: Path) -> None:
    place = night_folder.root.parents[1]
    done = cockpit(place, "replay", "night", "--html", cwd=tmp_path)
    assert done.stdout == "written to night-replay.html\n", done.stderr
    assert (tmp_path / "night-replay.html").read_text().startswith("<!doctype html>")


@pytest.mark.timeout(240)
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_a_browser_shows_the_night_at_the_time_in_the_address(state: State, tmp_path: Path) -> None:
    page = tmp_path / "night.html"
    page.write_text(replay_html(state, state.now), encoding="utf-8")
    half = numbers(page.read_text())["hours"] / 2
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--dump-dom"]
    done = subprocess.run(["chromium", *flags, f"file://{page}#{half}"], capture_output=True, text=True, timeout=200)
    if not done.stdout.strip():
        pytest.skip("chromium does not start here")
    shown = [float(at) for at in re.findall(r'<li data-at="([0-9.]+)"(?: class="kept")?>', done.stdout)]
    assert shown == [one.hours for one in replay_sentences(state) if one.hours <= half]
    measured = sum(at <= half for at in numbers(page.read_text())["measured"])
    assert f'<span id="measured">{measured}</span>' in done.stdout


@pytest.mark.parametrize(
    ("hours", "begins_at"), [(0.1, "15 s"), (0.46, "30 s"), (1.5, "2 min"), (8.2, "8 min"), (300.0, "60 min")]
)
def test_the_page_begins_at_the_slowest_speed_that_plays_it_in_about_a_minute(hours: float, begins_at: str) -> None:
    page = replay_html(night(), BEGAN + 3600 * hours)
    assert re.findall(r" selected>(.+?) a second</option>", page) == [begins_at]
