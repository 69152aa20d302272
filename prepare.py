"""Prepare a corpus and its tokenizer, and define what every experiment shares. Read-only for every proposer.

    python prepare.py                       the corpus of this machine: climbmix with CUDA, stdlib without
    python prepare.py --corpus stdlib       no download: the text of this Python's standard library
    python prepare.py --corpus climbmix --num-shards 20

train.py imports from here: the preset's constants, the tokenizer, the packing dataloader and `evaluate_bpb`.
Environment: COCKPIT_DATA_DIR (default ~/.cache/autoresearch), COCKPIT_CORPUS, COCKPIT_TIME_BUDGET_S.
"""

import argparse
import base64
import errno
import fcntl
import hashlib
import json
import math
import os
import platform
import sysconfig
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tiktoken
import torch


class CorpusError(SystemExit):
    """The corpus cannot be used. One sentence says what is wrong and what to do; uncaught, it ends the script with
    status 1."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"FAIL: {sentence}")


# --- The preset: what every experiment of a session shares ---


@dataclass(frozen=True)
class Preset:
    """The scale of a run. `cpu-small` is a scale model of the CUDA run: same depth, head count and optimizer, the rest
    smaller.

    `scale` divides the model's width, its heads' width and the context; `batch_scale` divides the rows of a batch. An
    edited constant of train.py therefore acts on both, in the same steps. Scores of different presets are never
    compared.
    """

    name: str
    max_seq_len: int  # tokens
    time_budget_s: float  # training only, without start-up, compilation and evaluation
    eval_tokens: int
    scale: int
    batch_scale: int


CUDA = Preset("cuda", 2048, 300, 40 * 524_288, scale=1, batch_scale=1)
CPU_SMALL = Preset("cpu-small", 256, 30, 65_536, scale=8, batch_scale=64)


def budget_from_environment(default_s: float) -> float:
    text = os.environ.get("COCKPIT_TIME_BUDGET_S") or str(default_s)
    try:
        budget_s = float(text)
    except ValueError:
        budget_s = math.nan
    if not 0 < budget_s < math.inf:
        raise CorpusError(f"COCKPIT_TIME_BUDGET_S is {text!r}: set it to a positive number of seconds.")
    return budget_s


def corpus_from_environment(default: str) -> str:
    name = os.environ.get("COCKPIT_CORPUS") or default
    if name not in VOCAB_SIZES:
        raise CorpusError(f"COCKPIT_CORPUS is {name!r}: set it to {' or '.join(VOCAB_SIZES)}.")
    return name


VOCAB_SIZES = {"climbmix": 8192, "stdlib": 1024}

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PRESET = CUDA if DEVICE == "cuda" else CPU_SMALL
MAX_SEQ_LEN = PRESET.max_seq_len
TIME_BUDGET = budget_from_environment(PRESET.time_budget_s)
EVAL_TOKENS = PRESET.eval_tokens

DATA_DIR = Path(os.environ.get("COCKPIT_DATA_DIR") or Path.home() / ".cache" / "autoresearch")
CORPUS = corpus_from_environment("climbmix" if DEVICE == "cuda" else "stdlib")


def training_clock() -> float:
    """Return the seconds that count against TIME_BUDGET; call it once the device has finished its work.

    A GPU trains one experiment at a time, so its clock is the wall clock. A CPU is shared with other processes, which
    would cost a run its time: there it is the processor time of this process, all threads together, which equals the
    wall clock of a dedicated core.
    """
    return time.perf_counter() if DEVICE == "cuda" else time.process_time()


# GPT-4's split pattern with numbers in groups of two digits: a small vocabulary has no room for three.
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
BOS = "<|bos|>"
SPECIAL_TOKENS = [BOS, "<|reserved_1|>", "<|reserved_2|>", "<|reserved_3|>"]

# --- A corpus on disk: DATA_DIR/NAME/{corpus.json, tokenizer.tiktoken, shards} ---


def sealed_folder(name: str) -> Path:
    """Return the folder of a corpus's sealed shard, beside DATA_DIR. No run sees it; the scorer reads it for a keep."""
    return DATA_DIR.with_name(f"{DATA_DIR.name}-sealed") / name


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus. `fingerprint` is a hash over the content of the tokenizer and of every shard."""

    folder: Path
    name: str
    vocab_size: int
    train: list[Path]
    val: list[Path]
    fingerprint: str


def load_corpus(name: str = CORPUS, *, check_hashes: bool = False) -> Corpus:
    """Load the prepared corpus `name`. Raises CorpusError where it is missing, empty, torn or of another format."""
    folder = DATA_DIR / name
    again = f"run `python prepare.py --corpus {name}`."
    try:
        manifest = json.loads((folder / "corpus.json").read_text())
        files, splits = manifest["files"], manifest["splits"]
        corpus = Corpus(
            folder=folder,
            name=manifest["corpus"],
            vocab_size=manifest["vocab_size"],
            train=[folder / file for file in splits["train"]],
            val=[folder / file for file in splits["val"]],
            fingerprint=manifest["fingerprint"],
        )
        for file, recorded in files.items():
            size = (folder / file).stat().st_size
            if size != recorded["bytes"]:
                raise CorpusError(
                    f"The corpus in {folder} is torn ({file}: {size} of {recorded['bytes']} bytes): {again}"
                )
            if check_hashes and _sha256_of_file(folder / file) != recorded["sha256"]:
                raise CorpusError(f"The corpus in {folder} is torn ({file} has changed): {again}")
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        if missing == "corpus.json":
            raise CorpusError(f"No corpus is prepared in {folder}: {again}") from None
        raise CorpusError(f"The corpus in {folder} is torn ({missing} is missing): {again}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorpusError(f"The corpus in {folder} is torn (corpus.json cannot be read): {again}") from None
    except OSError as error:
        raise CorpusError(f"The corpus in {folder} cannot be read ({error.strerror}): check its mode.") from None
    return corpus


def sealed_shard(corpus: Corpus) -> Path:
    """Return the validation shard that no run may see. Raises CorpusError where it is missing or has changed."""
    again = f"run `python prepare.py --corpus {corpus.name}`."
    recorded = json.loads((corpus.folder / "corpus.json").read_text()).get("sealed")
    if not recorded:
        raise CorpusError(f"The corpus in {corpus.folder} has no sealed shard: {again}")
    path = sealed_folder(corpus.name) / recorded["file"]
    if not path.is_file():
        raise CorpusError(f"The sealed shard {path} is missing: {again}")
    if _sha256_of_file(path) != recorded["sha256"]:
        raise CorpusError(f"The sealed shard {path} has changed: {again}")
    return path


def _sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_atomically(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all, despite a power cut, a full disk or a second writer."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_manifest(folder: Path, name: str, source: str, splits: dict[str, list[str]], sealed: Path) -> None:
    """Write corpus.json, last of all: a folder without it is not prepared yet, whatever else it holds."""
    names = ["tokenizer.tiktoken", *splits["train"], *splits["val"]]
    files = {
        file: {"bytes": (folder / file).stat().st_size, "sha256": _sha256_of_file(folder / file)} for file in names
    }
    fingerprint = hashlib.sha256(json.dumps([files, splits], sort_keys=True).encode()).hexdigest()[:16]
    manifest = {
        "corpus": name,
        "source": source,
        "vocab_size": VOCAB_SIZES[name],
        "fingerprint": fingerprint,
        "splits": splits,
        "files": files,
        "sealed": {"file": sealed.name, "sha256": _sha256_of_file(sealed)},
    }
    _write_atomically(folder / "corpus.json", json.dumps(manifest, indent=1).encode())


def read_documents(shard: Path) -> Iterator[str]:
    """Yield the documents of one shard, in order: parquet with a `text` column, or one JSON string a line."""
    if shard.suffix == ".parquet":
        import pyarrow.parquet  # a third of a second, and the stdlib corpus does without

        file = pyarrow.parquet.ParquetFile(shard)
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=["text"]).column("text").to_pylist()
    else:
        with shard.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


# --- Tokenizer ---


class Tokenizer:
    """A byte-pair encoding over bytes, with BOS and three reserved tokens after the merged ones."""

    def __init__(self, ranks: dict[bytes, int]) -> None:
        special = {token: len(ranks) + i for i, token in enumerate(SPECIAL_TOKENS)}
        self.encoding = tiktoken.Encoding(
            "autoresearch", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens=special
        )
        self.vocab_size = len(ranks) + len(special)
        self.bos = special[BOS]
        lengths = {rank: len(token) for token, rank in ranks.items()}
        # Bytes of text per token; 0 for a special token.
        self.token_bytes = torch.tensor([lengths.get(i, 0) for i in range(self.vocab_size)], dtype=torch.int32)

    @classmethod
    def load(cls, corpus: Corpus) -> "Tokenizer":
        """Read `tokenizer.tiktoken` in tiktoken's format: a line of base64 and rank for each token."""
        lines = (corpus.folder / "tokenizer.tiktoken").read_bytes().splitlines()
        return cls({base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)})

    def encode(self, documents: list[str]) -> list[list[int]]:
        """Return each document's tokens, BOS first."""
        batch = self.encoding.encode_ordinary_batch(documents, num_threads=torch.get_num_threads())
        return [[self.bos, *tokens] for tokens in batch]

    def decode(self, tokens: list[int]) -> str:
        return self.encoding.decode(tokens)


