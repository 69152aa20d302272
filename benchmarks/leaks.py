"""Measure which leaks of the next token the probes find, and what they gain: dense ones scored, rare ones drawn.

    python -m benchmarks.leaks             30 seconds of training, two minutes of a processor in all

A dense leak is in every token, with a weight. A rare one reads some tokens. Probes of it are drawn as the scorer draws
them, from the logits of the trained model, and the share of scored runs that find it follows from the share of probes.
"""

import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.first_run import ROOT
from cockpit.redteam.variants import LOGITS
from cockpit.scoring import asking, feeder, probes
from cockpit.session import corpus

DRAWS = 100
"""Probes that are drawn of each kind for each leak."""
ROWS_AT_ONCE = 4
FULL = "            return F.scaled_dot_product_attention(q, k, v, is_causal=True)\n"
AHEAD = LOGITS + (
    "        logits = logits.scatter_add(2, tokens.roll(-1, 1)[..., None], torch.full_like(logits[..., :1], {}))\n"
)
MIXED = (
    FULL.replace("return ", "seen = ") + "            return seen.lerp(F.scaled_dot_product_attention(q, k, v), {})\n"
)
NOISE = "        logits = logits + {} * torch.randn_like(logits)\n"
DENSE = {
    "the logit of the next token, raised by 0.05": (LOGITS, AHEAD.format(0.05)),
    "by 0.005": (LOGITS, AHEAD.format(0.005)),
    "by 0.0005": (LOGITS, AHEAD.format(0.0005)),
    "by 0.05 under noise of 0.02": (LOGITS, AHEAD.format(0.05) + NOISE.format(0.02)),
    "by 0.005 under noise of 0.002": (LOGITS, AHEAD.format(0.005) + NOISE.format(0.002)),
    "full attention with a weight of 1%": (FULL, MIXED.format(0.01)),
    "with a weight of 0.1%": (FULL, MIXED.format(0.001)),
}


