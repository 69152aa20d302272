"""Knobs: every literal with a name, in Python and in configuration files, found and set in place."""

import json
import textwrap

import pytest
import tomlkit
import yaml
from ruamel.yaml import YAML

from cockpit.core.metric import VAL_BPB
from cockpit.core.model import Change, Scalar, Value
from cockpit.variant.code import Rules, changed_code, code_of
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.config_outline import config_outline
from cockpit.variant.knobs.constants import find_constants, is_seed_name, set_constants

PYTHON = [
    ("n_layer = 12\n", "n_layer", 12, 6, "n_layer = 6\n"),
    ("lr, depth = 0.1, 8  # both\n", "depth", 8, 9, "lr, depth = 0.1, 9  # both\n"),
    ("cfg = Config()\ncfg.model.depth = 8\n", "cfg.model.depth", 8, 9, "cfg = Config()\ncfg.model.depth = 9\n"),
    ('hparams = {}\nhparams["lr"] = 0.1\n', "hparams.lr", 0.1, 0.2, 'hparams = {}\nhparams["lr"] = 0.2\n'),
    (
        "def get_config():\n    config = ConfigDict()\n    config.lr = 0.1\n    return config\n",
        "get_config.config.lr",
        0.1,
        0.2,
        "def get_config():\n    config = ConfigDict()\n    config.lr = 0.2\n    return config\n",
    ),
    ('config = ConfigDict({"lr": 0.1})\n', "config.lr", 0.1, 0.2, 'config = ConfigDict({"lr": 0.2})\n'),
    ("model.fit(x, batch_size=32)\n", "model.fit.batch_size", 32, 64, "model.fit(x, batch_size=64)\n"),
    (
        'model.compile(optimizer=Adam(lr=0.1), loss="mse")\n',
        "model.compile.optimizer.lr",
        0.1,
        0.2,
        'model.compile(optimizer=Adam(lr=0.2), loss="mse")\n',
    ),
    ("def main():\n    a.learn(gamma=0.9)\n", "main.a.learn.gamma", 0.9, 0.8, "def main():\n    a.learn(gamma=0.8)\n"),
    ("parser.set_defaults(lr=0.1)\n", "args.lr", 0.1, 0.2, "parser.set_defaults(lr=0.2)\n"),
    ('DEFINE_integer("depth", default=8)\n', "args.depth", 8, 9, 'DEFINE_integer("depth", default=9)\n'),
    ('LR = float(os.getenv("LR", default=0.1))\n', "env.LR", 0.1, 0.2, 'LR = float(os.getenv("LR", default=0.2))\n'),
    (
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    depth: int = 8  # blocks\n",
        "Config.depth",
        8,
        9,
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    depth: int = 9  # blocks\n",
    ),
    ("class C:\n    lr: float = 1\n", "C.lr", 1.0, 2, "class C:\n    lr: float = 2.0\n"),
    (
        "class C:\n    lr: float = field(default=0.1)\n",
        "C.lr",
        0.1,
        0.2,
        "class C:\n    lr: float = field(default=0.2)\n",
    ),
    (
        "class C:\n    def __init__(self, lr=0.1): pass\n",
        "C.__init__.lr",
        0.1,
        0.2,
        "class C:\n    def __init__(self, lr=0.2): pass\n",
    ),
    (
        "def main(a, lr=0.1, *, b: float = 1): pass\n",
        "main.b",
        1.0,
        0.5,
        "def main(a, lr=0.1, *, b: float = 0.5): pass\n",
    ),
    (
        "def main(lr: float = typer.Option(0.1, help='x')): pass\n",
        "main.lr",
        0.1,
        0.2,
        "def main(lr: float = typer.Option(0.2, help='x')): pass\n",
    ),
    (
        "def main():\n    DEPTH = 8\n    print(DEPTH)\n",
        "main.DEPTH",
        8,
        9,
        "def main():\n    DEPTH = 9\n    print(DEPTH)\n",
    ),
    ('if __name__ == "__main__":\n    depth = 8\n', "depth", 8, 9, 'if __name__ == "__main__":\n    depth = 9\n'),
    (
        "p.add_argument('-l', '--learning-rate', type=float, default=1)\n",
        "args.learning_rate",
        1.0,
        0.5,
        "p.add_argument('-l', '--learning-rate', type=float, default=0.5)\n",
    ),
    (
        "p.add_argument('--lr', dest='rate', default=0.1)\n",
        "args.rate",
        0.1,
        0.2,
        "p.add_argument('--lr', dest='rate', default=0.2)\n",
    ),
    (
        "@click.option('--depth', default=8, help='x')\ndef main(depth): pass\n",
        "args.depth",
        8,
        9,
        "@click.option('--depth', default=9, help='x')\ndef main(depth): pass\n",
    ),
    ("flags.DEFINE_float('lr', 1, 'rate')\n", "args.lr", 1.0, 2, "flags.DEFINE_float('lr', 2.0, 'rate')\n"),
    (
        "LR = float(os.environ.get('LR', '0.04'))\n",
        "env.LR",
        0.04,
        0.05,
        "LR = float(os.environ.get('LR', \"0.05\"))\n",
    ),
    ("D = int(os.environ.get('DEPTH', 8))\n", "env.DEPTH", 8, 9, "D = int(os.environ.get('DEPTH', 9))\n"),
    ("D = int(os.getenv('DEPTH') or 8)\n", "env.DEPTH", 8, 9, "D = int(os.getenv('DEPTH') or 9)\n"),
    ("c = {'lr': 3e-4, 'm': {'depth': 8}}  # all\n", "c.m.depth", 8, 9, "c = {'lr': 3e-4, 'm': {'depth': 9}}  # all\n"),
    ("c = dict(act='gelu', lr=3e-4)\n", "c.act", "gelu", "relu", 'c = dict(act="relu", lr=3e-4)\n'),
    (
        "opt = AdamW(p, lr=0.1, betas=(0.9, 0.95))\n",
        "opt.betas",
        [0.9, 0.95],
        [0.9, 0.99],
        "opt = AdamW(p, lr=0.1, betas=(0.9, 0.99))\n",
    ),
]