def train_tokenizer(documents: Iterable[str], vocab_size: int) -> bytes:
    """Return the content of a `tokenizer.tiktoken` learned from `documents`: vocab_size minus the special tokens."""
    import rustbpe

    bpe = rustbpe.Tokenizer()
    bpe.train_from_iterator(iter(documents), vocab_size - len(SPECIAL_TOKENS), pattern=SPLIT_PATTERN)
    ranks = sorted((rank, bytes(token)) for token, rank in bpe.get_mergeable_ranks())
    if len(ranks) != vocab_size - len(SPECIAL_TOKENS):
        raise CorpusError(f"The text is too short for a vocabulary of {vocab_size}: prepare a larger corpus.")
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in ranks)


# --- Dataloader and metric, imported by train.py ---


def pack_rows(documents: Iterable[list[int]], row_len: int, buffer_size: int = 1000) -> Iterator[list[int]]:
    """Pack documents best-fit into rows of exactly `row_len` tokens, each starting at the start of a document.

    Of `buffer_size` waiting documents the longest that still fits goes next; where none fits, the shortest is cropped
    to fill the row and its rest dropped. There is no padding. When the documents end, the rest is packed and a last row
    that cannot be filled is left out.
    """
    stream = iter(documents)
    waiting: list[list[int]] = []  # sorted by length
    exhausted = False
    while True:
        row: list[int] = []
        while len(row) < row_len:
            while len(waiting) < buffer_size and not exhausted:
                document = next(stream, None)
                if document is None:
                    exhausted = True
                else:
                    waiting.insert(bisect_right(waiting, len(document), key=len), document)
            if not waiting:
                return
            space = row_len - len(row)
            fits = bisect_right(waiting, space, key=len)
            row += waiting.pop(fits - 1) if fits else waiting.pop(0)[:space]
        yield row