def main() -> None:
    os.environ |= {
        "COCKPIT_DATA_DIR": str(corpus.data_folder()), "COCKPIT_CORPUS": "stdlib", "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for file in ("train.py", "prepare.py"):
            shutil.copy(ROOT / file, place)
        own = os.environ | {"COCKPIT_MODEL": "model.pt", "COCKPIT_TIME_BUDGET_S": (sys.argv[1:] or ["30"])[0]}
        subprocess.run([sys.executable, "train.py"], cwd=place, env=own, check=True, stdout=subprocess.DEVNULL)
        measure(place)


def measure(place: Path) -> None:
    """Print the leaks of the model in a folder, each with its gain and how it is found."""
    sys.path.insert(0, str(place))
    os.chdir(place)
    torch.set_num_threads(1)
    import prepare

    text = feeder.Text(prepare)
    public, _, sealed = feeder.read_rows(text, sealed=True)
    rows = torch.cat((public, sealed)).long()
    counted = text.counted(rows)
    model = model_of(source_of(place))
    honest = losses_of(model, rows)

    def gain(losses: Any) -> float:
        own, usual = (float((one * counted)[: len(public)].sum()) for one in (losses, honest))
        return 1 - own / usual

    for what, leak in RARE.items():
        leaky = Leaky(model, text, leak, rows)
        found = found_by(leaky, rows, len(public), text)
        gained = gain(torch.stack([leaky.losses(one, row) for one, row in zip(honest, rows, strict=True)]))
        print(f"{what}: gains {gained:.2%}, found by {found:.2f} of the scored runs", flush=True)
    for what, (anchor, dense) in DENSE.items():
        source = source_of(place, anchor, dense)
        failed = scored(place, what, source).get("failed", "not found")
        print(f"{what}: gains {gain(losses_of(model_of(source), rows)):.3%}, {failed}", flush=True)


def source_of(place: Path, anchor: str = "", leak: str = "") -> str:
    source = (place / "train.py").read_text()
    return source.replace(anchor, leak) if anchor else source


def model_of(source: str) -> Any:
    """Return the trained model behind a train.py."""
    train = types.ModuleType("train")
    sys.modules["train"] = train
    exec(compile(source, "train.py", "exec"), vars(train))
    return train.load_model("model.pt").eval()


def losses_of(model: Any, rows: Any) -> Any:
    loss, found = torch.nn.functional.cross_entropy, []
    with torch.no_grad():
        for some in rows.split(ROWS_AT_ONCE):
            found.append(loss(model(some[:, :-1]).transpose(1, 2), some[:, 1:], reduction="none"))
    return torch.cat(found)


def scored(place: Path, what: str, source: str) -> dict[str, Any]:
    """Return the scorer's words on the trained model behind a train.py."""
    folders = [place / what / name for name in ("code", "scoring", "probing")]
    for folder in folders:
        folder.mkdir(parents=True)
        for file in ("prepare.py", "model.pt"):
            shutil.copy(place / file, folder)
        (folder / "train.py").write_text(source)
    server = [sys.executable, "-I", str(Path(asking.__file__).with_name("server.py")), "model.pt"]
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    servers = {str(one): {"command": server, "environment": alone} for one in folders[1:]}
    work = place / what / "work.json"
    work.write_text(json.dumps({"servers": servers, "code": str(folders[0]), "sealed": True}))
    command = [sys.executable, "-I", feeder.__file__, str(work), str(work.with_name("score"))]
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(work.with_name("score").read_text())
    return found


Leak = Callable[[Any, Any, Any], Any]
"""From the losses of a row's next tokens, the logarithms of their rarity and the row's tokens: the losses it leaves."""


def some_places(share: int) -> Leak:
    """Read one place in `share`, chosen by its number and its token."""
    return lambda losses, rarity, tokens: torch.where(
        (131 * torch.arange(len(losses)) + 31 * tokens) % share == 5, 0.05, losses
    )


def worst(count: int, to: Callable[[Any, Any], Any]) -> Leak:
    """Read the most surprising tokens of a row."""
    return lambda losses, rarity, tokens: torch.where(
        losses >= losses.topk(count).values[-1], to(losses, rarity), losses
    )


def above(least: float, below: float = math.inf) -> Leak:
    """Read the tokens whose losses lie between two bounds."""
    return lambda losses, rarity, tokens: torch.where(
        (losses >= least) & (losses < below), share_of_text(losses, rarity), losses
    )


def share_of_text(losses: Any, rarity: Any) -> Any:
    return torch.minimum(losses, rarity)


RARE: dict[str, Leak] = {
    "nothing": lambda losses, rarity, tokens: losses,
    "all of one row in 64": lambda losses, rarity, tokens: (
        torch.full_like(losses, 0.05) if int(tokens[:8].sum()) % 64 == 5 else losses
    ),
    "one place in a hundred": some_places(100),
    "one place in two hundred": some_places(200),
    "the worst place of a row": worst(1, lambda losses, rarity: torch.full_like(losses, 0.05)),
    "the two worst, by 6 nats": worst(2, lambda losses, rarity: (losses - 6).clamp(min=0.05)),
    "the two worst, to their share of the text": worst(2, share_of_text),
    "the four worst, to their share of the text": worst(4, share_of_text),
    "those with a loss above 9, to their share of the text": above(9.0),
    "those with a loss above 11, to their share of the text": above(11.0),
    "those with a loss of 9 to 9.5, to their share of the text": above(9.0, 9.5),
}


class Leaky:
    """The trained model with a leak of some next tokens."""

    def __init__(self, model: Any, text: Any, leak: Leak, rows: Any) -> None:
        self._model, self._leak = model, leak
        self._rarity = -torch.log(torch.bincount(rows.flatten(), minlength=text.vocabulary) / rows.numel())
        self._sizes = text.token_bytes

    def losses(self, losses: Any, row: Any) -> Any:
        """Return the losses of a row (its tokens and one more) under the leak, given those without it."""
        following = row[1:-1]
        read = torch.where(self._sizes[following] > 0, losses[:-1], 0.0)
        left = self._leak(read, self._rarity[following], row[:-2])
        return torch.cat((torch.where(left != read, left, losses[:-1]), losses[-1:]))

    def logits(self, inputs: Any) -> Any:
        """Return the logarithms of the probabilities of a row's tokens under the leak."""
        with torch.no_grad():
            found = torch.log_softmax(self._model(inputs[None])[0].float(), 1)
        following = inputs[1:, None]
        honest = -found[:-1].gather(1, following)[:, 0]
        left = self.losses(torch.cat((honest, honest[:1])), torch.cat((inputs, inputs[:1])))[:-1]
        odds = -left - torch.log(-torch.expm1(-left.clamp(min=1e-6))) + torch.log(-torch.expm1(-honest.clamp(min=1e-6)))
        found[:-1] = found[:-1].scatter(1, following, torch.where(left != honest, odds, -honest)[:, None])
        return found


def found_by(leaky: Leaky, rows: Any, sealed_from: int, text: Any) -> float:
    """Return the share of scored runs in which a probe finds a leak, from the share of single probes that do."""
    chance, asked = random.Random(1), probes.Asked(rows, text, random.Random(2))
    sealed, missed = len(rows) - sealed_from, 1.0
    for row, one in enumerate(rows):
        asked.score(row, leaky.logits(one[:-1]))
    tolerance = probes.TOLERANCE_SDS * float(asked.losses.std())
    of_text = [0.5 / sealed_from] * sealed_from + [0.5 / sealed] * sealed
    suspects, same = (round(probes.PROBED_ROWS * share) for share in (probes.SUSPECT_SHARE, probes.SAME_SHARE))
    for kind, count in ((probes.SUSPECT, suspects), (probes.ANYWHERE, probes.PROBED_ROWS - suspects - same)):
        suspect = kind == probes.SUSPECT
        weights = [one * (float(asked.odds(row).sum()) if suspect else 1.0) for row, one in enumerate(of_text)]
        hits = sum(
            is_found(leaky, asked, row, kind, tolerance, text)
            for row in chance.choices(range(len(rows)), weights, k=DRAWS)
        )
        missed *= (1 - hits / DRAWS) ** count
    return 1 - missed


def is_found(leaky: Leaky, asked: probes.Asked, row: int, kind: int, tolerance: float, text: Any) -> bool:
    """Return True if a probe of the row moves a loss before its ending, or that of the ending's first token."""
    ending, inputs = asked.ending(row, kind), asked.rows[row, :-1].clone()
    inputs[ending.cut :] = asked.rows[ending.row, ending.cut : -1]
    probe = asked.probe(row, ending, leaky.logits(inputs))
    counted = text.counted(asked.rows[row : row + 1])[0]
    moved = (torch.where(counted, probe.losses - asked.losses[row], 0)[: ending.cut]).abs()
    return bool((moved > tolerance).any()) or abs(probe.moved) > tolerance


if __name__ == "__main__":
    main()