@pytest.mark.parametrize(("source", "name", "value", "new", "after"), PYTHON)
def test_a_literal_with_a_name_is_found_and_set(source: str, name: str, value: Value, new: Value, after: str) -> None:
    assert repr(find_constants(source)[name]) == repr(value)
    assert set_constants(source, {name: new}) == after
    assert find_constants(after)[name] == new


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    total = 0\n    for i in range(3):\n        total += i\n",
        "cfg.lr = 0.1\ncfg.lr *= 2\n",
        "def f(cfg):\n    cfg.lr = 0.1\ndef g(cfg):\n    cfg.lr = 0.2\n",
        "parameter.requires_grad = False\n",
        "torch.backends.cudnn.benchmark = True\n",
        "lr, depth = values\n",
        "def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n",
        "def f(x=1):\n    x = 2\n",
        "p.add_argument('--lr', default=0.1)\nq.add_argument('--lr', default=0.2)\n",
        "c = {'lr': 1}\nc = load()\n",
        "os.environ.get('A', 1)\nos.environ.get('A', 2)\n",
        "f = open('x', encoding='utf8')\n",
        "net.fit(batch=1)\nnet.fit(batch=2)\nplot.show(size=3)\nnet.evaluate(batch=3)\n",
        "c = {'a b': 1, 3: 2}\n",
    ],
)
def test_a_literal_that_setting_would_not_change_for_certain_is_left_alone(source: str) -> None:
    assert {name for name in find_constants(source) if name != "f.x"} == set()


def test_a_missing_name_is_answered_with_the_names_that_end_in_it() -> None:
    with pytest.raises(VariantError, match=r"did you mean args\.lr or main\.lr\?"):
        set_constants("p.add_argument('--lr', default=0.1)\ndef main(lr=0.1): pass\n", {"lr": 0.2})


@pytest.mark.parametrize("name", ["args.seed", "main.seed", "env.SEED", "config.yaml:train.seed", "Config.random_seed"])
def test_a_seed_is_known_by_the_last_part_of_its_name(name: str) -> None:
    assert is_seed_name(name)


LINES = """\
BETAS = (
    0.9,  # of the mean
    0.95,  # of the square
)
"""


def test_elements_of_a_longer_or_a_shorter_list_keep_their_comments() -> None:
    assert set_constants(LINES, {"BETAS": [0.9, 0.99, 0.5]}) == (
        "BETAS = (\n    0.9,  # of the mean\n    0.99,\n    0.5,  # of the square\n)\n"
    )
    assert find_constants(set_constants(LINES, {"BETAS": [0.8]})) == {"BETAS": [0.8]}
    without_comma = LINES.replace("0.95,", "0.95")
    assert find_constants(set_constants(without_comma, {"BETAS": [0.9, 0.95, 0.5]})) == {"BETAS": [0.9, 0.95, 0.5]}


