"""The trusted side of the scorer: computes a run's score from the logits of its model, and probes the model.

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
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

LOGIT_BYTES_AT_MOST = 4 << 30
"""Logits received for the public text; a larger text is scored on a part of its rows."""
BATCH_LOGIT_BYTES = 4 << 20
"""Logits of one request. On a processor 32 MB take a quarter more of its time: they leave its caches."""
SEALED_SHARE = 0.25
"""Tokens of the sealed shard per token of the public text."""
LEAST_SEALED_ROWS = 32
ROWS_PER_CHOSEN = 8
"""Rows that are packed for each one that is scored, where a part of the text is."""
ANSWER_WITHIN_S = 120.0
LOAD_WITHIN_S = 240.0
PROBED_ROWS = 128
"""Rows that the second process is asked about, as long as there are more."""
SAME_SHARE = 0.25
"""Share of them that it gets unchanged; the others get another ending."""
SUSPECTS = 8
"""Best predicted tokens of a row among which a cut is chosen."""
TOLERANCE_SDS = 1e-3
"""Difference of two losses that counts as none, in standard deviations of the losses."""
NOISE_AT_MOST_SDS = 0.02
"""Root mean square of the difference between two answers to the same rows, in the same unit, that is allowed."""
NOISE_FACTOR = 8.0
"""Times that difference by which one loss may move."""
MEAN_NOISE_FACTOR = 4.0
"""Standard errors by which the mean loss before the cuts may rise."""
PARTS = 32
"""Parts of a text whose scores are compared with another model's; LEAST_SEALED_ROWS gives each part a row."""
MARKS = 64
"""Losses at fixed places of the public text, by which two models are compared."""
MARK_STRIDE = 7919
"""Losses from one to the next: a prime, so that they lie at all distances from the start of a row."""
FINITE, CAUSAL, BATCH, TWICE, MEMORY = (
    "finite", "causality", "batch independence", "same answer twice", "no memory of earlier rows",
)  # fmt: skip


class ScoreProblem(Exception):
    """There is no score; the message is one sentence."""


class ProbeFailed(Exception):
    """The model breaks a rule; the message is one sentence that starts with what it does."""


class Server:
    """The variant's model in its confined process."""

    def __init__(self, work: dict[str, Any], folder: str) -> None:
        """Start the process. `vocabulary` is to be set before the first question."""
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # read after the process has ended
        self.vocabulary = 0
        self._process = subprocess.Popen(
            work["servers"][folder]["command"],
            cwd=folder,
            env=work["servers"][folder]["environment"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )

    def wait_until_loaded(self) -> None:
        self._check_answer(LOAD_WITHIN_S)
        self._read(4, LOAD_WITHIN_S)

    def ask(self, rows: Any) -> Any:
        """Return the logits (rows, tokens, vocabulary) of int rows (rows, tokens). Raises ScoreProblem."""
        import torch

        count, length = rows.shape
        request = struct.pack("<ii", count, length) + rows.to(torch.int32).numpy().tobytes()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ScoreProblem(self._ended()) from None
        self._check_answer(ANSWER_WITHIN_S)
        shape = struct.unpack("<iii", self._read(12, ANSWER_WITHIN_S))
        if shape != (count, length, self.vocabulary):
            wanted = f"{count} x {length} x {self.vocabulary}"
            raise ScoreProblem(f"its model's logits have the shape {' x '.join(map(str, shape))}, expected {wanted}")
        logits = torch.frombuffer(self._read(4 * math.prod(shape), ANSWER_WITHIN_S), dtype=torch.float32).view(shape)
        # Minus infinity is a probability of zero; a model may give it to tokens that never come.
        if bool((torch.isnan(logits) | (logits == math.inf)).any()):
            raise ProbeFailed("gives logits that are not finite")
        return logits

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _check_answer(self, within_s: float) -> None:
        if struct.unpack("<i", self._read(4, within_s))[0] != 1:
            (size,) = struct.unpack("<i", self._read(4, within_s))
            text = self._read(min(max(size, 0), 1000), within_s).decode(errors="replace")
            raise ScoreProblem(f"its model cannot be used: {' '.join(text.split())}")

    def _read(self, size: int, within_s: float) -> bytearray:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        data = bytearray(size)
        view, got, until = memoryview(data), 0, time.monotonic() + within_s
        while got < size:
            if not select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
                raise ScoreProblem(f"its model gave no answer within {within_s:.0f} s")
            count = os.readv(descriptor, [view[got : got + (1 << 20)]])
            if not count:
                raise ScoreProblem(self._ended())
            got += count
        return data

    def _ended(self) -> str:
        code = self._process.wait()
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - 2000))
        lines = self.errors.read().decode(errors="replace").split("\n")
        last = next((" ".join(line.split())[:300] for line in reversed(lines) if line.strip()), "it printed nothing")
        out_of_memory = code in (-9, 137) or "MemoryError" in last or "out of memory" in last
        how = "ran out of memory" if out_of_memory else f"ended with {code}"
        return f"the process that holds its model {how}: {last}"


