"""Measure which leaks of the next token the probes find, and what they gain: dense ones scored, rare ones drawn.

    python -m benchmarks.leaks             30 seconds of training, two minutes of a processor in all

A dense leak is in every token, with a weight. A rare one reads some tokens; its share of scored runs that find it is
drawn from the losses of the trained model, with the scorer's own weights of rows and places.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import torch

from benchmarks.first_run import ROOT
from cockpit.redteam.variants import LOGITS
from cockpit.scoring import asking, feeder
from cockpit.session import corpus

DRAWS = 200
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
    honest = losses_of(source_of(place), rows)
    shares = torch.bincount(rows.flatten(), minlength=text.vocabulary) / rows.numel()
    rarity = torch.where(counted, -torch.log(shares[rows[:, 1:]]), -math.inf)

    def gain(losses: Any) -> float:
        own, usual = (float((one * counted)[: len(public)].sum()) for one in (losses, honest))
        return 1 - own / usual

    for what, leaked in rare_leaks(honest, rarity, counted).items():
        found = found_by(honest, leaked, rarity, len(public))
        print(f"{what}: gains {gain(leaked):.2%}, found by {found:.2f} of the scored runs", flush=True)
    for what, (anchor, leak) in DENSE.items():
        source = source_of(place, anchor, leak)
        failed = scored(place, what, source).get("failed", "not found")
        print(f"{what}: gains {gain(losses_of(source, rows)):.3%}, {failed}", flush=True)


def source_of(place: Path, anchor: str = "", leak: str = "") -> str:
    source = (place / "train.py").read_text()
    return source.replace(anchor, leak) if anchor else source


def losses_of(source: str, rows: Any) -> Any:
    """Return the losses of the trained model behind a train.py."""
    train = types.ModuleType("train")
    sys.modules["train"] = train
    exec(compile(source, "train.py", "exec"), vars(train))
    model, loss, found = train.load_model("model.pt").eval(), torch.nn.functional.cross_entropy, []
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


def rare_leaks(losses: Any, rarity: Any, counted: Any) -> dict[str, Any]:
    """Return the losses under leaks that read some tokens: all of them, or the most surprising ones of each row."""
    chance = torch.rand(losses.shape, generator=torch.Generator().manual_seed(0))
    ranks = torch.where(counted, losses, -1.0)[:, :-1].argsort(1, descending=True).argsort(1)
    ranks = torch.nn.functional.pad(ranks, (0, 1), value=losses.shape[1])
    unsure = torch.minimum(losses, rarity.clamp(min=0))
    return {
        "all of one row in 64": torch.where(torch.arange(len(losses))[:, None] % 64 == 5, 0.05, losses),
        "one place in a hundred": torch.where(chance < 0.01, 0.05, losses),
        "one place in two hundred": torch.where(chance < 0.005, 0.05, losses),
        "the worst place of a row": torch.where(ranks < 1, 0.05, losses),
        "the two worst, by 6 nats": torch.where(ranks < 2, losses - 6, losses),
        "the two worst, to their share of the text": torch.where(ranks < 2, unsure, losses),
        "the four worst, to their share of the text": torch.where(ranks < 4, unsure, losses),
        "the eight worst, to their share of the text": torch.where(ranks < 8, unsure, losses),
    }


def found_by(losses: Any, leaked: Any, rarity: Any, sealed_from: int) -> float:
    """Return the share of draws in which a probe is at a place that the leak reads."""
    read = (losses - leaked).abs()[:, :-1] > feeder.TOLERANCE_SDS * float(losses.std())
    odds = torch.stack([feeder.odds(one) for one in rarity - leaked])
    sealed = len(losses) - sealed_from
    of_text = torch.tensor([0.5 / sealed_from] * sealed_from + [0.5 / sealed] * sealed)
    suspects, others = (round(feeder.PROBED_ROWS * share) for share in (feeder.SUSPECT_SHARE, feeder.SAME_SHARE))
    anywhere = feeder.PROBED_ROWS - suspects - others
    generator, hits = torch.Generator().manual_seed(1), 0
    for _ in range(DRAWS):
        rows = torch.multinomial(of_text * odds.sum(1), suspects, generator=generator)
        places = torch.multinomial(odds[rows], 1, generator=generator)[:, 0]
        left = of_text.clone()
        left[rows] = 0
        more = torch.multinomial(left, anywhere, generator=generator)
        at = torch.randint(read.shape[1], (anywhere,), generator=generator)
        hits += bool(read[rows, places].any() or read[more, at].any())
    return hits / DRAWS


if __name__ == "__main__":
    main()
