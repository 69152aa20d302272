"""Compute a run's score from the logits of its model, and probe the model: the trusted side of the scorer.

    python -I feeder.py WORK.json SCORE.json

The feeder holds the text, its targets and the byte lengths. It sends rows of tokens to the server (`server.py`), which
runs the variant's code behind a wall, and gets logits. Softmax, bytes and the score are computed here, on the public
validation text and on the sealed shard, with the prepare.py of the ledger.

A script of its own: it runs in the environment of the researched repository, which need not hold cockpit.
"""

import hashlib
import itertools
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, PACKAGES)
from cockpit.scoring.asking import ProbeFailed, ScoreProblem, Server  # noqa: E402

sys.path.remove(PACKAGES)

LOGIT_BYTES_AT_MOST = 4 << 30
"""Logits received for the public text; a larger text is scored on a part of its rows."""
BATCH_LOGIT_BYTES = 4 << 20
"""Logits of one request. On a CPU 32 MB take a quarter longer: they do not fit into its caches."""
SEALED_SHARE = 0.25
"""Tokens of the sealed shard per token of the public text."""
LEAST_SEALED_ROWS = 32
ROWS_PER_CHOSEN = 8
"""Rows that are packed for each one that is scored, where a part of the text is."""
PROBED_ROWS = 256
"""Rows that are asked twice: for their score in one process, as a probe in the other. Half of it without the sealed
shard: the other runs of a test have their probes too."""
SAME_SHARE = 0.125
"""Share of them that the second gets unchanged; the others get another ending."""
SUSPECT_SHARE = 0.4375
"""Share of them whose ending is changed behind a token that the model predicted well for its rarity. A row and a place
in it are chosen in proportion to the probability of the token over its share of the text."""
SEALED_PROBES = 0.5
"""Share of them on the sealed shard: a leak gains nothing where the sealed shard does not confirm it."""
KNOWN_AT_MOST = 30.0
"""Logarithm of that proportion at most: an absurd loss must not take all of it."""
OTHER_ENDINGS = 8
"""Rows of which one is taken whose next token differs."""
LOSS_AT_MOST_GUESSES = 2.0
"""Losses are clipped at this multiple of a uniform guess's loss before the standard deviation is taken."""
TOLERANCE_SDS = 1e-3
"""Difference of two losses that counts as none, in standard deviations of the losses."""
NOISE_AT_MOST_SDS = 0.002
"""Root mean square of the difference between two answers to the same rows, in the same unit, that is allowed on a
processor. Half precision has none there, because all requests have one shape. Noise hides a leak of a tenth of it."""
GPU_NOISE_AT_MOST_SDS = 0.02
"""The same on a GPU, where it was not measured."""
NOISE_FACTOR = 8.0
"""Times that difference by which one loss may move."""
MEAN_NOISE_FACTOR = 4.0
"""Standard errors by which the mean loss before the cuts may rise."""
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


class Probe(NamedTuple):
    """A row that the other process has scored, and its losses here."""

    row: int
    cut: int
    """Where the ending of another row begins; its length where it is unchanged."""
    losses: Any


class Pace(NamedTuple):
    """The tokens that all processes were asked about, and the pace of their models."""

    asked_tokens: int
    tokens_per_s: float
    """Per second of a processor, in the second half of the questions: before, a model may do other work."""


SCORED, UNCHANGED, SUSPECT, ANYWHERE = range(4)
"""Kinds of questions: for the score; and probes that change nothing, or the tokens behind a place."""


def _ask(
    servers: list[Server],
    batches: list[list[tuple[int, int]]],
    halves: list[list[int]],
    rows: Any,
    surprises: Any,
    size: int,
    chance: random.Random,
) -> list[list[int]]:
    """Send each process its batch of (row, kind), padded with other rows to `size`. Returns the cut of each row."""
    import torch

    cuts = []
    for server, batch, own in zip(servers, batches, halves, strict=True):
        some = [with_ending(rows, row, kind, surprises[row], chance) for row, kind in batch]
        padding = [rows[row, :-1] for row in chance.choices(own, k=size - len(batch))]
        server.ask(torch.stack([inputs for inputs, _ in some] + padding))
        cuts.append([cut for _, cut in some])
    return cuts