YAML_TEXT = """\
# the run
model: {depth: 8, act: gelu}   # blocks
train:
  lr: 3e-4       # rate
  fused: True
  'betas': [0.9, 0.95]  # both
  dims:
    - 1   # one
    - 2
  name: "first run"
  layers:
  - size: 3
  base: &b 5
  same: *b
"""


def test_values_in_yaml_are_set_and_everything_else_stays() -> None:
    assert find_constants(YAML_TEXT, "c.yaml") == {
        "model.depth": 8, "model.act": "gelu", "train.lr": 3e-4, "train.fused": True, "train.betas": [0.9, 0.95],
        "train.dims": [1, 2], "train.name": "first run", "train.layers.0.size": 3, "train.base": 5,
    }  # fmt: skip
    after = set_constants(
        YAML_TEXT, {"train.lr": 1e-5, "model.depth": 9, "train.dims": [1, 3], "train.fused": False, "model.act": "on"},
        "c.yaml",
    )  # fmt: skip
    expected = YAML_TEXT.replace("3e-4", "1.0e-05").replace("depth: 8", "depth: 9").replace("- 2", "- 3")
    assert after == expected.replace("True", "False").replace("gelu", '"on"')
    for read in (yaml.safe_load(after), YAML(typ="safe").load(after)):
        assert read["train"]["lr"] == 1e-5 and read["model"] == {"depth": 9, "act": "on"}
        assert read["train"]["fused"] is False and read["train"]["dims"] == [1, 3]


@pytest.mark.parametrize("dims", [[1], [1, 2, 3]])
def test_a_list_of_another_length_in_yaml_is_read_back(dims: list[Scalar]) -> None:
    after = set_constants(YAML_TEXT, {"train.dims": dims, "train.betas": [0.5]}, "c.yaml")
    assert yaml.safe_load(after)["train"]["dims"] == dims
    assert yaml.safe_load(after)["train"]["betas"] == [0.5]
    assert "# rate" in after and "# both" in after


TOML_TEXT = """\
# the run
title = "x"  # name
[model]
depth = 8    # blocks
betas = [
  0.9,  # one
  0.95, # two
]
[[layers]]
size = 3
"""


def test_values_in_toml_are_set_and_everything_else_stays() -> None:
    assert find_constants(TOML_TEXT, "c.toml") == {
        "title": "x", "model.depth": 8, "model.betas": [0.9, 0.95], "layers.0.size": 3,
    }  # fmt: skip
    values: dict[str, Value] = {"title": "y", "model.depth": 9, "model.betas": [0.9, 0.99], "layers.0.size": 4}
    after = set_constants(TOML_TEXT, values, "c.toml")
    expected = TOML_TEXT.replace('"x"', '"y"').replace("= 8", "= 9").replace("0.95", "0.99").replace("= 3", "= 4")
    assert after == expected
    assert tomlkit.parse(set_constants(TOML_TEXT, {"model.betas": [0.5, 0.6, 0.7]}, "c.toml")).unwrap()["model"] == {
        "depth": 8, "betas": [0.5, 0.6, 0.7],
    }  # fmt: skip


JSON_TEXT = (
    '{\n\t"depth": 8, "model": {"betas": [0.9,  0.95], "name": "é"},\n  "layers": [{"on": true}], "n": null\n}\n'
)


def test_values_in_json_are_set_and_the_format_stays() -> None:
    assert find_constants(JSON_TEXT, "c.json") == {
        "depth": 8, "model.betas": [0.9, 0.95], "model.name": "é", "layers.0.on": True,
    }  # fmt: skip
    values: dict[str, Value] = {"depth": 9, "model.betas": [0.8, 0.95], "model.name": "ü", "layers.0.on": False}
    after = set_constants(JSON_TEXT, values, "c.json")
    expected = JSON_TEXT.replace("8", "9").replace("0.9, ", "0.8, ").replace("é", "ü").replace("true", "false")
    assert after == expected
    assert json.loads(set_constants(JSON_TEXT, {"model.betas": [1, 2, 3]}, "c.json"))["model"]["betas"] == [1, 2, 3]


@pytest.mark.parametrize("path", ["c.yaml", "c.toml", "c.json", "c.py"])
def test_a_file_that_cannot_be_parsed_is_refused_by_name(path: str) -> None:
    with pytest.raises(VariantError, match=rf"^{path} (is not|does not compile)"):
        find_constants("a: [1, {]\n = }", path)


