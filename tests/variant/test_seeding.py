"""How code takes a seed, and the change that adds one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cockpit.variant.seeding import find_seeding, with_seed

FIXED = [
    ("import torch\ntorch.manual_seed(42)\ntorch.cuda.manual_seed(42)\n", (2, 3)),
    ("import random\nRNG_SEED = 42\nrandom.seed(RNG_SEED)\n", (2,)),
    ("torch.manual_seed(1337 + rank)\n", (1,)),
    ("def main(seed=1):\n    set_seed(seed)\n", (1,)),
    ("key = jax.random.PRNGKey(0)\n", (1,)),
    ("key = jax.random.key(0)\n", (1,)),
    ("pl.seed_everything(seed=42, workers=True)\n", (1,)),
    ("rng = np.random.default_rng(seed=3)\n", (1,)),
    ("setup_seed(20)\nfix_seeds(1)\nset_random_seeds(2)\nset_all_seeds(3)\n", (1, 2, 3, 4)),
    ("np.random.SeedSequence(7)\n", (1,)),
    ("rng = random.Random(7)\nbits = np.random.Generator(np.random.PCG64(3))\n", (1, 2)),
    ("m = RandomForestClassifier(n_estimators=9, random_state=42)\na = train_test_split(x, random_state=3)\n", (1,)),
    ("Trainer(TrainingArguments(seed=42))\n", (1,)),
    ("MAGIC = 42\nrandom.seed(MAGIC)\n", (1,)),
    ("def main(run=3):\n    rng = np.random.default_rng(run + rank)\n", (1,)),
    ("random.seed('fixed')\n", (1,)),
    ("params = {'random_state': 7, 'num_leaves': 31}\n", (1,)),
]


@pytest.mark.parametrize(("source", "lines"), FIXED)
def test_code_that_seeds_itself_with_a_number_takes_no_seed(source: str, lines: tuple[int, ...]) -> None:
    found = find_seeding({"train.py": source})
    assert found.is_fixed
    assert found.fixed == {"train.py": lines}


@pytest.mark.parametrize(
    ("source", "variable", "option"),
    [
        ('import os\nrandom.seed(int(os.environ.get("SEED") or 1))\n', "SEED", ""),
        ('import os\nrandom.seed(int(os.environ["RUN_SEED"]))\n', "RUN_SEED", ""),
        ('import os\nrandom.seed(int(os.getenv("SEED", 3)))\n', "SEED", ""),
        ('p.add_argument("--seed", type=int, default=1)\nrandom.seed(p.parse_args().seed)\n', "", "--seed"),
        ('flags.DEFINE_integer("seed", 42, "the seed")\n', "", "--seed"),
        ('p.add_argument("--random-seed", default=1)\ntorch.manual_seed(42)\n', "", "--random-seed"),
    ],
)
def test_a_variable_or_an_option_that_takes_the_seed_is_found(source: str, variable: str, option: str) -> None:
    found = find_seeding({"train.py": source})
    assert (found.variable, found.option, found.is_fixed) == (variable, option, False)


@pytest.mark.parametrize(
    "source",
    ["x = random.random()\n", "random.seed()\n", "split(x, random_state=3)\n", "mean_over_seeds(5)\n", "d.key(0)\n",
     "random.seed(time.time_ns() % 1000)\n", "torch.manual_seed(os.getpid() + 42)\n",
     "N = 3\nrandom.seed(time.time() + N)\n", "random.Random(42).shuffle(files)\n",
     "order = np.random.default_rng(0).permutation(9)\n"],
)  # fmt: skip
def test_code_that_never_seeds_itself_is_left_to_its_measured_repeats(source: str) -> None:
    assert not find_seeding({"train.py": source}).is_fixed


@pytest.mark.parametrize(("source", "lines"), FIXED)
def test_the_change_makes_the_code_read_the_variable_and_nothing_else_changes(
    source: str, lines: tuple[int, ...]
) -> None:
    after = with_seed(source)
    found = find_seeding({"train.py": after})
    assert found.variable == "SEED"
    changed = [number for number, pair in enumerate(zip(source.splitlines(), after.splitlines(), strict=True), 1)
               if pair[0] != pair[1]]  # fmt: skip
    assert changed == list(lines)


def test_changed_code_repeats_its_own_number_without_a_seed_and_differs_with_one(tmp_path: Path) -> None:
    source = "import random\nRNG_SEED = 42\nrandom.seed(RNG_SEED)\nprint(random.random())\n"
    script = tmp_path / "train.py"
    script.write_text(with_seed(source))

    def printed(seed: str) -> str:
        environment = {**os.environ, "SEED": seed}
        done = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    plain = tmp_path / "plain.py"
    plain.write_text(source)
    by_itself = subprocess.run([sys.executable, str(plain)], capture_output=True, text=True, timeout=60, check=True)
    assert printed("") == by_itself.stdout
    assert len({printed(""), printed("1"), printed("2")}) == 3
