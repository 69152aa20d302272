"""prepare.py: the corpus on disk, the tokenizer, the packing dataloader and the metric."""

import json
import math
import re
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import prepare
from tests.research.conftest import ROOT, Run

# --- the corpus on disk ---


@pytest.fixture
def stdlib_copy(stdlib_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, with the stdlib corpus in it."""
    folder = tmp_path / "data"
    shutil.copytree(stdlib_data / "stdlib", folder / "stdlib")
    shutil.copytree(f"{stdlib_data}-sealed", tmp_path / "data-sealed")
    monkeypatch.setattr(prepare, "DATA_DIR", folder)
    return folder


def test_the_standard_library_becomes_a_corpus_with_a_tokenizer_and_a_fingerprint(stdlib_copy: Path) -> None:
    corpus = prepare.load_corpus("stdlib", check_hashes=True)
    tokenizer = prepare.Tokenizer.load(corpus)
    train, val = (list(prepare.read_documents(split[0])) for split in (corpus.train, corpus.val))
    assert tokenizer.vocab_size == corpus.vocab_size == 1024
    assert re.fullmatch(r"[0-9a-f]{16}", corpus.fingerprint)
    assert sum(map(len, train)) > 3_000_000
    assert 0.03 < sum(map(len, val)) / sum(map(len, train)) < 0.3
    assert "import os" in "".join(train)


def test_no_training_document_of_any_size_is_a_validation_document(stdlib_copy: Path) -> None:
    corpus = prepare.load_corpus("stdlib")
    train, val = (set(prepare.read_documents(split[0])) for split in (corpus.train, corpus.val))
    shared_chars = sum(len(document) for document in train & val)
    assert shared_chars < 0.01 * sum(map(len, val))  # licence texts and the like, shared by different files


def test_the_sealed_shard_is_apart_and_shares_no_document(stdlib_copy: Path) -> None:
    corpus = prepare.load_corpus("stdlib")
    shard = prepare.sealed_shard(corpus)
    assert not shard.is_relative_to(stdlib_copy)
    assert shard.parent.parent.stat().st_mode & 0o077 == 0
    sealed = set(prepare.read_documents(shard))
    for split in (corpus.train, corpus.val):
        shared_chars = sum(len(document) for document in sealed & set(prepare.read_documents(split[0])))
        assert shared_chars < 0.01 * sum(map(len, sealed))


@pytest.mark.parametrize(("spoil", "words"), [(False, "is missing"), (True, "has changed")])
def test_a_sealed_shard_that_is_lost_is_one_sentence_and_prepare_restores_it(
    stdlib_copy: Path, spoil: bool, words: str
) -> None:
    corpus = prepare.load_corpus("stdlib")
    shard = prepare.sealed_shard(corpus)
    content = shard.read_bytes()
    if spoil:
        shard.write_bytes(b"[]")
    else:
        shard.unlink()
    with pytest.raises(prepare.CorpusError, match=f"{words}: run `python prepare.py --corpus stdlib`."):
        prepare.sealed_shard(corpus)
    assert prepare.prepare("stdlib") == corpus
    assert shard.read_bytes() == content


def test_preparing_prints_progress_that_ends_at_a_hundred_percent(stdlib_copy: Path, run_script: Run) -> None:
    shutil.rmtree(stdlib_copy / "stdlib")
    done = run_script("prepare.py", data=stdlib_copy)
    percents = [int(re.match(r"prepare: (\d+)% \S", line)[1]) for line in done.stdout.splitlines()]  # type: ignore[index]
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert percents[-1] == 100
    assert not list(stdlib_copy.rglob("*.tmp"))


@pytest.mark.parametrize("tear", ["cut a shard", "cut the tokenizer", "lose a shard", "spoil corpus.json", "empty it"])
def test_a_torn_corpus_is_one_sentence_and_prepare_restores_it(stdlib_copy: Path, tear: str) -> None:
    folder = stdlib_copy / "stdlib"
    fingerprint = prepare.load_corpus("stdlib").fingerprint
    if tear == "cut a shard":
        (folder / "train.jsonl").write_bytes((folder / "train.jsonl").read_bytes()[:1000])
    elif tear == "cut the tokenizer":
        (folder / "tokenizer.tiktoken").write_bytes(b"")
    elif tear == "lose a shard":
        (folder / "val.jsonl").unlink()
    elif tear == "spoil corpus.json":
        (folder / "corpus.json").write_text('{"corpus": "stdl')
    else:
        for file in folder.iterdir():
            file.unlink()
    with pytest.raises(prepare.CorpusError) as error:
        prepare.load_corpus("stdlib")
    assert str(error.value).endswith("run `python prepare.py --corpus stdlib`.")
    assert "\n" not in str(error.value)
    assert prepare.prepare("stdlib").fingerprint == fingerprint


def test_a_change_of_equal_size_is_found_and_prepare_undoes_it(stdlib_copy: Path) -> None:
    shard = stdlib_copy / "stdlib" / "val.jsonl"
    content = shard.read_bytes()
    shard.write_bytes(content[:-2] + b"x" + content[-1:])
    prepare.prepare("stdlib")
    assert shard.read_bytes() == content


def test_training_without_a_corpus_says_how_to_prepare_one(tmp_path: Path, run_script: Run) -> None:
    done = run_script("train.py", data=tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "run `python prepare.py --corpus stdlib`" in done.stderr


def test_a_corpus_that_does_not_exist_is_one_sentence(tmp_path: Path, run_script: Run) -> None:
    done = run_script("prepare.py", data=tmp_path, COCKPIT_CORPUS="wikipedia")
    assert done.returncode == 1
    assert done.stderr == "FAIL: COCKPIT_CORPUS is 'wikipedia': set it to climbmix or stdlib.\n"


@pytest.mark.parametrize("budget", ["soon", "-1", "0", "inf", "nan"])
def test_an_invalid_budget_is_one_sentence(monkeypatch: pytest.MonkeyPatch, budget: str) -> None:
    monkeypatch.setenv("COCKPIT_TIME_BUDGET_S", budget)
    with pytest.raises(prepare.CorpusError, match=f"COCKPIT_TIME_BUDGET_S is '{budget}': set it to a positive"):
        prepare.budget_from_environment(30)


def test_a_full_disk_is_one_sentence_and_leaves_no_torn_corpus(tmp_path: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-B", "prepare.py", "--corpus", "stdlib"],
        cwd=ROOT,
        env={"COCKPIT_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        preexec_fn=small_files_only,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"FAIL: Nothing can be written to {tmp_path} (File too large): ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "stdlib" / "corpus.json").exists()
    assert not list(tmp_path.rglob("*.tmp"))


# --- climbmix, from a hub on this machine ---


class Hub(ThreadingHTTPServer):
    """Serves shards with ranges; the first answer for each breaks off halfway."""

    def __init__(self, shards: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.shards = shards
        self.asked: list[tuple[str, int]] = []


class _HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        name = self.path.strip("/")
        content = self.server.shards.get(name)
        if content is None:
            self.send_error(404)
            return
        start = int(re.match(r"bytes=(\d+)-", self.headers["Range"])[1])  # type: ignore[index]
        first = name not in {asked for asked, _ in self.server.asked}
        self.server.asked.append((name, start))
        self.send_response(206)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : len(content) // 2] if first else content[start:])

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(stdlib_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    documents = list(prepare.read_documents(stdlib_data / "stdlib" / "train.jsonl"))[:2400]
    shards = {}
    for index, i in enumerate((0, 1, prepare.CLIMBMIX_SEALED_SHARD, prepare.CLIMBMIX_VAL_SHARD)):
        path = tmp_path / "served.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": documents[index::4]}), path)
        shards[f"shard_{i:05d}.parquet"] = path.read_bytes()
    server = Hub(shards)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(prepare, "CLIMBMIX_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(prepare, "RETRY_WAIT_S", 0.01)
    monkeypatch.setattr(prepare, "DATA_DIR", tmp_path / "data")
    monkeypatch.setitem(prepare.VOCAB_SIZES, "climbmix", 512)
    yield server
    server.shutdown()
    server.server_close()


def test_an_interrupted_download_resumes(hub: Hub) -> None:
    corpus = prepare.prepare("climbmix", 2)
    for name, content in hub.shards.items():
        folder = prepare.sealed_folder("climbmix") if name == "shard_06541.parquet" else corpus.folder
        assert (folder / name).read_bytes() == content
        first, second = [start for asked, start in hub.asked if asked == name]
        assert first == 0 < second <= len(content) // 2


def test_the_last_shard_is_for_validation_only(hub: Hub) -> None:
    corpus = prepare.prepare("climbmix", 2)
    assert [path.name for path in corpus.train] == ["shard_00000.parquet", "shard_00001.parquet"]
    assert [path.name for path in corpus.val] == ["shard_06542.parquet"]


def test_only_missing_shards_are_downloaded(hub: Hub) -> None:
    first = prepare.prepare("climbmix", 1)
    hub.asked.clear()
    assert prepare.prepare("climbmix") == first
    assert hub.asked == []
    more = prepare.prepare("climbmix", 2)
    assert {name for name, _ in hub.asked} == {"shard_00001.parquet"}
    assert more.fingerprint != first.fingerprint


def test_an_unreachable_hub_is_one_sentence_that_names_the_offline_corpus(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(prepare.CorpusError, match=r"--corpus stdlib") as error:
        prepare.prepare("climbmix", 1)
    assert "\n" not in str(error.value)


def test_a_shard_that_the_hub_lacks_is_requested_once(hub: Hub) -> None:
    del hub.shards["shard_00001.parquet"]
    with pytest.raises(prepare.CorpusError, match=r"shard_00001.parquet \(404\)"):
        prepare.prepare("climbmix", 2)


# --- tokenizer, dataloader, metric ---


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[prepare.Corpus, prepare.Tokenizer]:
    """A corpus of 40 short documents and a vocabulary of single bytes, with a context of 8 tokens."""
    monkeypatch.setattr(prepare, "MAX_SEQ_LEN", 8)
    documents = [f"é{i}" + "x" * (i % 5) for i in range(40)]
    for name in ("train", "val"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    corpus = prepare.Corpus(tmp_path, "tiny", 260, [tmp_path / "train.jsonl"], [tmp_path / "val.jsonl"], fingerprint="")
    return corpus, BYTES


BYTES = prepare.Tokenizer({bytes([i]): i for i in range(256)})


@given(st.text(max_size=100))
def test_text_survives_the_tokenizer_and_its_bytes_are_counted(text: str) -> None:
    [tokens] = BYTES.encode([text])
    assert tokens[0] == BYTES.bos
    assert BYTES.decode(tokens[1:]) == text
    assert BYTES.token_bytes[tokens].sum() == len(text.encode())


DOCUMENTS = st.lists(st.integers(1, 30), max_size=60).map(
    lambda lengths: [[-i] + [i] * (length - 1) for i, length in enumerate(lengths, start=1)]
)  # a document starts with its number, negative, and repeats it


@given(DOCUMENTS, st.integers(2, 20), st.integers(1, 12))
def test_packing_fills_every_row_with_whole_documents_and_crops_only_the_last_of_a_row(
    documents: list[list[int]], row_len: int, buffer_size: int
) -> None:
    unused = {-document[0]: document for document in documents}
    for row in prepare.pack_rows(documents, row_len, buffer_size):
        assert len(row) == row_len
        starts = [i for i, token in enumerate(row) if token < 0]
        assert starts[0] == 0
        *whole, last = [row[a:b] for a, b in zip(starts, [*starts[1:], row_len], strict=True)]
        for document in whole:
            assert unused.pop(-document[0]) == document
        assert unused.pop(-last[0])[: len(last)] == last
    assert sum(map(len, unused.values())) < row_len  # what could not fill a row of its own


def test_the_longest_document_that_fits_goes_next() -> None:
    documents = [[-1, 1, 1], [-2, 2], [-3, 3, 3, 3], [-4, 4, 4, 4, 4]]
    assert list(prepare.pack_rows(documents, 7)) == [[-4, 4, 4, 4, 4, -2, 2], [-3, 3, 3, 3, -1, 1, 1]]


def test_targets_are_the_inputs_shifted_by_one_and_training_never_ends(
    tiny: tuple[prepare.Corpus, prepare.Tokenizer],
) -> None:
    batches = prepare.make_dataloader(*tiny, 4, "train", "cpu")
    epochs = []
    for _ in range(200):
        inputs, targets, epoch = next(batches)
        assert inputs.shape == targets.shape == (4, 8)
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        epochs.append(epoch)
    assert epochs == sorted(epochs)
    assert epochs[-1] > 2


def loss_by_token(inputs: torch.Tensor, targets: torch.Tensor, reduction: str) -> torch.Tensor:
    """Return a model whose loss on a target is known: a hundredth of its token id, in nats."""
    assert reduction == "none"
    return targets.flatten() / 100


def test_bits_per_byte_equals_a_manual_calculation(
    tiny: tuple[prepare.Corpus, prepare.Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, tokenizer = tiny
    # One row of nine: BOS a b c, BOS d e f g. Eight targets, of which the second BOS stands for no text.
    corpus.val[0].write_text('"abc"\n"defg"\n')
    nats = sum(map(ord, "abcdefg")) / 100
    expected = nats / math.log(2) / len("abcdefg")
    assert prepare.evaluate_bpb(loss_by_token, corpus, tokenizer, 1, "cpu") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("eval_tokens", [24, 10_000])
def test_the_score_does_not_depend_on_the_batch_size(
    tiny: tuple[prepare.Corpus, prepare.Tokenizer], monkeypatch: pytest.MonkeyPatch, eval_tokens: int
) -> None:
    monkeypatch.setattr(prepare, "EVAL_TOKENS", eval_tokens)
    scores = {round(prepare.evaluate_bpb(loss_by_token, *tiny, rows, "cpu"), 9) for rows in (1, 2, 7, 64)}
    assert len(scores) == 1


def test_bytes_are_counted_as_bytes_not_as_characters(tiny: tuple[prepare.Corpus, prepare.Tokenizer]) -> None:
    corpus, tokenizer = tiny
    corpus.val[0].write_text(json.dumps("éééé"), encoding="utf-8")  # eight bytes, with BOS one row
    expected = sum("éééé".encode()) / 100 / math.log(2) / 8
    assert prepare.evaluate_bpb(loss_by_token, corpus, tokenizer, 3, "cpu") == pytest.approx(expected, rel=1e-6)