Batch = tuple[torch.Tensor, torch.Tensor, int]


def make_dataloader(
    corpus: Corpus,
    tokenizer: Tokenizer,
    batch_rows: int,
    split: Literal["train", "val"],
    device: str = DEVICE,
) -> Iterator[Batch]:
    """Yield (inputs, targets, epoch), int64 of shape (batch_rows, MAX_SEQ_LEN), targets shifted left by one.

    `train` repeats without end; `val` is one pass, its last batch padded with rows of BOS, which have no weight in
    `evaluate_bpb`. The rows and their order do not depend on `batch_rows`.
    """
    epoch = 1

    def token_lists() -> Iterator[list[int]]:
        nonlocal epoch
        while True:
            for shard in corpus.train if split == "train" else corpus.val:
                batch: list[str] = []
                for document in read_documents(shard):
                    batch.append(document)
                    if len(batch) == 128:
                        yield from tokenizer.encode(batch)
                        batch = []
                yield from tokenizer.encode(batch)
            if split == "val":
                return
            epoch += 1

    def to_batch(rows: list[list[int]]) -> Batch:
        tokens = torch.tensor(rows, dtype=torch.int64)
        if device == "cuda":
            tokens = tokens.pin_memory().to(device, non_blocking=True)
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), epoch

    rows: list[list[int]] = []
    for row in pack_rows(token_lists(), MAX_SEQ_LEN + 1):
        rows.append(row)
        if len(rows) == batch_rows:
            yield to_batch(rows)
            rows = []
    if rows:
        yield to_batch(rows + [[tokenizer.bos] * (MAX_SEQ_LEN + 1)] * (batch_rows - len(rows)))


