"""The trusted side of one of the scorer's servers: starts it, asks it for logits, and measures its work.

Only the standard library is imported: it runs in the environment of the researched repository.
"""

import math
import os
import resource
import select
import struct
import subprocess
import tempfile
import time
from typing import IO, Any

WORK_WITHIN_S = 120.0
"""Processor seconds that a model may take for an answer, and to load. The load of the machine does not count."""
ANSWER_WITHIN_S = 600.0
"""Seconds on the clock that it may take: it may wait for a processor, or for nothing."""
LOOK_EVERY_S = 1.0
PADDING_AT_MOST = 2
"""Times the vocabulary that a model may have as its own: kernels like round numbers."""
WRITTEN_BYTES_AT_MOST = 64 << 20
"""Size of a file that the process of a model may write, its messages included."""


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
        self._shape = (0, 0)
        self.process = subprocess.Popen(
            work["servers"][folder]["command"],
            cwd=folder,
            env=work["servers"][folder]["environment"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN_BYTES_AT_MOST,) * 2),
        )

    def wait_until_loaded(self) -> None:
        self._check_answer()
        self._read(4)

    def ask(self, rows: Any) -> None:
        """Send int rows (rows, tokens). Raises ScoreProblem."""
        import torch

        self._shape = rows.shape
        request = struct.pack("<ii", *rows.shape) + rows.to(torch.int32).numpy().tobytes()
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(request)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise ScoreProblem(self._ended()) from None

    def answer(self) -> Any:
        """Return the logits (rows, tokens, vocabulary) of the rows that were asked last. Raises ScoreProblem.

        A model may have more tokens than there are: it gives them a probability, and they never come.
        """
        import torch

        count, length = self._shape
        self._check_answer()
        shape = struct.unpack("<iii", self._read(12))
        fits = self.vocabulary <= shape[2] <= PADDING_AT_MOST * self.vocabulary
        if shape[:2] != (count, length) or not fits:
            wanted = f"{count} x {length} x {self.vocabulary}"
            raise ScoreProblem(f"its model's logits have the shape {' x '.join(map(str, shape))}, expected {wanted}")
        logits = torch.frombuffer(self._read(4 * math.prod(shape)), dtype=torch.float32).view(shape)
        # Minus infinity is a probability of zero; a model may give it to tokens that never come.
        if bool((torch.isnan(logits) | (logits == math.inf)).any()):
            raise ProbeFailed("gives logits that are not finite")
        return logits

    def used_s(self) -> float:
        """Return the processor seconds of the process and its descendants; 0 if there is no /proc."""
        ticks: dict[int, int] = {}
        children: dict[int, list[int]] = {}
        for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                        fields = file.read().rpartition(")")[2].split()
                except OSError:
                    continue
                ticks[int(name)] = sum(map(int, fields[11:15]))  # with those of its children that have ended
                children.setdefault(int(fields[1]), []).append(int(name))
        found = [self.process.pid]
        for one in found:
            found.extend(children.get(one, []))
        return sum(ticks.get(one, 0) for one in found) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _check_answer(self) -> None:
        if struct.unpack("<i", self._read(4))[0] != 1:
            (size,) = struct.unpack("<i", self._read(4))
            text = self._read(min(max(size, 0), 1000)).decode(errors="replace")
            raise ScoreProblem(f"its model cannot be used: {' '.join(text.split())}")

    def _read(self, size: int) -> bytearray:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        data = bytearray(size)
        view, got, until, used_s = memoryview(data), 0, time.monotonic() + ANSWER_WITHIN_S, -1.0
        while got < size:
            if not select.select([descriptor], [], [], LOOK_EVERY_S)[0]:
                used_s = self.used_s() if used_s < 0 else used_s
                if self.used_s() - used_s > WORK_WITHIN_S:
                    raise ScoreProblem(f"its model gave no answer within {WORK_WITHIN_S:.0f} s of a processor")
                if time.monotonic() > until:
                    raise ScoreProblem(f"its model gave no answer within {ANSWER_WITHIN_S:.0f} s")
                continue
            count = os.readv(descriptor, [view[got : got + (1 << 20)]])
            if not count:
                raise ScoreProblem(self._ended())
            got += count
        return data

    def _ended(self) -> str:
        code = self.process.wait()
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - 2000))
        lines = self.errors.read().decode(errors="replace").split("\n")
        last = next((" ".join(line.split())[:300] for line in reversed(lines) if line.strip()), "it printed nothing")
        out_of_memory = code in (-9, 137) or "MemoryError" in last or "out of memory" in last
        how = "ran out of memory" if out_of_memory else f"ended with {code}"
        return f"the process that holds its model {how}: {last}"
