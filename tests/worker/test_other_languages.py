"""Code in other languages: its named numbers and edits of it are arms, and it is built for each run."""

import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Approve, Arm, Draft, Propose
from cockpit.core.model import Change, Edit
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from tests.worker.sessions import git, make, state_of, wait_for

CPP = """\
#include <cmath>
#include <cstdio>
#include <cstdlib>
constexpr double GAIN = 5.0;
static double cost(double gain) { return std::fabs(gain - 2.0) + 1.0; }
int main() {
    int seed = std::atoi(std::getenv("SEED"));
    std::printf("cost: %.6f\\n", cost(GAIN) + seed % 7 * 1e-4);
}
"""
RUST = """\
const GAIN: f64 = 5.0;
fn cost(gain: f64) -> f64 { (gain - 2.0).abs() + 1.0 }
fn main() {
    let seed: f64 = std::env::var("SEED").unwrap().parse().unwrap();
    println!("cost: {:.6}", cost(GAIN) + seed % 7.0 * 1e-4);
}
"""
JAVASCRIPT = """\
const GAIN = 5.0;
const cost = (gain) => Math.abs(gain - 2.0) + 1.0;
console.log(`cost: ${(cost(GAIN) + (Number(process.env.SEED) % 7) * 1e-4).toFixed(6)}`);
"""
SHELL = """\
GAIN=5
cost() { echo "$1" | awk '{ d = $1 - 2.0; print (d < 0 ? -d : d) + 1.0 }'; }
awk -v base="$(cost "$GAIN")" -v seed="$SEED" 'BEGIN { printf "cost: %.6f\\n", base + seed % 7 * 1e-4 }'
"""


class Language(NamedTuple):
    program: str
    """The program that the command needs."""
    file: str
    source: str
    command: str


LANGUAGES = [
    Language("g++", "cost.cpp", CPP, "sh -c 'g++ -O1 cost.cpp -o cost && ./cost'"),
    Language("rustc", "cost.rs", RUST, "sh -c 'rustc cost.rs -o cost && ./cost'"),
    Language("node", "cost.js", JAVASCRIPT, "node cost.js"),
    Language("awk", "cost.sh", SHELL, "sh cost.sh"),
]


def session_on(place: Path, language: Language) -> SessionFolder:
    repo = place / "repo"
    repo.mkdir()
    (repo / language.file).write_text(language.source)
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    new = NewSession(fleet="local", clusters=2, mode="autopilot", proposer="human")
    research = ResearchSettings(files=(language.file,), command=language.command, metric="cost", confine=False)
    return make(place, repo, new, time.time(), research=research, filler=False)


def first_score(state: State, experiment: str) -> float:
    known = state.experiments.get(experiment)
    scores = known.scores.get("CPU", ()) if known else ()
    return round(scores[0], 1) if scores else 0.0


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda one: one.file)
def test_a_number_and_an_edit_of_code_in_another_language_are_arms(tmp_path: Path, language: Language) -> None:
    if shutil.which(language.program) is None:
        pytest.skip(f"{language.program} is not installed")
    folder = session_on(tmp_path, language)
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 120, "the baseline")
        assert list(state_of(folder).session.constants) == ["GAIN"]
        nearer = Arm(Change(edits=(Edit("2.0", "4.5"),)), why="the edit")
        arms = (Arm(Change(constants={"GAIN": 2}), why="the number"), nearer)
        taken = send_and_await(folder, Propose(Draft(proposer="ann", question="nearer?", arms=arms)))
        assert taken is not None and not taken.refused
        assert send_and_await(folder, Approve(taken.wave)) is not None
        wait_for(lambda: first_score(state_of(folder), "e0002"), 120, "the score of the edit")
        wait_for(lambda: state_of(folder).incumbent == "e0001", 240, "the number to be kept")
        kept = state_of(folder).experiments["e0001"].commit
        wait_for(lambda: git(tmp_path / "repo", "rev-parse", "cockpit/night").strip() == kept, 60, "the branch")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    assert [first_score(state, one) for one in ("e0000", "e0001", "e0002")] == [4.0, 1.0, 1.5]
    assert git(tmp_path / "repo", "diff", "--name-only", "HEAD", "cockpit/night").split() == [language.file]