@torch.no_grad()
def evaluate_bpb(
    model: Callable[..., torch.Tensor],
    corpus: Corpus,
    tokenizer: Tokenizer,
    batch_rows: int,
    device: str = DEVICE,
) -> float:
    """Return the bits per byte on the validation split: independent of the vocabulary, lower is better.

    `model(inputs, targets, reduction="none")` gives the cross-entropy of every target in nats. The result is their sum
    over the byte length of the targets' text, divided by ln 2; special tokens count in neither sum. The text is the
    first EVAL_TOKENS of the split, or all of it: the same for every experiment and batch size.
    """
    token_bytes = tokenizer.token_bytes.to(device)
    rows_left = EVAL_TOKENS // MAX_SEQ_LEN
    nats = torch.zeros((), dtype=torch.float64, device=device)
    text_bytes = torch.zeros((), dtype=torch.int64, device=device)
    for inputs, targets, _ in make_dataloader(corpus, tokenizer, batch_rows, "val", device):
        loss = model(inputs, targets, reduction="none").view_as(targets)
        weight = token_bytes[targets]
        weight[rows_left:] = 0
        nats += torch.where(weight > 0, loss, 0).sum(dtype=torch.float64)
        text_bytes += weight.sum()
        rows_left -= len(targets)
        if rows_left <= 0:
            break
    if not text_bytes:
        raise CorpusError(f"The validation split in {corpus.folder} is empty: run `python prepare.py` again.")
    return (nats / text_bytes).item() / math.log(2)


# --- Preparation ---

CLIMBMIX_URL = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main"
CLIMBMIX_VAL_SHARD = 6542  # the last one, pinned for validation
CLIMBMIX_SEALED_SHARD = 6541  # no run sees it
CLIMBMIX_DEFAULT_SHARDS = 10
RETRY_WAIT_S = 1.0
TOKENIZER_CHARS = 1_000_000_000  # limit of the training text for the tokenizer
TOKENIZER_CHARS_PER_DOCUMENT = 10_000

STDLIB_DOCUMENT_CHARS = 640  # about one row of the cpu-small preset, to crop little
# Left out: folders that some distributions lack, third-party code, and tables that are not text.
STDLIB_SKIPPED_FOLDERS = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "encodings",
    "lib2to3",
}


def report(percent: float, doing: str) -> None:
    print(f"prepare: {percent:.0f}% {doing}", flush=True)


def split_into_documents(text: str) -> Iterator[str]:
    """Cut a source file at line ends into pieces of at most STDLIB_DOCUMENT_CHARS where its lines allow."""
    piece = ""
    for line in text.splitlines(keepends=True):
        if piece and len(piece) + len(line) > STDLIB_DOCUMENT_CHARS:
            yield piece
            piece = ""
        piece += line
    if piece.strip():
        yield piece


def _make_sealed_folder(name: str) -> Path:
    """Make the folder of a corpus's sealed shard, which its owner alone may read."""
    folder = sealed_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    folder.parent.chmod(0o700)
    return folder


