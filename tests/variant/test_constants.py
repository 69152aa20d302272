import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.model import Scalar, Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import find_constants, is_seed_name, overrides, set_constants
from tests.variant.conftest import SCRIPT

NAMES = ["DEPTH", "LR", "BETAS", "PATTERN", "COMPILE", "LIST", "T", "Ä"]
ENDS = st.sampled_from(["\n", "\r\n", "\r"])

ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.one_of(st.booleans(), ints, floats, texts)
lists = st.one_of(*(st.lists(kind, min_size=1, max_size=4) for kind in (ints, floats, texts, st.booleans())))


@st.composite
def another(draw: st.DrawFn, value: Value) -> Value:
    """Return a value of the same type."""
    kinds: dict[type, st.SearchStrategy[Scalar]] = {bool: st.booleans(), int: ints, float: floats, str: texts}
    if isinstance(value, list):
        return draw(st.lists(kinds[type(value[0])], max_size=4))
    return draw(kinds[type(value)])


@st.composite
def programs(draw: st.DrawFn) -> tuple[str, dict[str, Value]]:
    """Return a program with constants between other things, in one style of line endings, and what they are."""
    end = draw(ENDS)
    constants = draw(st.dictionaries(st.sampled_from(NAMES[:-1]), st.one_of(scalars, lists), min_size=1))
    lines = ["# Größe 🎛 of it", '"""Döc"""']
    for name, value in constants.items():
        spelled = repr(value)
        if isinstance(value, list) and draw(st.booleans()):
            spelled = repr(tuple(value))
        around = draw(st.sampled_from(["{n} = {v}", "{n}: object = {v}  # ü {n}", "ä = 'ö'; {n} = ({v}) ; _x = 1"]))
        lines.append(around.format(n=name, v=spelled))
        lines.append(draw(st.sampled_from(["", "def f():\f", "\tpass  # 8", "_x = '''8"])))
        if lines[-1] == "def f():\f":
            lines.append("    DEPTH = 3")
        elif lines[-1] == "\tpass  # 8":
            lines[-1] = "if x if 'x' in globals() else 1:" + end + "\tpass  # 8"
        elif lines[-1] == "_x = '''8":
            lines.append("DEPTH = 9'''")
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return mark + end.join(lines) + end, constants


@given(programs())
def test_every_constant_is_found_with_its_value(program: tuple[str, dict[str, Value]]) -> None:
    source, constants = program
    assert repr(_at_top(find_constants(source))) == repr(constants)


@given(programs(), st.data())
def test_setting_constants_changes_only_their_values(
    program: tuple[str, dict[str, Value]], data: st.DataObject
) -> None:
    source, constants = program
    changed = data.draw(st.sets(st.sampled_from(sorted(constants))))
    values = {name: data.draw(another(constants[name])) for name in sorted(changed)}
    after = set_constants(source, values)
    assert repr(_at_top(find_constants(after))) == repr({**constants, **values})
    assert _without_values(after) == _without_values(source)
    assert _kinds(after) == _kinds(source)


def _at_top(constants: dict[str, Value]) -> dict[str, Value]:
    """Return the constants that are not a function's: programs hold a function with one."""
    return {name: value for name, value in constants.items() if "." not in name}


