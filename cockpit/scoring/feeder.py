"""Compute a run's score from the logits of its model, and probe the model: the trusted side of the scorer.

    python -I feeder.py WORK.json SCORE.json

The feeder holds the text, its targets and the byte lengths. It sends rows of tokens to the server (`server.py`), which
runs the variant's code behind a wall, and gets logits. Softmax, bytes and the score are computed here, on the public
validation text and on the sealed shard, with the prepare.py of the ledger.

A script of its own: it runs in the environment of the researched repository, which need not hold cockpit.
"""

import hashlib
import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, PACKAGES)
from cockpit.scoring.asking import ProbeFailed, ScoreProblem, Server  # noqa: E402
from cockpit.scoring.probes import ask_all, check  # noqa: E402

sys.path.remove(PACKAGES)

LOGIT_BYTES_AT_MOST = 4 << 30
"""Logits received for the public text; a larger text is scored on a part of its rows."""
SEALED_SHARE = 0.25
"""Tokens of the sealed shard per token of the public text."""
LEAST_SEALED_ROWS = 32
ROWS_PER_CHOSEN = 8
"""Rows that are packed for each one that is scored, where a part of the text is."""
PARTS = 32
"""Parts of a text whose scores are compared with another model's; LEAST_SEALED_ROWS gives each part a row."""
MARKS = 64
"""Losses at fixed places of the public text, by which two models are compared."""
MARK_STRIDE = 7919
"""Losses from one to the next: a prime, so that the marks fall at all positions of a row."""
FINITE, CAUSAL, BATCH, TWICE, MEMORY = (
    "finite", "causality", "batch independence", "same answer twice", "no memory of earlier rows",
)  # fmt: skip


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        work = json.load(file)
    began = time.monotonic()
    try:
        found = scored(work)
    except ProbeFailed as error:
        found = {"failed": str(error)}
    except (ScoreProblem, OSError) as error:
        found = {"trouble": str(error)}
    except SystemExit as error:  # prepare.py's sentences
        found = {"trouble": str(error.code).removeprefix("FAIL: ")}
    found["seconds"] = time.monotonic() - began
    with open(sys.argv[2] + ".new", "w", encoding="utf-8") as file:
        json.dump(found, file)
    os.replace(sys.argv[2] + ".new", sys.argv[2])


def scored(work: dict[str, Any]) -> dict[str, Any]:
    """Return the score of the model that the work names. Raises ScoreProblem, or ProbeFailed.

    Two processes hold the model. Each is asked for the score of one half of the rows, and probed on rows of the other
    half, which it has not seen.
    """
    chance = random.SystemRandom()
    folders = chance.sample(sorted(work["servers"]), len(work["servers"]))
    if not all(os.path.isfile(os.path.join(folder, "model.pt")) for folder in folders):
        raise ScoreProblem("the run left no model: train.py must save one where COCKPIT_MODEL says")
    servers: list[Server] = []
    try:
        # First, so that they import and load while the text is read here.
        for folder in folders:
            servers.append(Server(work, folder))
        text = text_of(work["code"])
        rows = read_rows(text, sealed=work["sealed"])
        for server in servers:
            server.vocabulary = text.vocabulary
            server.wait_until_loaded()
        return score_of(servers, text, rows, chance)
    finally:
        for server in servers:
            server.close()


def text_of(code: str) -> "Text":
    """Return the text of the prepare.py in the folder `code`."""
    import torch

    # Last, after torch, and for prepare.py alone: a file of the variant must not be taken for a module that an
    # installed package would use if it were there.
    sys.path.append(code)
    import prepare

    sys.path.remove(code)
    torch.set_num_threads(1)
    return Text(prepare) if hasattr(prepare, "sealed_shard") else UpstreamText(prepare)


class Rows(NamedTuple):
    """The rows of tokens to score on."""

    public: Any
    all_public: int
    """Rows that `evaluate_bpb` reads; `public` holds a part of them if the text is large."""
    sealed: Any
    """Rows of the sealed shard; empty without probes, which need them."""


def read_rows(text: "Text", sealed: bool) -> Rows:
    """Read the rows of the public text and, if `sealed`, those of the sealed shard."""
    public, all_public = text.public()
    if not sealed:
        return Rows(public, all_public, public[:0])
    return Rows(public, all_public, text.sealed(max(LEAST_SEALED_ROWS, int(len(public) * SEALED_SHARE))))


def score_of(servers: list[Server], text: "Text", rows: Rows, chance: random.Random) -> dict[str, Any]:
    """Ask the servers about the rows. Returns the scores; raises ProbeFailed."""
    import torch

    asked = torch.cat((rows.public, rows.sealed))
    losses, probes, pace = ask_all(servers, asked, len(rows.public), text, chance)
    public_losses, sealed_losses = losses[: len(rows.public)], losses[len(rows.public) :]
    public_bpb, public_se = bits_per_byte(public_losses, rows.public, text)
    found = {
        "public_bpb": public_bpb,
        "public_se": public_se,
        "public_tokens": len(rows.public) * text.row_tokens,
        "whole": rows.all_public == len(rows.public),
        "asked_tokens": pace.asked_tokens,
        # On a GPU most of the time goes into moving logits, which says nothing about the model's pace.
        "tokens_per_s": 0.0 if text.on_gpu else pace.tokens_per_s,
        "passed": [FINITE],
        "marks": marks(public_losses),
    }
    if probes:
        check(probes, losses, asked, text, servers[0], chance)
        found["passed"] = [FINITE, CAUSAL, BATCH, TWICE, MEMORY]
    if not len(rows.sealed):
        return found
    sealed_bpb, sealed_se = bits_per_byte(sealed_losses, rows.sealed, text)
    return found | {
        "sealed_bpb": sealed_bpb,
        "sealed_se": sealed_se,
        "public_parts": parts(public_losses, rows.public, text),
        "sealed_parts": parts(sealed_losses, rows.sealed, text),
    }