def processor_s(pid: int) -> float:
    """Return the processor seconds of a process and its descendants; 0 where there is no /proc."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            ticks[int(name)] = int(fields[11]) + int(fields[12])
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return sum(ticks.get(one, 0) for one in found) / os.sysconf("SC_CLK_TCK")


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

    Two processes hold the model. One is asked for the score, the other for the probes, about rows that it has not seen.
    Neither knows which it is, so a model cannot answer a probe otherwise than it answers for its score.
    """
    chance = random.SystemRandom()
    folders = chance.sample(sorted(work["servers"]), len(work["servers"]))
    if not all(os.path.isfile(os.path.join(folder, "model.pt")) for folder in folders):
        raise ScoreProblem("the run left no model: train.py must save one where COCKPIT_MODEL says")
    servers: list[Server] = []
    try:
        # First, so that they import and load while the text is read here.
        servers += [Server(work, folder) for folder in folders[: 2 if work["probes"] else 1]]
        import torch

        # Last, after torch, and for prepare.py alone: a file of the variant must not be taken for a module that an
        # installed package would use if it were there.
        sys.path.append(work["code"])
        import prepare

        sys.path.remove(work["code"])
        torch.set_num_threads(1)
        text = Text(prepare) if hasattr(prepare, "sealed_shard") else UpstreamText(prepare)
        public, of_rows = text.public()
        sealed = text.sealed(max(LEAST_SEALED_ROWS, int(len(public) * SEALED_SHARE))) if work["probes"] else public[:0]
        for server in servers:
            server.vocabulary = text.vocabulary
            server.wait_until_loaded()
        worked_s = processor_s(servers[0].pid)
        losses = ask_losses(servers[0], public[:, :-1], public[:, 1:], chance)
        worked_s = processor_s(servers[0].pid) - worked_s
        public_bpb, public_se = bits_per_byte(losses, public, text)
        # On a GPU most of the time goes into moving logits, which says nothing about the model's pace.
        rate = len(public) * text.row_tokens / worked_s if worked_s > 0 and not text.on_gpu else 0.0
        found = {
            "public_bpb": public_bpb,
            "public_se": public_se,
            "public_tokens": len(public) * text.row_tokens,
            "whole": of_rows == len(public),
            "tokens_per_s": rate,
            "passed": [FINITE],
            "marks": marks(losses),
        }
        if not work["probes"]:
            return found
        sealed_losses = ask_losses(servers[0], sealed[:, :-1], sealed[:, 1:], chance)
        sealed_bpb, sealed_se = bits_per_byte(sealed_losses, sealed, text)
        probe(servers[1], torch.cat((public, sealed)), torch.cat((losses, sealed_losses)), chance)
    finally:
        for server in servers:
            server.close()
    return found | {
        "sealed_bpb": sealed_bpb,
        "sealed_se": sealed_se,
        "public_parts": parts(losses, public, text),
        "sealed_parts": parts(sealed_losses, sealed, text),
        "passed": [FINITE, CAUSAL, BATCH, TWICE, MEMORY],
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
        names = (
            [name for name in sorted(os.listdir(folder)) if name.endswith(".parquet")] if os.path.isdir(folder) else []
        )
        names = [name for name in names if not os.path.exists(os.path.join(self._prepare.DATA_DIR, name))]
        if not names:
            raise ScoreProblem(f"the sealed shard in {folder} is missing: starting a session fetches one")
        return os.path.join(folder, names[0])

    def _batches(self, corpus: Any) -> Iterator[Any]:
        self._prepare.DATA_DIR, self._prepare.VAL_FILENAME = corpus
        batches: Iterator[Any] = self._prepare.make_dataloader(self._tokenizer, 1, self.row_tokens, "val")
        return batches


def ask_losses(server: Server, inputs: Any, targets: Any, chance: random.Random) -> Any:
    """Return the loss in nats of each target (rows, tokens), asked in a random order and in batches of one size."""
    import torch
    import torch.nn.functional as functional

    count, length = inputs.shape
    order = chance.sample(range(count), count)
    size = max(2, BATCH_LOGIT_BYTES // (4 * server.vocabulary * length))
    losses = torch.empty(count, length)
    for start in range(0, count, size):
        rows = order[start : start + size]
        logits = server.ask(inputs[rows + chance.choices(range(count), k=size - len(rows))])[: len(rows)]
        loss = functional.cross_entropy(logits.flatten(0, 1), targets[rows].flatten(), reduction="none")
        losses[rows] = loss.view(len(rows), length)
    return losses


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


def probe(server: Server, rows: Any, losses: Any, chance: random.Random) -> None:
    """Ask a second process of the model about some of the rows, and compare. Raises ProbeFailed with the broken rule.

    It gets some rows unchanged, in other batches and another order. The others get the ending of another row from a cut
    on, which must change nothing before the cut. A leak of the next token alone shows at the cut alone, so half of the
    cuts lie behind a token that the model predicted best: that is where a leak would be.
    """
    import torch

    length = rows.shape[1] - 1
    chosen = chance.sample(range(len(rows)), min(PROBED_ROWS, len(rows)))
    same = max(1, int(SAME_SHARE * len(chosen)))
    rarity = -torch.log(torch.bincount(rows.flatten(), minlength=server.vocabulary) / rows.numel())
    known = torch.nan_to_num(rarity[rows[:, 1:]] - losses)
    inputs, cuts = rows[chosen][:, :-1].clone(), [length] * len(chosen)
    for i, row in enumerate(chosen[same:], same):
        at = chance.randrange(length - 1)
        if i % 2:
            at = int(chance.choice(known[row, : length - 1].topk(min(SUSPECTS, length - 1)).indices.tolist()))
        cuts[i] = at + 1
        others = [
            other for other in chance.choices(range(len(rows)), k=SUSPECTS) if rows[other, at + 1] != rows[row, at + 1]
        ]
        inputs[i, at + 1 :] = rows[others[0] if others else row, at + 1 : -1]
    moved = ask_losses(server, inputs, rows[chosen][:, 1:], chance) - losses[chosen]
    moved = torch.where(torch.isnan(moved), 0, moved)  # both infinite
    usual = losses[torch.isfinite(losses)]
    spread = float(usual.std()) + 1e-6
    noise = float(moved[:same].square().mean().sqrt())
    if noise > NOISE_AT_MOST_SDS * spread:
        raise ProbeFailed(_difference(server, rows, NOISE_AT_MOST_SDS * spread, noise, chance))
    allowed = max(TOLERANCE_SDS * spread, NOISE_FACTOR * noise)
    for i, cut in enumerate(cuts):
        early = torch.nonzero(moved[i, :cut].abs() > allowed)
        if len(early) and cut < length:
            raise ProbeFailed(f"attends to the future: logits at {int(early[-1])} moved when token {cut} changed")
    rises = torch.stack([moved[i, cut - 1] for i, cut in enumerate(cuts) if cut < length])
    rise, least = float(rises.mean()), MEAN_NOISE_FACTOR * noise / math.sqrt(len(rises))
    if rise > max(TOLERANCE_SDS * spread, least):
        raise ProbeFailed(f"attends to the future: losses rose by {rise:.2g} where the next token changed")


def _difference(server: Server, rows: Any, allowed: float, noise: float, chance: random.Random) -> str:
    """Return why two answers to the same rows differ, after asking further."""
    asked = rows[:, :-1]
    some = asked[chance.choices(range(len(rows)), k=8)]
    others = asked[chance.choices(range(len(rows)), k=8)]
    others[0] = some[0]
    first, again, beside = (server.ask(request) for request in (some, some, others))
    if float((first - again).abs().max()) > allowed:
        return f"answers the same rows differently: losses moved by {noise:.2g}"
    if float((first[0] - beside[0]).abs().max()) > allowed:
        return f"mixes the rows of a batch: losses moved by {noise:.2g} beside other rows"
    return f"remembers earlier rows: losses moved by {noise:.2g} in another order"


if __name__ == "__main__":
    main()