def _without_values(source: str) -> str:
    """Return the text with each constant's value taken out, found without the code under test."""
    text = source.removeprefix("\ufeff")
    lines = [line.encode() for line in re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)]
    for node in reversed(ast.parse(text).body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id in NAMES and isinstance(node, ast.Assign | ast.AnnAssign):
            value = node.value
            assert value is not None and value.end_col_offset is not None
            assert value.lineno == value.end_lineno
            line = lines[value.lineno - 1]
            lines[value.lineno - 1] = line[: value.col_offset] + line[value.end_col_offset :]
    return b"".join(lines).decode()


def _kinds(source: str) -> list[type]:
    tree = ast.parse(source.removeprefix("\ufeff"))
    values = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    return [type(value) for value in values if isinstance(value, ast.Tuple | ast.List)]


@given(programs())
def test_setting_the_current_value_leaves_the_text_unchanged(
    program: tuple[str, dict[str, Value]],
) -> None:
    source, constants = program
    assert set_constants(source, constants) == source


def test_the_constants_of_a_script_in_upstreams_style_are_found() -> None:
    assert find_constants(SCRIPT) == {
        "Config.n_layer": 12,
        "Config.window_pattern": "SSSL",
        "ASPECT_RATIO": 64,
        "HEAD_DIM": 128,
        "WINDOW_PATTERN": "SSSL",
        "TOTAL_BATCH_SIZE": 524288,
        "EMBEDDING_LR": 0.6,
        "MATRIX_LR": 0.04,
        "ADAM_BETAS": [0.8, 0.95],
        "WARMUP_RATIO": 0.0,
        "COMPILE": True,
        "FLOOR": -1,
        "SCHEDULE": [1.0, 0.5],
        "DEPTH": 8,
        "t_start": 0.0,
    }


def test_lower_case_constants_are_found_and_set() -> None:
    source = "import os\nn_layer = 12\nlearning_rate = 6e-4\nnumLayers = 3\n"
    assert find_constants(source) == {"n_layer": 12, "learning_rate": 6e-4, "numLayers": 3}
    assert "learning_rate = 0.001\n" in set_constants(source, {"learning_rate": 1e-3})
    with pytest.raises(VariantError, match=r"did you mean learning_rate\?"):
        set_constants(source, {"learn_rate": 1e-3})


def test_private_and_rebound_lower_case_names_are_not_constants() -> None:
    source = "__version__ = 1\n_hidden = 2\nstep = 0\nloss = 0.0\nwhile step < 3:\n    step += 1\n    loss = 1.0\n"
    assert find_constants(source) == {}


@pytest.mark.parametrize("name", ["seed", "SEED", "RNG_SEED", "random_seed", "manual_seed", "SEED_OFFSET"])
def test_a_seed_is_known_by_its_name(name: str) -> None:
    assert is_seed_name(name)


@pytest.mark.parametrize("name", ["SEEDLINGS", "DEPTH", "exceed", "speed"])
def test_another_name_is_not_a_seed(name: str) -> None:
    assert not is_seed_name(name)


def test_comments_beside_constants_and_between_elements_stay() -> None:
    after = set_constants(
        SCRIPT,
        {"TOTAL_BATCH_SIZE": 2**18, "ADAM_BETAS": [0.9, 0.95], "SCHEDULE": [1, 0.25], "MATRIX_LR": 0.02},
    )
    assert "TOTAL_BATCH_SIZE = 262144 # ~524K tokens per step\n" in after
    assert "ADAM_BETAS = (0.9, 0.95) # beta1, beta2\n" in after
    assert "    1.0,  # at the start\n    0.25,  # half way\n" in after
    assert "MATRIX_LR = 0.02        # Muon — für Matrizen\n" in after


def test_text_is_written_in_double_quotes() -> None:
    assert 'WINDOW_PATTERN = "SL" # sliding' in set_constants(SCRIPT, {"WINDOW_PATTERN": "SL"})


def test_a_list_given_for_a_tuple_is_written_as_a_tuple_of_any_length() -> None:
    assert "ADAM_BETAS = (0.5,) #" in set_constants(SCRIPT, {"ADAM_BETAS": [0.5]})
    assert "ADAM_BETAS = () #" in set_constants(SCRIPT, {"ADAM_BETAS": []})
    assert set_constants("B = 0.8, 0.9\n", {"B": [1, 2, 3]}) == "B = (1.0, 2.0, 3.0)\n"


def test_an_integer_for_a_float_is_written_as_a_float() -> None:
    assert "WARMUP_RATIO = 1.0\n" in set_constants(SCRIPT, {"WARMUP_RATIO": 1})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2**19", 524288),
        ("6 * 3", 18),
        ("-1", -1),
        ("1 << 4", 16),
        ("3 * 2**17", 393216),
        ("989.5e12", 989.5e12),
        ("1 / 4", 0.25),
        ("'S' * 3 + 'L'", "SSSL"),
        ("'SS' 'SL'", "SSSL"),
        ("0x10", 16),
        ("1_000", 1000),
        ("(2**2, -1)", [4, -1]),
    ],
)
def test_arithmetic_on_literals_is_a_constant(expression: str, value: Value) -> None:
    assert find_constants(f"NAME = {expression}\n") == {"NAME": value}


@pytest.mark.parametrize(
    "expression",
    [
        "10**10**10",
        "1 << 10**9",
        "'a' * 10**9",
        "2**64",
        "1e999",
        "1 / 0",
        "(-1)**0.5",
        "None",
        "b'x'",
        "3j",
        "{}",
        "((1, 2), 3)",
        "OTHER",
        "int('three')",
        "f'{1}'",
        "[*range(3)]",
        "'\\ud800'",
    ],
)
def test_huge_values_and_non_literals_are_not_constants(expression: str) -> None:
    assert find_constants(f"NAME = {expression}\n") == {}


