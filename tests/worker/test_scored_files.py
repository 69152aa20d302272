"""A change of two files and a configuration: run, scored outside its run, kept, and certified with all of them."""

import sys
import time
from pathlib import Path

import pytest

from cockpit.certificate.check import check
from cockpit.certificate.sign import read
from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Approve, Arm, Draft, Propose
from cockpit.core.model import AttemptKind, Change, Edit
from cockpit.create.new_session import create
from cockpit.create.plan import Plan
from cockpit.session import worker_process
from cockpit.session.corpus import prepared_corpus
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings
from tests.scoring.conftest import data
from tests.worker.sessions import ROOT, git, state_of, wait_for

__all__ = ["data"]

TRAIN = """
import os
import time

import torch
import torch.nn.functional as F

from parts import Pairs, smoothing
from prepare import Tokenizer, evaluate_bpb, load_corpus, make_dataloader, training_clock

BATCHES = 8


def save_model(model, path):
    torch.save(model.table, path)


def load_model(path):
    model = Pairs(smoothing())
    model.table = torch.load(path)
    return model


def main():
    torch.set_num_threads(1)
    torch.manual_seed(int(os.environ["SEED"]))
    corpus = load_corpus()
    tokenizer = Tokenizer.load(corpus)
    print(f"corpus: {corpus.name} vocab {corpus.vocab_size} fingerprint {corpus.fingerprint}", flush=True)
    batches = make_dataloader(corpus, tokenizer, 8, "train", "cpu")
    began, started = time.time(), training_clock()
    model = Pairs(smoothing())
    for _ in range(BATCHES):
        model.count(*next(batches)[:2])
    model.finish()
    trained = training_clock() - started

    def loss(inputs, targets, reduction):
        return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction=reduction)

    score = evaluate_bpb(loss, corpus, tokenizer, 8, "cpu")
    if path := os.environ.get("COCKPIT_MODEL"):
        save_model(model, path)
    print("---")
    print(f"val_bpb:          {score:.6f}")
    print(f"training_seconds: {trained:.1f}")
    print(f"total_seconds:    {time.time() - began:.1f}")
    print(f"num_steps:        {BATCHES}")


if __name__ == "__main__":
    main()
"""
PARTS = """
import json

import torch

GRAIN = 0.3


def smoothing():
    with open("model.json") as file:
        return json.load(file)["smoothing"]


class Pairs:
    def __init__(self, smoothing):
        self.table = torch.full((1024, 1024), float(smoothing))

    def count(self, inputs, targets):
        self.table.index_put_((inputs.flatten(), targets.flatten()), torch.ones(inputs.numel()), accumulate=True)

    def finish(self):
        self.table = self.table.log() + GRAIN * torch.randn(self.table.shape)

    def parameters(self):
        return iter(())

    def __call__(self, tokens):
        return self.table[tokens]
"""
CHANGE = Change(
    edits=(
        Edit("BATCHES = 8", "BATCHES = 64", "train.py"),
        Edit("GRAIN = 0.3", "GRAIN = 0.2", "parts.py"),
        Edit('"smoothing": 5.0', '"smoothing": 0.2', "model.json"),
    )
)


@pytest.mark.skipif(sys.platform != "linux", reason="runs are unconfined here")
@pytest.mark.timeout(1200)
def test_a_change_of_several_files_is_scored_kept_and_certified(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COCKPIT_DATA_DIR", str(data)), ("COCKPIT_CORPUS", "stdlib"), ("CUDA_VISIBLE_DEVICES", "")):
        monkeypatch.setenv(name, value)
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "train.py").write_text(TRAIN)
    (repo / "parts.py").write_text(PARTS)
    (repo / "model.json").write_text('{"smoothing": 5.0}\n')
    prepare = (ROOT / "prepare.py").read_text()
    assert "65_536" in prepare
    (repo / "prepare.py").write_text(prepare.replace("65_536", "16_384"))
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    new = NewSession(fleet="local", clusters=1, mode="autopilot", proposer="human")
    research = ResearchSettings(files=("train.py", "parts.py", "model.json"))
    envelope = EnvelopeSettings(usd=1e6, filler=False)
    folder = SessionFolder(tmp_path / "sessions" / "night")
    settings = Settings(session=new, research=research, envelope=envelope)
    corpus = prepared_corpus("stdlib")
    assert corpus is not None
    create(folder, Plan("night", repo, settings, corpus=corpus.label), time.time())
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 300, "the baseline")
        draft = Draft(proposer="ann", question="more?", arms=(Arm(CHANGE),))
        taken = send_and_await(folder, Propose(draft))
        assert taken is not None and not taken.refused
        send_and_await(folder, Approve(taken.wave))
        wait_for(lambda: state_of(folder).certificates, 800, "the certificate of the keep")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    assert state.incumbent == "e0001"
    runs = [state.attempts[name] for name in state.experiments["e0001"].attempts]
    [confirmed] = [run.rescore for run in runs if run.kind is AttemptKind.CONFIRMATION]
    assert confirmed is not None and confirmed.sealed_bpb > 0 and not confirmed.failed
    certificate = folder.certificate("e0001")
    assert set(read(certificate).body["files_sha256"]) == {"parts.py", "model.json"}
    proves = " ".join(check(certificate, repo).proves)
    assert "holds the train.py and model.json and parts.py and prepare.py" in proves
    assert "this digest after them" in proves