def prepare_stdlib(folder: Path) -> None:
    """Split the library by content hash: one file in 20 validates, one in 20 is sealed; documents are ordered by hash.

    Any program can read the library, so this sealed shard finds training on val.jsonl, not on the library itself.
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    texts: dict[str, str] = {}
    for path in sorted(library.rglob("*.py")):
        if STDLIB_SKIPPED_FOLDERS.isdisjoint(path.relative_to(library).parts):
            content = path.read_bytes()
            texts[hashlib.sha256(content).hexdigest()] = content.decode("utf-8", errors="ignore")
    documents: dict[str, list[str]] = {"train": [], "val": [], "sealed": []}
    held_out = {0: "val", 10: "sealed"}
    for digest, text in texts.items():
        documents[held_out.get(int(digest, 16) % 20, "train")] += split_into_documents(text)
    if not all(documents.values()):
        raise CorpusError(f"{library} holds no source of the standard library: use a Python that brings its own.")
    for split in documents.values():
        split.sort(key=lambda document: hashlib.sha256(document.encode()).digest())
    size_mb = sum(map(len, texts.values())) / 1e6
    report(30, f"training a tokenizer of {VOCAB_SIZES['stdlib']} on {size_mb:.1f} MB of standard library")
    tokenizer = train_tokenizer(documents["train"], VOCAB_SIZES["stdlib"])
    sealed = _make_sealed_folder("stdlib")
    report(80, f"writing {len(documents['train'])} training and {len(documents['val'])} validation documents")
    _write_atomically(folder / "tokenizer.tiktoken", tokenizer)
    for name, split in documents.items():
        lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in split)
        _write_atomically((sealed if name == "sealed" else folder) / f"{name}.jsonl", lines.encode())
    source = f"Python {platform.python_version()} standard library"
    splits = {"train": ["train.jsonl"], "val": ["val.jsonl"]}
    _write_manifest(folder, "stdlib", source, splits, sealed / "sealed.jsonl")


def _download(url: str, path: Path, on_progress: Callable[[int, int], None]) -> None:
    """Fetch `url` to `path`, resuming from PATH.part if there is one. Calls `on_progress(bytes, of_bytes)`."""
    import requests

    part = path.with_name(path.name + ".part")
    attempts = 5
    for attempt in range(1, attempts + 1):
        have = part.stat().st_size if part.exists() else 0
        try:
            with requests.get(url, stream=True, timeout=30, headers={"Range": f"bytes={have}-"}) as response:
                if response.status_code == 416:  # no such range: the part on disk is not the start of this file
                    part.unlink()
                    raise requests.ConnectionError
                response.raise_for_status()
                if response.status_code != 206:
                    have = 0
                total = have + int(response.headers["Content-Length"])
                with part.open("ab" if have else "wb") as file:
                    for chunk in response.iter_content(1 << 16):
                        have += file.write(chunk)
                        on_progress(have, total)
            if have != total:
                raise requests.ConnectionError
            if not _is_whole_parquet(part):
                part.unlink()
                raise requests.ConnectionError
        except requests.RequestException as error:
            status = getattr(error.response, "status_code", None)
            refused = status is not None and 400 <= status < 500 and status != 429
            if attempt == attempts or refused:
                raise CorpusError(
                    f"The hub did not give {path.name} ({status or type(error).__name__}): run this again to"
                    " resume, or use the corpus stdlib (--corpus stdlib), which downloads nothing."
                ) from None
            time.sleep(attempt * RETRY_WAIT_S)
        else:
            part.replace(path)
            return


def _is_whole_parquet(path: Path) -> bool:
    if not path.exists() or path.stat().st_size < 12:
        return False
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return file.read() == b"PAR1"


def prepare_climbmix(folder: Path, num_shards: int) -> None:
    """Download `num_shards` training shards and the validation shard, then learn the tokenizer."""
    if not 1 <= num_shards <= CLIMBMIX_SEALED_SHARD:
        raise CorpusError(f"--num-shards is {num_shards}: ask for 1 to {CLIMBMIX_SEALED_SHARD}.")
    names = [f"shard_{i:05d}.parquet" for i in [*range(num_shards), CLIMBMIX_VAL_SHARD]]
    sealed = _make_sealed_folder("climbmix") / f"shard_{CLIMBMIX_SEALED_SHARD:05d}.parquet"
    places = {name: folder / name for name in names} | {sealed.name: sealed}
    missing = [name for name, path in places.items() if not _is_whole_parquet(path)]
    fraction_done = dict.fromkeys(missing, 0.0)
    stopped = threading.Event()
    reported_at = 0.0

    def fetch(name: str) -> None:
        def on_progress(have: int, total: int) -> None:
            nonlocal reported_at
            if stopped.is_set():
                raise InterruptedError
            fraction_done[name] = have / total
            if time.monotonic() - reported_at > 1:
                reported_at = time.monotonic()
                done = sum(fraction_done.values())
                report(80 * done / len(missing), f"downloading climbmix, {done:.1f} of {len(missing)} shards")

        _download(f"{CLIMBMIX_URL}/{name}", places[name], on_progress)

    report(0, f"downloading climbmix, {len(missing)} shards ({len(places) - len(missing)} are here)")
    with ThreadPoolExecutor(8) as pool:
        fetches = [pool.submit(fetch, name) for name in missing]
        try:
            for done in as_completed(fetches):
                done.result()
        except BaseException:  # also on an interrupt: downloads must stop, and keep their parts for the next time
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise

    def training_text() -> Iterator[str]:
        chars = 0
        for name in names[:-1]:
            for document in read_documents(folder / name):
                yield document[:TOKENIZER_CHARS_PER_DOCUMENT]
                chars += min(len(document), TOKENIZER_CHARS_PER_DOCUMENT)
                if chars >= TOKENIZER_CHARS:
                    return

    report(80, f"training a tokenizer of {VOCAB_SIZES['climbmix']}")
    _write_atomically(folder / "tokenizer.tiktoken", train_tokenizer(training_text(), VOCAB_SIZES["climbmix"]))
    report(98, "hashing the shards")
    splits = {"train": names[:-1], "val": names[-1:]}
    _write_manifest(folder, "climbmix", "karpathy/climbmix-400b-shuffle", splits, sealed)


def _drop_torn_files(folder: Path) -> None:
    """Remove files that differ from corpus.json, and partial files of a killed run."""
    for path in folder.glob("*.tmp"):
        path.unlink()
    try:
        files = json.loads((folder / "corpus.json").read_text())["files"]
        for name, recorded in files.items():
            if (folder / name).is_file() and _sha256_of_file(folder / name) != recorded["sha256"]:
                (folder / name).unlink()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no record to compare with: existing files were written whole, and are checked again
    (folder / "corpus.json").unlink(missing_ok=True)


def prepare(name: str, num_shards: int | None = None) -> Corpus:
    """Prepare the corpus, doing only missing work. Of two at once the second waits and finds it prepared."""
    folder = DATA_DIR / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report(0, f"looking into {folder}")
        try:
            corpus = load_corpus(name, check_hashes=True)
            sealed_shard(corpus)
            if name == "stdlib" or num_shards in (None, len(corpus.train)):
                return corpus
        except CorpusError:
            _drop_torn_files(folder)
        if name == "stdlib":
            prepare_stdlib(folder)
        else:
            prepare_climbmix(folder, CLIMBMIX_DEFAULT_SHARDS if num_shards is None else num_shards)
        return load_corpus(name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare a corpus and its tokenizer.")
    parser.add_argument("--corpus", choices=VOCAB_SIZES, default=CORPUS)
    parser.add_argument("--num-shards", type=int, help=f"climbmix: training shards ({CLIMBMIX_DEFAULT_SHARDS})")
    arguments = parser.parse_args()
    try:
        corpus = prepare(arguments.corpus, arguments.num_shards)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise CorpusError(
            f"Nothing can be written to {DATA_DIR} ({error.strerror}): "
            + ("free some space there" if full else "make it a folder you may write to")
            + ", or set COCKPIT_DATA_DIR to another folder, and run this again."
        ) from None
    report(100, f"ready: {corpus.name}, vocabulary {corpus.vocab_size}, fingerprint {corpus.fingerprint}")


if __name__ == "__main__":
    main()
