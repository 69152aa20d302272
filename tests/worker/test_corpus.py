"""Scores of different corpora or presets are never compared: no such run starts, or its result does not count."""

import json
from pathlib import Path

import pytest

from cockpit.cli.corpora import restore_corpus
from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Rerun, Resume
from cockpit.core.model import Outcome
from cockpit.create.new_session import create
from cockpit.create.plan import Plan
from cockpit.read.needs import needs
from cockpit.session import worker_process
from cockpit.session.corpus import CorpusProblem
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession, Settings
from tests.worker.sessions import SCRIPT, local_session, repository, state_of, wait_for

SAYS = 'print("corpus: stdlib vocab 1024 fingerprint {}")\nprint("preset: {} budget 5s seq_len 256 seed 1")\n'
TAKES_ONE = 'raise SystemExit("FAIL: this one is lost for good.")  # COCKPIT_DATA_DIR\nTIME_BUDGET = 5\n'


def corpus_of(data: Path, fingerprint: str) -> None:
    """Make the files of a prepared corpus that cockpit checks."""
    (data / "stdlib").mkdir(parents=True, exist_ok=True)
    (data / "stdlib" / "train.jsonl").write_text("abc")
    manifest = {"corpus": "stdlib", "fingerprint": fingerprint, "files": {"train.jsonl": {"bytes": 3}}}
    (data / "stdlib" / "corpus.json").write_text(json.dumps(manifest))


def session_on(place: Path, script: str) -> SessionFolder:
    """Make a session of one slot whose runs train on the corpus 11111111."""
    script = script.replace("RUNS_FILE", repr(str(place / "runs.txt")))
    repo = repository(place / "repo", script, TAKES_ONE)
    folder = SessionFolder(place / "sessions" / "night")
    settings = Settings(
        session=NewSession(fleet="local", clusters=1, mode="manual"), research=ResearchSettings(confine=False)
    )
    create(folder, Plan("night", repo, settings, corpus="stdlib 11111111"), 1.0)
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COCKPIT_DATA_DIR", str(tmp_path / "data"))
    corpus_of(tmp_path / "data", "1" * 16)
    return tmp_path / "data"


@pytest.mark.parametrize("gone", ["another one is there", "it is torn"])
def test_no_run_starts_without_its_sessions_corpus_and_none_is_lost(tmp_path: Path, data: Path, gone: str) -> None:
    if gone == "it is torn":
        (data / "stdlib" / "train.jsonl").write_text("a")
    else:
        corpus_of(data, "2" * 16)
    folder = session_on(tmp_path, SCRIPT)
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).held, 20, "the session to be held")
        state = state_of(folder)
        (said,) = (message.text for message in state.messages if message.kind == "trouble")
        assert "the session trains on stdlib 11111111" in said and "COCKPIT_DATA_DIR" in said
        assert ("stdlib 22222222" in said) == (gone == "another one is there")
        assert state.status_counts == {"queued": 1} | {k: 0 for k in state.status_counts if k != "queued"}
        (need,) = needs(state, state.now)
        assert need.sentence == f"the session is held: {said}"
        assert not (tmp_path / "runs.txt").exists()
        corpus_of(data, "1" * 16)
        send_and_await(folder, Resume())
        wait_for(lambda: state_of(folder).incumbent == "e0000", 30, "the baseline to be measured")
        assert not state_of(folder).held_reason
    finally:
        worker_process.terminate(folder)
    assert (tmp_path / "runs.txt").read_text().split() == ["e0000.1"]


def test_a_whole_corpus_is_left_alone_and_a_lost_one_is_reported(tmp_path: Path, data: Path) -> None:
    folder = session_on(tmp_path, SCRIPT)
    restore_corpus(folder)
    (data / "stdlib" / "train.jsonl").unlink()
    with pytest.raises(CorpusProblem, match="could not be prepared: this one is lost for good"):
        restore_corpus(folder)


@pytest.mark.parametrize(("fingerprint", "preset"), [("2" * 16, "cpu-small"), ("1" * 16, "cuda")])
def test_a_run_that_trained_on_another_corpus_or_preset_has_no_result(
    tmp_path: Path, data: Path, fingerprint: str, preset: str
) -> None:
    folder = session_on(tmp_path, SCRIPT + SAYS.format(fingerprint, preset))
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).experiments["e0000"].status == "crashed", 60, "the baseline to be given up")
    finally:
        worker_process.terminate(folder)
    attempt = state_of(folder).attempts["e0000.1"]
    assert attempt.outcome is Outcome.MISMATCH
    assert "its result does not count" in attempt.message and "session's is" in attempt.message


def test_the_first_result_sets_an_unknown_corpus_and_preset(tmp_path: Path) -> None:
    says = tmp_path / "says.txt"
    says.write_text(f"corpus: climbmix vocab 8192 fingerprint {'a' * 16}\npreset: cuda budget 5s seq_len 2048 seed 1\n")
    folder = local_session(tmp_path, 1, SCRIPT + f"print(open({str(says)!r}).read())\n", confine=False, mode="manual")
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 30, "the baseline to be measured")
        assert (state_of(folder).corpus, state_of(folder).preset) == ("climbmix aaaaaaaa", "cuda")
        says.write_text(says.read_text().replace("aaaaaaaa", "bbbbbbbb"))
        send_and_await(folder, Rerun("e0000"))
        wait_for(lambda: state_of(folder).attempts["e0000.2"].outcome, 30, "the second run")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    assert state.attempts["e0000.2"].outcome is Outcome.MISMATCH
    assert state.corpus == "climbmix aaaaaaaa" and len(state.experiments["e0000"].scores["CPU"]) == 1