def test_the_last_of_two_assignments_counts_and_is_rewritten() -> None:
    source = "DEPTH = 4\nx = DEPTH\nDEPTH = 8\n"
    assert find_constants(source) == {"DEPTH": 8}
    assert set_constants(source, {"DEPTH": 12}) == "DEPTH = 4\nx = DEPTH\nDEPTH = 12\n"


@pytest.mark.parametrize(
    "later",
    [
        "DEPTH += 1",
        "DEPTH = int(DEPTH)",
        "if DEPTH: DEPTH = 4",
        "for DEPTH in range(3): pass",
        "from other import DEPTH",
        "def DEPTH(): pass",
        "del DEPTH",
        "with open('x') as DEPTH: pass",
        "a, DEPTH = pair",
        "DEPTH = WIDTH = 3",
        "(DEPTH := 3)",
        "def f():\n    global DEPTH\n    DEPTH = 3",
        "try: pass\nexcept Exception as DEPTH: pass",
        "match 3:\n    case DEPTH: pass",
    ],
)
def test_a_name_that_is_changed_again_is_refused_with_the_line(later: str) -> None:
    source = f"DEPTH = 8\n{later}\n"
    assert "DEPTH" not in find_constants(source)
    with pytest.raises(VariantError, match=r"DEPTH is not a plain constant of train\.py: line \d"):
        set_constants(source, {"DEPTH": 12})


def test_local_names_of_functions_and_classes_leave_the_top_level_name_alone() -> None:
    source = "DEPTH = 8\ndef f():\n    DEPTH = 3\nclass C:\n    DEPTH = 4\nx = [DEPTH for DEPTH in range(3)]\n"
    assert find_constants(source) == {"DEPTH": 8, "f.DEPTH": 3, "C.DEPTH": 4}
    assert set_constants(source, {"DEPTH": 9}) == source.replace("DEPTH = 8", "DEPTH = 9")


def test_private_names_and_attributes_are_not_constants() -> None:
    assert find_constants("__depth__ = 8\n_depth = 8\n_DEPTH = 8\nself.DEPTH = 8\n") == {}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DEPHT", 3, "There is no constant 'DEPHT' in train.py; did you mean DEPTH?"),
        ("depth", 3, "did you mean DEPTH?"),
        ("WARM_STEPS", 3, "WARM_STEPS is not a plain constant"),
        ("DEPTH", 8.0, "DEPTH is an integer (8); it cannot be set to a number ('8.0')."),
        ("DEPTH", "8", "DEPTH is an integer (8); it cannot be set to text ('8')."),
        ("DEPTH", True, "it cannot be set to true or false"),
        ("DEPTH", [8], "it cannot be set to a list"),
        ("DEPTH", 2**70, "too large"),
        ("COMPILE", 1, "COMPILE is true or false (True)"),
        ("WINDOW_PATTERN", 3, "WINDOW_PATTERN is text ('SSSL')"),
        ("WINDOW_PATTERN", "\ud800", "not valid text"),
        ("MATRIX_LR", float("nan"), "MATRIX_LR cannot be set to nan: it must be a finite number."),
        ("MATRIX_LR", float("inf"), "finite"),
        ("MATRIX_LR", 10**400, "no float is that large"),
        ("MATRIX_LR", True, "true or false"),
        ("ADAM_BETAS", 0.9, "ADAM_BETAS is a list ([0.8, 0.95])"),
        ("ADAM_BETAS", [0.9, "x"], "cannot be set to text"),
        ("ADAM_BETAS", [0.9, float("nan")], "finite"),
    ],
)
def test_an_invalid_value_is_refused_in_one_sentence(name: str, value: Value, sentence: str) -> None:
    with pytest.raises(VariantError) as caught:
        set_constants(SCRIPT, {"HEAD_DIM": 64, name: value})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_script_without_constants_says_so() -> None:
    with pytest.raises(VariantError, match="it has no literals with a name"):
        set_constants("print('val_bpb: 1')\n", {"DEPTH": 8})


@given(st.dictionaries(st.sampled_from(NAMES), scalars), st.dictionaries(st.sampled_from(NAMES), scalars))
def test_overrides_turn_the_baseline_into_the_variant(baseline: dict[str, Value], constants: dict[str, Value]) -> None:
    differing = overrides(constants, baseline)
    kept = {name: baseline[name] for name in constants if name not in differing}
    assert repr(sorted({**kept, **differing}.items())) == repr(sorted(constants.items()))
    assert overrides(constants, constants) == {}