class Text:
    """The text to score on, in rows as prepare.py packs them, each one token longer than the context."""

    def __init__(self, prepare: Any) -> None:
        self._prepare = prepare
        self.row_tokens = prepare.MAX_SEQ_LEN
        self._open()

    def _open(self) -> None:
        self._public = self._prepare.load_corpus()
        self._sealed = self._prepare.sealed_shard(self._public)
        self._tokenizer = self._prepare.Tokenizer.load(self._public)
        self.vocabulary = self._tokenizer.vocab_size
        self.on_gpu = self._prepare.DEVICE == "cuda"
        self.token_bytes = self._tokenizer.token_bytes

    def counted(self, rows: Any) -> Any:
        """Return which targets (rows, tokens) count in a score: a special token has no bytes."""
        return self.token_bytes[rows[:, 1:]] > 0

    def public(self) -> tuple[Any, int]:
        """Return the rows of the public validation text, and their number in `evaluate_bpb`."""
        of_rows = self._prepare.EVAL_TOKENS // self.row_tokens
        most = max(1, LOGIT_BYTES_AT_MOST // (4 * self.vocabulary * self.row_tokens))
        rows = self._rows(self._public, min(of_rows, ROWS_PER_CHOSEN * most))
        # The same rows for every run, so that runs can be compared; no run can know them without the sealed shard.
        with open(self._sealed, "rb") as file:
            seed = hashlib.sha256(b"rows" + file.read()).hexdigest()
        chosen = random.Random(seed).sample(range(len(rows)), min(most, len(rows)))
        return rows[sorted(chosen)], of_rows if len(rows) == ROWS_PER_CHOSEN * most else len(rows)

    def sealed(self, rows: int) -> Any:
        """Return rows of the sealed shard."""
        return self._rows(replace(self._public, val=[self._sealed]), rows)

    def _rows(self, corpus: Any, most: int) -> Any:
        import torch

        parts = []
        for inputs, targets, _ in self._batches(corpus):
            parts.append(torch.cat((inputs, targets[:, -1:]), dim=1).cpu())  # copied: a loader may reuse its tensors
            if len(parts) == most:
                break
        if not parts:
            raise ScoreProblem(f"{corpus.val[0]} holds no text: run prepare.py again")
        return torch.cat(parts)

    def _batches(self, corpus: Any) -> Iterator[Any]:
        batches: Iterator[Any] = self._prepare.make_dataloader(corpus, self._tokenizer, 1, "val", "cpu")
        return batches


class UpstreamText(Text):
    """The text of a prepare.py in the shape of karpathy/autoresearch's, whose loader reads a folder of shards."""

    def _open(self) -> None:
        import torch

        prepare = self._prepare
        self._public = prepare.DATA_DIR, prepare.VAL_FILENAME
        self._sealed = self._sealed_shard()
        self._tokenizer = prepare.Tokenizer.from_directory()
        self.vocabulary = self._tokenizer.get_vocab_size()
        self.on_gpu = torch.cuda.is_available()
        self.token_bytes = prepare.get_token_bytes(device="cpu")

    def sealed(self, rows: int) -> Any:
        return self._rows(os.path.split(self._sealed), rows)

    def _sealed_shard(self) -> str:
        folder = os.path.join(f"{self._prepare.CACHE_DIR}-sealed", "upstream")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".parquet") and not os.path.exists(os.path.join(self._prepare.DATA_DIR, name)):
                return os.path.join(folder, name)
        raise ScoreProblem(
            f"the sealed shard in {folder} is missing: the start of a session, or a run on a node, fetches one"
        )

    def _batches(self, corpus: Any) -> Iterator[Any]:
        self._prepare.DATA_DIR, self._prepare.VAL_FILENAME = corpus
        batches: Iterator[Any] = self._prepare.make_dataloader(self._tokenizer, 1, self.row_tokens, "val")
        return batches


def bits_per_byte(losses: Any, rows: Any, text: Text) -> tuple[float, float]:
    """Return the score of these losses, as `evaluate_bpb` defines it, and its standard error over rows."""
    import torch

    sizes = text.token_bytes[rows[:, 1:]]
    nat = torch.where(sizes > 0, losses, 0).sum(1, dtype=torch.float64)
    size = sizes.sum(1, dtype=torch.float64)
    ratio = nat.sum() / size.sum()
    if not math.isfinite(float(ratio)):
        raise ProbeFailed("gives logits whose loss is not finite")
    error = (nat - ratio * size).square().sum().sqrt() / size.sum()
    return float(ratio) / math.log(2), float(error) / math.log(2)


def parts(losses: Any, rows: Any, text: Text) -> list[float]:
    """Return the score on each of PARTS parts of the text, the same rows for every model."""
    count = min(PARTS, len(rows))
    return [round(bits_per_byte(losses[i::count], rows[i::count], text)[0], 6) for i in range(count)]


def marks(losses: Any) -> list[float]:
    """Return some of the losses, at the same places of the text for every model."""
    flat = losses.flatten()
    return [round(float(flat[i * MARK_STRIDE % len(flat)]), 4) for i in range(MARKS)]


if __name__ == "__main__":
    main()
