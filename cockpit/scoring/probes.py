"""Ask the servers about the rows, for the score and as probes, and compare the two answers to a row.

Only the standard library is imported: it runs in the environment of the researched repository.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from cockpit.scoring.asking import ProbeFailed, Server

BATCH_LOGIT_BYTES = 4 << 20
"""Logits of one request. On a CPU 32 MB take a quarter longer: they do not fit into its caches."""
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
OTHER_ENDINGS = (1, 4, 16, 64)
"""Rows whose endings are looked at for one row: one of these numbers. Where its answer is known, the ending is taken
that begins with the most surprising token: a leak that reads surprising tokens alone reads it too."""
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


class Ending(NamedTuple):
    """The ending of another row, in place of a row's own."""

    cut: int
    """The place where it begins; the row's length where nothing is changed."""
    row: int
    """The row that it is taken from."""
    loss: float = math.nan
    """The loss of its first token in the answer for the score; not a number where that is not known or not counted."""


class Probe(NamedTuple):
    """A row that the other process has scored, and its losses here."""

    row: int
    cut: int
    losses: Any
    moved: float
    """The change in the loss of the first token of its ending, which this question has and that for the score had not;
    0 where it is not known."""


class Text(Protocol):
    """The text of the rows."""

    vocabulary: int
    on_gpu: bool

    def counted(self, rows: Any) -> Any:
        """Return which targets (rows, tokens) count in a score."""


class Pace(NamedTuple):
    """The tokens that all processes were asked about, and the pace of their models."""

    asked_tokens: int
    tokens_per_s: float
    """Per second of a processor, in the second half of the questions: before, a model may do other work."""


SCORED, UNCHANGED, SUSPECT, ANYWHERE = range(4)
"""Kinds of questions: for the score; and probes that change nothing, or the tokens behind a place."""


class Asked:
    """The rows that are asked about, and what is known of their answers."""

    def __init__(self, rows: Any, text: Text, chance: random.Random) -> None:
        import torch

        self.rows, self.chance = rows, chance
        self.losses = torch.full((len(rows), rows.shape[1] - 1), math.nan)
        shares = torch.bincount(rows.flatten(), minlength=text.vocabulary) / rows.numel()
        self._counted = text.counted(rows)
        self._rarity = torch.where(self._counted, -torch.log(shares[rows[:, 1:]]), -math.inf)
        self._endings: dict[tuple[int, int], Ending] = {}

    def odds(self, row: int) -> Any:
        """Return the weight of each place of a row, but the last, as a suspect one."""
        return odds(self._rarity[row] - self.losses[row])

    def score(self, row: int, logits: Any) -> None:
        """Keep the losses of a row, and choose the endings with which it may be probed."""
        self.losses[row] = losses_of(logits, self.rows[row, 1:])
        for kind in (SUSPECT, ANYWHERE):
            self._endings[row, kind] = self._new_ending(row, kind, logits)

    def ending(self, row: int, kind: int) -> Ending:
        """Return the ending with which a row is asked."""
        if kind in (SCORED, UNCHANGED):
            return Ending(self.losses.shape[1], row)
        return self._endings.get((row, kind)) or self._new_ending(row, ANYWHERE)

    def _new_ending(self, row: int, kind: int, logits: Any = None) -> Ending:
        """Choose a place, and the row whose ending follows it.

        A leak of the next token alone shows at the changed token alone. Where the model knew a token better than its
        rarity tells, a leak would be.
        """
        import torch

        places = range(self.losses.shape[1] - 1)
        at = self.chance.choices(places, self.odds(row).tolist())[0] if kind == SUSPECT else self.chance.choice(places)
        others = torch.tensor(self.chance.choices(range(len(self.rows)), k=max(OTHER_ENDINGS)))
        others = others[self.rows[others, at + 1] != self.rows[row, at + 1]][: self.chance.choice(OTHER_ENDINGS)]
        if not len(others):
            return Ending(at + 1, row)
        if logits is None:
            return Ending(at + 1, int(others[0]))
        losses = -torch.log_softmax(logits[at], 0)[self.rows[others, at + 1]]
        loss, most = losses.max(0)
        other = int(others[most])
        return Ending(at + 1, other, float(loss) if bool(self._counted[other, at]) else math.nan)

    def probe(self, row: int, ending: Ending, logits: Any) -> Probe:
        """Return the losses of a row with that ending, and of the first token of the ending."""
        moved, at = 0.0, ending.cut - 1
        if not math.isnan(ending.loss):
            loss = float(losses_of(logits[at : ending.cut], self.rows[ending.row, ending.cut : ending.cut + 1]))
            moved = loss - ending.loss if loss != ending.loss else 0.0  # a probability of zero in both
        return Probe(row, ending.cut, losses_of(logits, self.rows[row, 1:]), moved)


