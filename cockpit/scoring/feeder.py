"""The trusted side of the scorer: computes a run's score from the logits of its model, and probes the model.

    python -I feeder.py WORK.json SCORE.json

The feeder holds the text, its targets and the byte lengths. It sends rows of tokens to the server (`server.py`), which
runs the variant's code behind a wall, and gets logits. Softmax, bytes and the score are computed here, on the public
validation text and on the sealed shard, with the prepare.py of the ledger. Rows come in a random order, and each row of
a probe is mixed with those that count: the server cannot tell them apart.

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
BATCH_LOGIT_BYTES = 32 << 20
SEALED_SHARE = 0.25
"""Tokens of the sealed shard per token of the public text."""
LEAST_SEALED_ROWS = 32
ANSWER_WITHIN_S = 120.0
LOAD_WITHIN_S = 240.0
TOLERANCE_SDS = 1e-3
"""Difference of two answers that counts as one, in standard deviations of the logits."""
NOISE_FACTOR = 4.0
"""Times the difference between two answers to the same rows that a probe allows."""
PROBE_BATCHES = 2
FINITE, CAUSAL, BATCH, TWICE = "finite", "causality", "batch independence", "same answer twice"


class ScoreProblem(Exception):
    """There is no score; the message is one sentence."""


class ProbeFailed(Exception):
    """The model breaks a rule; the message is one sentence that starts with what it does."""


class Server:
    """The variant's model in its confined process."""

    def __init__(self, work: dict[str, Any], vocabulary: int) -> None:
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # read after the process has ended
        self._vocabulary = vocabulary
        self._process = subprocess.Popen(
            work["server"],
            cwd=work["server_folder"],
            env=work["server_environment"],
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
        if shape != (count, length, self._vocabulary):
            wanted = f"{count} x {length} x {self._vocabulary}"
            raise ScoreProblem(f"its model's logits have the shape {' x '.join(map(str, shape))}, expected {wanted}")
        logits = torch.frombuffer(self._read(4 * math.prod(shape), ANSWER_WITHIN_S), dtype=torch.float32).view(shape)
        if not bool(torch.isfinite(logits).all()):
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
    """Return the score of the model that the work names. Raises ScoreProblem, or ProbeFailed."""
    sys.path.insert(0, work["code"])
    if not os.path.isfile(os.path.join(work["server_folder"], "model.pt")):
        raise ScoreProblem("the run left no model: train.py must save one where COCKPIT_MODEL says")
    server = None
    try:
        import torch

        import prepare

        torch.set_num_threads(1)
        text = Text(prepare)
        server = Server(work, text.vocabulary)
        public, of_rows = text.public()
        sealed = text.sealed(max(LEAST_SEALED_ROWS, int(len(public) * SEALED_SHARE)))
        server.wait_until_loaded()
        chance = random.SystemRandom()
        probes(server, public, chance)
        worked_s = processor_s(server.pid)
        public_bpb, public_se = bits_per_byte(server, public, text, chance)
        worked_s = processor_s(server.pid) - worked_s
        # On a GPU most of the time goes into moving logits, which says nothing about the model's pace.
        rate = len(public) * text.row_tokens / worked_s if worked_s > 0 and not text.on_gpu else 0.0
        sealed_bpb, sealed_se = bits_per_byte(server, sealed, text, chance)
    finally:
        if server is not None:
            server.close()
    return {
        "public_bpb": public_bpb,
        "public_se": public_se,
        "public_tokens": len(public) * text.row_tokens,
        "whole": of_rows == len(public),
        "sealed_bpb": sealed_bpb,
        "sealed_se": sealed_se,
        "tokens_per_s": rate,
        "passed": [FINITE, CAUSAL, BATCH, TWICE],
    }


class Text:
    """The text to score on, in rows as prepare.py packs them, each one token longer than the context."""

    def __init__(self, prepare: Any) -> None:
        self._prepare = prepare
        self._corpus = prepare.load_corpus()
        self._tokenizer = prepare.Tokenizer.load(self._corpus)
        self.vocabulary = self._tokenizer.vocab_size
        self.row_tokens = prepare.MAX_SEQ_LEN
        self.on_gpu = prepare.DEVICE == "cuda"
        self.token_bytes = self._tokenizer.token_bytes

    def public(self) -> tuple[Any, int]:
        """Return the rows of the public validation text, and their number in `evaluate_bpb`."""
        rows = self._rows(self._corpus, self._prepare.EVAL_TOKENS // self.row_tokens)
        most = max(1, LOGIT_BYTES_AT_MOST // (4 * self.vocabulary * self.row_tokens))
        # The same rows for every run, so that runs can be compared; no run can know them without the sealed shard.
        with open(self._prepare.sealed_shard(self._corpus), "rb") as file:
            seed = hashlib.sha256(b"rows" + file.read()).hexdigest()
        chosen = random.Random(seed).sample(range(len(rows)), min(most, len(rows)))
        return rows[sorted(chosen)], len(rows)

    def sealed(self, rows: int) -> Any:
        """Return rows of the sealed shard."""
        return self._rows(replace(self._corpus, val=[self._prepare.sealed_shard(self._corpus)]), rows)

    def _rows(self, corpus: Any, most: int) -> Any:
        import torch

        parts = []
        for inputs, targets, _ in self._prepare.make_dataloader(corpus, self._tokenizer, 1, "val", "cpu"):
            parts.append(torch.cat((inputs, targets[:, -1:]), dim=1))
            if len(parts) == most:
                break
        if not parts:
            raise ScoreProblem(f"{corpus.val[0]} holds no text: run prepare.py again")
        return torch.cat(parts)


def batches(rows: Any, vocabulary: int, chance: random.Random) -> Iterator[Any]:
    """Yield the rows in batches, in a random order."""
    order = list(range(len(rows)))
    chance.shuffle(order)
    size = max(2, BATCH_LOGIT_BYTES // (4 * vocabulary * rows.shape[1]))
    for start in range(0, len(order), size):
        yield rows[order[start : start + size]]


def bits_per_byte(server: Server, rows: Any, text: Text, chance: random.Random) -> tuple[float, float]:
    """Return the score on the rows, as `evaluate_bpb` defines it, and its standard error over rows."""
    import torch
    import torch.nn.functional as functional

    nats, sizes = [], []
    for batch in batches(rows, text.vocabulary, chance):
        logits, targets = server.ask(batch[:, :-1]), batch[:, 1:]
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
        size = text.token_bytes[targets]
        nats.append(torch.where(size > 0, loss, 0).sum(1, dtype=torch.float64))
        sizes.append(size.sum(1, dtype=torch.float64))
    nat, size = torch.cat(nats), torch.cat(sizes)
    ratio = nat.sum() / size.sum()
    if not math.isfinite(float(ratio)):
        raise ProbeFailed("gives logits whose loss is not finite")
    error = (nat - ratio * size).square().sum().sqrt() / size.sum()
    return float(ratio) / math.log(2), float(error) / math.log(2)


def probes(server: Server, rows: Any, chance: random.Random) -> None:
    """Try the model on rows of the public text. Raises ProbeFailed with what it does wrong.

    A row's other endings are endings of other rows, so that a probe looks like text; the row with the other ending may
    come before the row itself, so that a model that remembers answers is wrong about one of them.
    """
    import torch

    length = rows.shape[1] - 1
    for _ in range(PROBE_BATCHES):
        count = min(8, len(rows))
        chosen = chance.sample(range(len(rows)), count)
        row = rows[chosen][:, :-1]
        others = rows[[chance.randrange(len(rows)) for _ in range(count)]][:, :-1]
        cuts = [chance.randrange(1, length) for _ in range(count)]
        ending = row.clone()
        for i, cut in enumerate(cuts):
            ending[i, cut:] = others[i, cut:]
        neighbours = others.clone()
        alone = chance.randrange(count)
        neighbours[alone] = row[alone]
        requests = {"row": row, "again": row, "ending": ending, "neighbours": neighbours}
        order = list(requests)
        chance.shuffle(order)
        logits = {name: server.ask(requests[name]) for name in order}
        spread = float(logits["row"].std()) + 1e-6
        twice = float((logits["row"] - logits["again"]).abs().max())
        if twice > 0.05 * spread:
            raise ProbeFailed(f"answers the same rows differently: logits moved by {twice:.2g}")
        allowed = max(TOLERANCE_SDS * spread, NOISE_FACTOR * twice)
        apart = float((logits["row"][alone] - logits["neighbours"][alone]).abs().max())
        if apart > allowed:
            raise ProbeFailed(f"mixes the rows of a batch: a row's logits moved by {apart:.2g} beside other rows")
        moved = (logits["row"] - logits["ending"]).abs().amax(dim=2)
        for i, cut in enumerate(cuts):
            early = torch.nonzero(moved[i, :cut] > allowed)
            if len(early):
                where = int(early[-1])
                raise ProbeFailed(f"attends to the future: logits at {where} moved when token {cut} changed")


if __name__ == "__main__":
    main()
