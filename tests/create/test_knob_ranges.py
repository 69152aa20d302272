"""The ranges of a new session's knobs: from cockpit.toml, from the code's comments, from the machine's preset."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cockpit.core.knobs import KnobRange
from cockpit.core.model import Value
from cockpit.create.knob_ranges import KnobSettingError, knob_ranges, preset_ranges, varied_sentence
from cockpit.science.search_space import Choice, Ladder, Real, fit_overrides, search_space, value_at
from cockpit.session.research_settings import KnobSetting
from cockpit.session.setting_types import SettingsError
from cockpit.session.settings import read_settings
from cockpit.variant.knobs.constants import find_constants
from cockpit.variant.knobs.knob_hints import stated_ranges

SOURCE = """\
n_layer = 12  # 2 to 16
activation = "gelu"  # relu | gelu | silu
learning_rate = 1e-3  # between 1e-4 and 1e-2
grad_clip = 1.0  # 5 to 9 in another paper
eval_interval = 100
max_iters = 5000
warmup_steps = 10  # kernels compile here, not timed
dropout = 0.1
parser.add_argument("--optimizer", default="adam", choices=["adam", "sgd"])
seed = 42
"""
ROOT = Path(__file__).parents[2]


def ranges(settings: Mapping[str, KnobSetting | str], source: str = SOURCE) -> dict[str, KnobRange]:
    return knob_ranges({"train.py": source}, find_constants(source), settings)


def test_a_comment_or_an_options_choices_state_a_range() -> None:
    assert stated_ranges(SOURCE, "train.py") == {
        "n_layer": KnobRange(low=2, high=16),
        "activation": KnobRange(choices=("relu", "gelu", "silu")),
        "learning_rate": KnobRange(low=1e-4, high=1e-2),
        "args.optimizer": KnobRange(choices=("adam", "sgd")),
    }


def test_search_varies_what_trains_within_its_range() -> None:
    space = search_space(find_constants(SOURCE), ranges({}))
    assert list(space) == ["n_layer", "activation", "learning_rate", "grad_clip", "dropout", "args.optimizer"]
    assert space["n_layer"] == Ladder(tuple(range(2, 17)))
    assert space["learning_rate"] == Real(1e-4, 1e-2, log=True)
    assert space["activation"] == Choice(("gelu", "relu", "silu"))


@pytest.mark.parametrize(
    ("source", "seed"),
    [
        ("LR = 0.1\nMAGIC = 42\nrandom.seed(MAGIC)\n", "MAGIC"),
        ("LR = 0.1\ndef main(run=3):\n    rng = np.random.default_rng(run)\n", "main.run"),
        ("LR = 0.1\nparams = {'random_state': 7}\n", "params.random_state"),
    ],
)
def test_search_varies_no_knob_that_the_code_seeds_itself_with(source: str, seed: str) -> None:
    constants = find_constants(source)
    assert seed in constants and list(search_space(constants, ranges({}, source))) == ["LR"]


TWO_LINES = 2 * 66
"""Characters of two lines of the talk at 80 columns."""
VARIED = "knobs; `:knob` lists them all"


def test_the_note_counts_the_knobs_and_names_the_command_that_lists_them() -> None:
    assert varied_sentence(find_constants(SOURCE), ranges({})) == f"Search varies 6 of 10 {VARIED}"


def test_the_note_shows_how_to_give_a_range_that_no_name_implies() -> None:
    constants: dict[str, Value] = {"LR": 0.1, "DEPTH": 8, "DROPOUT": 0.1, "SEED": 1, "size": [-2]}
    assert (
        varied_sentence(constants, {}) == f"Search varies 3 of 5 {VARIED}. 1 has no range: `:knob NAME 1..9` sets one"
    )
    constants["reduction"] = "mean"
    said = varied_sentence(constants, {})
    assert said == f"Search varies 3 of 6 {VARIED}. 2 have no range: `:knob NAME 1..9` sets one"
    assert len(said) < TWO_LINES


def test_the_note_names_the_varied_knobs_that_may_measure_and_how_to_exclude_one() -> None:
    constants: dict[str, Value] = {"BLOCK": 8, "SAMPLES": 100, "LR": 0.1, "EVAL_BATCHES": 4}
    doubt = "may measure rather than train: `:knob NAME exclude` leaves one out"
    assert varied_sentence(constants, {}) == f"Search varies 3 of 4 {VARIED}. BLOCK, SAMPLES {doubt}"
    said = varied_sentence(constants, {"BLOCK": KnobRange(low=4, high=16), "SAMPLES": KnobRange(excluded="said so")})
    assert doubt not in said
    assert f"A, B and 8 more {doubt}" in varied_sentence(dict.fromkeys("ABCDEFGHIJ", 8), {})


def test_a_persons_setting_comes_before_comment_and_name(tmp_path: Path) -> None:
    (tmp_path / "cockpit.toml").write_text(
        "[research.knobs]\nn_layer = {low = 4, high = 6}\nactivation = 'exclude'\ndropout = 'pin'\n"
        "eval_interval = {choices = [50, 100]}\n"
    )
    space = search_space(find_constants(SOURCE), ranges(read_settings(tmp_path).research.knobs))
    assert space["n_layer"] == Ladder((4, 5, 6))
    assert space["eval_interval"] == Ladder((50, 100))
    assert not {"activation", "dropout"} & set(space)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("n_layers = 'pin'", "did you mean n_layer?"),
        ("n_layer = {low = 9, high = 3}", "low 9 is not below high 3"),
        ("n_layer = {}", "give low, high or choices"),
        ("activation = {low = 1, high = 3}", "leaves no value to search"),
    ],
)
def test_a_setting_that_does_not_fit_the_code_is_refused(tmp_path: Path, setting: str, sentence: str) -> None:
    (tmp_path / "cockpit.toml").write_text(f"[research.knobs]\n{setting}\n")
    with pytest.raises(KnobSettingError) as refused:
        ranges(read_settings(tmp_path).research.knobs)
    assert sentence in str(refused.value)


def test_a_misspelt_key_of_a_range_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "cockpit.toml").write_text("[research.knobs]\nn_layer = {lo = 9}\n")
    with pytest.raises(SettingsError, match=r"there is no setting 'lo' in \[research\.knobs"):
        read_settings(tmp_path)


def test_a_default_that_every_caller_overrides_is_left_alone() -> None:
    source = (
        "class Config:\n    n_layer: int = 12\n    dropout: float = 0.1\n"
        "def fit(model, lr=0.1, momentum=0.9): pass\n"
        "config = Config(n_layer=DEPTH)\nfit(None, lr=LR)\nfit(None)\n"
    )
    space = search_space(find_constants(source), ranges({}, source))
    assert list(space) == ["Config.dropout", "fit.lr", "fit.momentum"]


def test_limits_of_a_definition_cut_the_usual_range_and_widen_nothing() -> None:
    source = (
        "class C(BaseModel):\n    depth: int = Field(8, ge=1, le=10)\n    lr: float = Field(1e-3, gt=0, le=2e-3)\n"
        "    dropout: float = Field(0.1, ge=0, le=1)\n    n_heads: int = Field(4, ge=1, le=4)\n"
    )
    found = ranges({}, source)
    assert set(found) == {"C.depth", "C.lr", "C.n_heads"}
    space = search_space(find_constants(source), found)
    assert space["C.depth"] == Ladder((4, 5, 6, 7, 8, 9, 10))
    assert space["C.lr"] == Real(1e-3 / 8, 2e-3, log=True)
    assert space["C.dropout"] == Real(0.0, 0.3)
    assert space["C.n_heads"] == Ladder((2, 4))


def test_numbers_of_unknown_names_are_searched_where_too_few_are_known() -> None:
    space = search_space({"fast": 12, "slow": 26, "alpha": 0.3, "PORT": 8080, "verbose": 1, "flag": True})
    assert set(space) == {"fast", "slow", "alpha"}


def test_search_proposes_no_batch_that_the_small_preset_refuses() -> None:
    constants = find_constants((ROOT / "train.py").read_text())
    bounds = preset_ranges(ROOT, "cpu-small", constants)
    space = search_space(constants, bounds)
    for rows in range(20):
        for total in range(20):
            moved: dict[str, Value] = {
                "DEVICE_BATCH_SIZE": value_at(space["DEVICE_BATCH_SIZE"], rows / 19),
                "TOTAL_BATCH_SIZE": value_at(space["TOTAL_BATCH_SIZE"], total / 19),
            }
            batch = {**constants, **fit_overrides(constants, moved)}
            rows_run, total_run = batch["DEVICE_BATCH_SIZE"], batch["TOTAL_BATCH_SIZE"]
            assert isinstance(rows_run, int) and rows_run % 64 == 0 and rows_run > 0
            assert isinstance(total_run, int) and total_run % (rows_run * 8 * 256) == 0
    assert preset_ranges(ROOT, "cuda", constants) == {}