def losses_of(logits: Any, targets: Any) -> Any:
    """Return the loss of each target, in nats."""
    import torch

    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def _ask(
    servers: list[Server], batches: list[list[tuple[int, int]]], halves: list[list[int]], asked: Asked, size: int
) -> list[list[Ending]]:
    """Send each process its batch of (row, kind), padded with other rows to `size`. Returns the ending of each row."""

    found = []
    for server, batch, own in zip(servers, batches, halves, strict=True):
        endings = [asked.ending(row, kind) for row, kind in batch]
        rows = [row for row, _ in batch] + asked.chance.choices(own, k=size - len(batch))
        inputs = asked.rows[rows, :-1].clone()
        for one, ending in zip(inputs, endings, strict=False):
            one[ending.cut :] = asked.rows[ending.row, ending.cut : -1]
        server.ask(inputs)
        found.append(endings)
    return found


def _take(
    servers: list[Server], batches: list[list[tuple[int, int]]], endings: list[list[Ending]], asked: Asked
) -> list[Probe]:
    """Take the losses of the answers. Returns the probes among them."""
    probes = []
    for server, batch, of_batch in zip(servers, batches, endings, strict=True):
        logits = server.answer()
        for (row, kind), ending, of_row in zip(batch, of_batch, logits[: len(batch)], strict=True):
            if kind == SCORED:
                asked.score(row, of_row)
            else:
                probes.append(asked.probe(row, ending, of_row))
    return probes


def ask_all(
    servers: list[Server], rows: Any, sealed_from: int, text: Text, chance: random.Random
) -> tuple[Any, list[Probe], Pace]:
    """Return the loss in nats of each target (rows, tokens), the probes, and the pace of the models.

    Rows from `sealed_from` on are of the sealed shard. Both kinds come in one random order and in the same batches, and
    all processes answer at the same time: a model can tell a probe from its score neither by its process, nor by the
    time, nor by the batch.
    """
    count, length = len(rows), rows.shape[1] - 1
    order = chance.sample(range(count), count)
    halves = [order[i :: len(servers)] for i in range(len(servers))]
    known, probes = Asked(rows, text, chance), list[Probe]()
    probed = PROBED_ROWS // 2 if sealed_from < count else PROBED_ROWS // 4

    def weight(row: int, kind: int) -> float:
        """Return the chance of a row to be probed, up to a factor; a suspect has that of all its places."""
        of_text = SEALED_PROBES / (count - sealed_from) if row >= sealed_from else (1 - SEALED_PROBES) / sealed_from
        return of_text * (float(known.odds(row).sum()) if kind == SUSPECT else 1.0)

    asked = [
        questions(own, halves[1 - i] if len(servers) > 1 else [], known.losses, weight, chance, probed)
        for i, own in enumerate(halves)
    ]
    size = max(2, BATCH_LOGIT_BYTES // (4 * text.vocabulary * length))
    done, left, half, half_s = 0, count, 0, used_s(servers)
    while any(batches := [list(itertools.islice(one, size)) for one in asked]):
        if not half and 2 * left <= count:
            half, half_s = done, used_s(servers)
        left -= sum(kind == SCORED for batch in batches for _, kind in batch)
        done += 1
        endings = _ask(servers, batches, halves, known, size)
        probes += _take(servers, batches, endings, known)
    worked_s = used_s(servers) - half_s
    of_batch = size * len(servers) * length
    return known.losses, probes, Pace(done * of_batch, (done - half) * of_batch / worked_s if worked_s > 0 else 0.0)


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
        early = torch.nonzero(change[: one.cut].abs() > allowed).flatten().tolist()
        early += [one.cut - 1] if abs(one.moved) > allowed else []
        if early:
            raise ProbeFailed(f"attends to the future: logits at {early[-1]} moved when token {one.cut} changed")
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