def _take(
    servers: list[Server], batches: list[list[tuple[int, int]]], cuts: list[list[int]], rows: Any, losses: Any
) -> list[Probe]:
    """Write the losses of the answers into `losses`, shape (rows, tokens). Returns the probes among them."""
    import torch

    probes = []
    for server, batch, of_batch in zip(servers, batches, cuts, strict=True):
        logits = server.answer()
        for (row, kind), cut, of_row in zip(batch, of_batch, logits[: len(batch)], strict=True):
            loss = torch.nn.functional.cross_entropy(of_row, rows[row, 1:], reduction="none")
            if kind == SCORED:
                losses[row] = loss
            else:
                probes.append(Probe(row, cut, loss))
    return probes


def ask_all(
    servers: list[Server], rows: Any, sealed_from: int, text: Text, chance: random.Random
) -> tuple[Any, list[Probe], Pace]:
    """Return the loss in nats of each target (rows, tokens), the probes, and the pace of the models.

    Rows from `sealed_from` on are of the sealed shard. Both kinds come in one random order and in the same batches, and
    all processes answer at the same time: a model can tell a probe from its score neither by its process, nor by the
    time, nor by the batch.
    """
    import torch

    count, length = len(rows), rows.shape[1] - 1
    order = chance.sample(range(count), count)
    halves = [order[i :: len(servers)] for i in range(len(servers))]
    losses, probes = torch.full((count, length), math.nan), list[Probe]()
    probed = PROBED_ROWS // 2 if sealed_from < count else PROBED_ROWS // 4
    shares = torch.bincount(rows.flatten(), minlength=text.vocabulary) / rows.numel()
    rarity = torch.where(text.counted(rows), -torch.log(shares[rows[:, 1:]]), -math.inf)

    def weight(row: int, kind: int) -> float:
        """Return the chance of a row to be probed, up to a factor; a suspect has that of all its places."""
        of_text = SEALED_PROBES / (count - sealed_from) if row >= sealed_from else (1 - SEALED_PROBES) / sealed_from
        return of_text * (float(odds(rarity[row] - losses[row]).sum()) if kind == SUSPECT else 1.0)

    asked = [
        questions(own, halves[1 - i] if len(servers) > 1 else [], losses, weight, chance, probed)
        for i, own in enumerate(halves)
    ]
    size = max(2, BATCH_LOGIT_BYTES // (4 * text.vocabulary * length))
    done, left, half, half_s = 0, count, 0, used_s(servers)
    while any(batches := [list(itertools.islice(one, size)) for one in asked]):
        if not half and 2 * left <= count:
            half, half_s = done, used_s(servers)
        left -= sum(kind == SCORED for batch in batches for _, kind in batch)
        done += 1
        cuts = _ask(servers, batches, halves, rows, rarity - losses, size, chance)
        probes += _take(servers, batches, cuts, rows, losses)
    worked_s = used_s(servers) - half_s
    of_batch = size * len(servers) * length
    return losses, probes, Pace(done * of_batch, (done - half) * of_batch / worked_s if worked_s > 0 else 0.0)


def used_s(servers: list[Server]) -> float:
    return sum(server.used_s() for server in servers)


def questions(
    own: list[int],
    others: list[int],
    losses: Any,
    weight: Callable[[int, int], float],
    chance: random.Random,
    probed: int = PROBED_ROWS // 2,
) -> Iterator[tuple[int, int]]:
    """Yield the rows that one process is asked about, each with its kind of question: its own, and probes of others.

    A suspect place is one that the model predicted well, so its row is chosen among those that have been scored.
    """
    left, count = list(others), min(probed, len(others))
    unchanged, suspect = min(count, max(1, int(SAME_SHARE * count))), int(SUSPECT_SHARE * count)
    probes = [UNCHANGED] * unchanged + [SUSPECT] * suspect + [ANYWHERE] * (count - unchanged - suspect)
    scored = iter(own)
    for kind in chance.sample(probes + [SCORED] * len(own), len(probes) + len(own)):
        if kind == SCORED:
            yield next(scored), kind
            continue
        known = [row for row in left if not math.isnan(losses[row, 0])] if kind == SUSPECT else []
        some, of_kind = (known, kind) if known else (left, ANYWHERE)
        row = chance.choices(some, [weight(one, of_kind) for one in some])[0]
        left.remove(row)
        yield row, kind


def odds(known: Any) -> Any:
    """Return the probability of each next token of a row over its share of the text, never 0."""
    return known[:-1].nan_to_num(-KNOWN_AT_MOST).clamp(-KNOWN_AT_MOST, KNOWN_AT_MOST).exp()


def with_ending(rows: Any, row: int, kind: int, known: Any, chance: random.Random) -> tuple[Any, int]:
    """Return a row as it is asked, and the token from which it has the ending of another row.

    A leak of the next token alone shows at the changed token alone. `known` is higher for tokens that the model knew
    better than their rarity tells: that is where a leak would be.
    """
    inputs, length = rows[row, :-1].clone(), rows.shape[1] - 1
    if kind in (SCORED, UNCHANGED):
        return inputs, length
    at = chance.randrange(length - 1)
    if kind == SUSPECT and not math.isnan(known[0]):
        at = chance.choices(range(length - 1), odds(known).tolist())[0]
    some = chance.choices(range(len(rows)), k=OTHER_ENDINGS)
    others = [other for other in some if rows[other, at + 1] != inputs[at + 1]]
    inputs[at + 1 :] = rows[others[0] if others else row, at + 1 : -1]
    return inputs, at + 1


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


def check(probes: list[Probe], losses: Any, rows: Any, text: Text, server: Server, chance: random.Random) -> None:
    """Compare what the probes found with the losses of the score. Raises ProbeFailed with the broken rule.

    Only targets that count in the score are compared: a model may give the others any loss.
    """
    import torch

    counted, length = text.counted(rows), losses.shape[1]
    moved = [torch.where(counted[one.row], one.losses - losses[one.row], 0).nan_to_num(math.inf) for one in probes]
    unchanged = [change for one, change in zip(probes, moved, strict=True) if one.cut == length]
    spread = float(losses[counted].clamp(max=LOSS_AT_MOST_GUESSES * math.log(text.vocabulary)).std()) + 1e-6
    noise = float(torch.stack(unchanged).square().mean().sqrt())
    most = (GPU_NOISE_AT_MOST_SDS if text.on_gpu else NOISE_AT_MOST_SDS) * spread
    if noise > most:
        raise ProbeFailed(_difference(server, rows, most, noise, chance))
    allowed = max(TOLERANCE_SDS * spread, NOISE_FACTOR * noise)
    rises = []
    for one, change in zip(probes, moved, strict=True):
        if one.cut == length:
            continue
        early = torch.nonzero(change[: one.cut].abs() > allowed)
        if len(early):
            raise ProbeFailed(f"attends to the future: logits at {int(early[-1])} moved when token {one.cut} changed")
        rises.append(float(change[one.cut - 1]))
    if not rises:
        return
    rise, least = sum(rises) / len(rises), MEAN_NOISE_FACTOR * noise / math.sqrt(len(rises))
    if rise > max(TOLERANCE_SDS * spread, least):
        raise ProbeFailed(f"attends to the future: losses rose by {rise:.2g} where the next token changed")


def _difference(server: Server, rows: Any, allowed: float, noise: float, chance: random.Random) -> str:
    """Return why two answers to the same rows differ, after asking further."""
    asked, answers = rows[:, :-1], []
    some, others = (asked[chance.choices(range(len(rows)), k=8)] for _ in range(2))
    others[[0, -1]] = some[[0, -1]]  # a row may be mixed with those before it alone
    for request in (some, some, others):
        server.ask(request)
        answers.append(server.answer())
    if float((answers[0] - answers[1]).abs().max()) > allowed:
        return f"answers the same rows differently: losses moved by {noise:.2g}"
    if float((answers[0][[0, -1]] - answers[2][[0, -1]]).abs().max()) > allowed:
        return f"mixes the rows of a batch: losses moved by {noise:.2g} beside other rows"
    return f"remembers earlier rows: losses moved by {noise:.2g} in another order"


if __name__ == "__main__":
    main()