def test_a_file_of_another_kind_has_no_knobs() -> None:
    assert find_constants("DEPTH = 8\n", "program.md") == {}


def test_the_seed_of_the_environment_is_found_beside_the_constants() -> None:
    source = textwrap.dedent("""\
        import os
        SEED = int(os.environ.get("SEED") or 1337)
    """)
    assert find_constants(source) == {"env.SEED": 1337}


ANCHORED = "a:\n  - 1   # one\n  - 2 # two\nb: &x 5\nc: *x\nd:\n- q\ne: &l [1, 2]\nf: !rate 3\n"


def test_an_anchor_and_a_tag_stay_where_a_value_is_set() -> None:
    after = set_constants(ANCHORED, {"b": 6, "e": [1, 3], "f": 4}, "c.yaml")
    assert after == ANCHORED.replace("&x 5", "&x 6").replace("[1, 2]", "[1, 3]").replace("!rate 3", "!rate 4")


def test_a_list_with_a_line_for_each_element_grows_by_lines() -> None:
    after = set_constants(ANCHORED, {"a": [1, 2, 3], "d": ["q", "r"]}, "c.yaml")
    assert after == ANCHORED.replace("# two\n", "# two\n  - 3\n").replace("- q\n", "- q\n- r\n")


def test_a_switch_in_words_keeps_its_pair_of_words() -> None:
    text = "amsgrad: yes  # slow\nfused: Off\nname: 'no'\n"
    assert find_constants(text, "c.yaml") == {"amsgrad": True, "fused": False, "name": "no"}
    after = set_constants(text, {"amsgrad": False, "fused": True}, "c.yaml")
    assert after == "amsgrad: no  # slow\nfused: On\nname: 'no'\n"


def test_a_value_that_is_computed_from_others_holds_no_knob() -> None:
    text = "lr: ${oc.env:LR,0.1}\nwidth: ${model.width}\ndir: '${root}/x'\nwd: 0.1\n"
    assert find_constants(text, "c.yaml") == {"wd": 0.1}


def test_a_key_that_is_twice_in_a_mapping_is_refused_with_its_line() -> None:
    with pytest.raises(VariantError, match="line 4 has the key 'lr' again"):
        find_constants("a: 1\nb:\n  lr: 1\n  lr: 2\n", "c.yaml")


def test_the_mark_of_an_editor_stays_before_a_configuration() -> None:
    for path, text in (("c.yaml", "\ufefflr: 1\r\n"), ("c.toml", "\ufefflr = 1\r\n"), ("c.json", '\ufeff{"lr": 1}')):
        assert set_constants(text, {"lr": 2}, path) == text.replace("1", "2")
        assert config_outline(text, path) == config_outline(text.replace("1", "2").removeprefix("\ufeff"), path)


STRANGE_TOML = """\
'lit' = 'a'  # no escapes
a.b = 1
"q.r" = 2
day = 1979-05-27 07:32:00
long = \"\"\"
x\"\"\"
inline = {x = 1, y = [1, 2], z = [{n = 3}]}
[[arr]]
n = 1
[arr.sub]
k = 2
[[arr]]
[arr.sub]
k = 4
"""


def test_every_place_of_a_toml_file_is_found() -> None:
    found = find_constants(STRANGE_TOML, "c.toml")
    assert found == {
        "lit": "a", "a.b": 1, "long": "x", "inline.x": 1, "inline.y": [1, 2], "inline.z.0.n": 3, "arr.0.n": 1,
        "arr.0.sub.k": 2, "arr.1.sub.k": 4,
    }  # fmt: skip
    for name, old in found.items():
        new: Value = f"{old}'" if isinstance(old, str) else [*old, 5] if isinstance(old, list) else old + 5
        assert find_constants(set_constants(STRANGE_TOML, {name: new}, "c.toml"), "c.toml") == {**found, name: new}


@pytest.mark.parametrize("path", ["c.yaml", "c.toml", "c.json"])
def test_constants_alone_are_set_without_reading_a_configuration_again(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = {"c.yaml": "lr: 1\n", "c.toml": "lr = 1\n", "c.json": '{"lr": 1}'}[path]
    base = code_of({path: text})
    changed = code_of({path: text.replace("1", "7")})
    monkeypatch.setattr("cockpit.variant.editable.config_outline", lambda *_: pytest.fail("it was read again"))
    arm = changed_code(base, Change(constants={"lr": 7}), Rules(path, (), VAL_BPB))
    assert (arm.texts, arm.fingerprint) == (changed.texts, changed.fingerprint)
