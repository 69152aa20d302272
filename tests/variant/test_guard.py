import ast
import io
import tokenize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.metric import Metric
from cockpit.core.model import Edit, Value
from cockpit.variant.code import Rules, check_texts, contracts
from cockpit.variant.edits import apply_edits
from cockpit.variant.errors import VariantError
from cockpit.variant.fingerprint import combine, fingerprint, outline
from cockpit.variant.guard import check_variant, source_names_metric
from cockpit.variant.knobs.constants import find_constants, set_constants
from tests.variant.conftest import SCRIPT

PRINTS = "print('val_bpb: 1')\n"


def test_a_script_that_keeps_the_contract_passes() -> None:
    check_variant(SCRIPT)
    check_variant("\ufeff" + SCRIPT)
    check_variant(SCRIPT.replace("\n", "\r\n"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = (\n", "does not compile: '(' was never closed at line 1 ('x = (')."),
        ("x = 1\nreturn x\n", "'return' outside function at line 2 ('return x')."),
        ("x = 1\n  y = 2\n", "unexpected indent at line 2 ('y = 2')."),
        ("x = 1\0\n", "NUL"),
        ("x = '\ud800'\n", "lone surrogate"),
        ("#" * 1_000_001, "1,000,001 bytes"),
        ("-" * 100_000 + "1", "does not compile"),
        ("x = 1\n", "prints no 'val_bpb:' line"),
        ('"""It prints val_bpb: at the end."""\n', "prints no 'val_bpb:' line"),
        ("# val_bpb:\n", "prints no 'val_bpb:' line"),
    ],
)
def test_a_script_that_cannot_run_or_prints_no_score_is_refused(source: str, sentence: str) -> None:
    with pytest.raises(VariantError) as caught:
        check_variant(source)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_score_may_be_printed_from_an_f_string_or_in_a_function() -> None:
    check_variant("x = 1\nprint(f'{x} val_bpb: {x}')\n")
    check_variant("def f(x):\n    '''Print it.'''\n    print('val_bpb:', x)\n")


@pytest.mark.parametrize(
    "line",
    [
        "print('val_bpb=', x)",
        "print('val_bpb', x)",
        "print(f'{val_bpb=}')",
        "print(f'VAL_BPB {x}')",
        "print('Val_BPB: %.4f' % x)",
        "print(json.dumps({'val_bpb': x}))",
        r"print(f'\x1b[1m\x1b[32mval_bpb:\x1b[0m {x}')",
    ],
)
def test_each_usual_shape_of_the_score_passes(line: str) -> None:
    check_variant(line + "\n")


@pytest.mark.parametrize(
    "line",
    [
        r'print("\rval_bpb: 0.98", end="")',
        r'print("\n\tval_bpb: 0.98")',
        r'print("\033[1;32mval_bpb: 0.98\033[0m")',
        r'print("\u001b[1mval_bpb=0.98")',
        r'print("\x1b[2Kval_bpb 0.98")',
    ],
)
def test_code_names_its_score_right_behind_an_escape(line: str) -> None:
    assert source_names_metric(line, "val_bpb")
    check_variant(line + "\n")


@pytest.mark.parametrize("line", ["print('best_val_bpb: 1')", "print('val_bpb_ema: 1')", "val_bpb = 1"])
def test_another_name_than_the_score_is_refused(line: str) -> None:
    with pytest.raises(VariantError, match="prints no 'val_bpb:' line"):
        check_variant(line + "\n")


@pytest.mark.parametrize(
    "line",
    [
        "import prepare; prepare.TIME_BUDGET = 600",
        "import prepare as p; p.Tokenizer.encode = None",
        "import prepare; prepare.__dict__['TIME_BUDGET'] = 600",
        "import prepare; prepare.TIME_BUDGET += 1",
        "import prepare; del prepare.TIME_BUDGET",
        "import prepare; setattr(prepare, 'TIME_BUDGET', 600)",
        "def f():\n    import prepare\n    prepare.X = 1",
        "from prepare import Tokenizer; Tokenizer.encode = None",
        "from prepare import Tokenizer; setattr(Tokenizer, 'encode', None)",
        "from prepare import TIME_BUDGET; TIME_BUDGET = 600",
        "from prepare import evaluate_bpb\ndef evaluate_bpb(): return 0",
        "from prepare import evaluate_bpb\nif 1:\n    from cheap import evaluate_bpb",
        "import sys; sys.modules['prepare'] = None",
        "open('prepare.py', 'w').write('')",
        "open('prepare.py', mode='r+')",
        "m = 'w'; open('./prepare.py', m)",
        "import os; open(os.path.join('.', 'prepare.py'), 'a')",
        "from pathlib import Path; Path('prepare.py').write_text('')",
        "from pathlib import Path; (Path('.') / 'prepare.py').open('w')",
        "from pathlib import Path; Path('prepare.py').unlink()",
        "from pathlib import Path; Path('mine.py').replace('prepare.py')",
        "import os; os.remove('prepare.py')",
        "import shutil; shutil.copy('mine.py', 'prepare.py')",
        "import prepare; open(prepare.__file__, 'w')",
    ],
)
def test_a_change_to_prepare_is_refused_with_the_line(line: str) -> None:
    with pytest.raises(VariantError, match=r"Line \d+ of train\.py .*; prepare\.py must stay as it is\."):
        check_variant(f"{line}\n{PRINTS}")


@pytest.mark.parametrize(
    "line",
    [
        "import prepare; x = prepare.TIME_BUDGET; x = 3",
        "from prepare import TIME_BUDGET; budget = TIME_BUDGET * 2",
        "from prepare import evaluate_bpb\ndef f():\n    evaluate_bpb = 3",
        "try:\n    from prepare import Tokenizer\nexcept ImportError:\n    raise",
        "open('prepare.py').read()",
        "open('prepare.py', 'rb').read()",
        "open('log.txt', 'w').write('prepare.py')",
        "from pathlib import Path; Path('prepare.py').read_text()",
        "import shutil; shutil.copy('prepare.py', 'kept.txt')",
        "x = 'see prepare.py'.replace('prepare.py', 'it')",
        "model.weights = 3",
    ],
)
def test_reading_prepare_and_using_its_values_is_allowed(line: str) -> None:
    check_variant(f"model = type('M', (), dict())\n{line}\n{PRINTS}")


SAME = [
    ("x = 2**19\n", "x = 524288\n"),
    ("DEPTH = 2**19\n", "DEPTH = 524288  # tokens\n"),
    ("x = 1e-3\n", "x = 0.001\n"),
    ("x = 'a'\n", 'x = "a"\n'),
    ("x = 'ab'\n", "x = 'a' 'b'\n"),
    ("x = u'a'\n", "x = '''a'''\n"),
    ("x = -(1)\n", "x = -1\n"),
    ("f(0x10, 1_000)\n", "f(16, 1000)\n"),
    ("B = (1, 2)\n", "B = 1, 2\n"),
    ("def f(x):\n    return x\n", "def f( x ):\n\n    '''Give it.'''\n    return x  # it\n"),
    ("'''One.'''\nx = 1\n", "x = 1\n"),
    ("class A:\n    'a'\n    x = 1\n", "class A:\n    'b'\n    x = 1\n"),
    ("if x:\n    y = 1\n", "if x:\r\n\ty = 1"),
    ("x = (1 +\n  y)\n", "x = 1 + y\n"),
]

DIFFERENT = [
    ("x = 1\n", "x = 2\n"),
    ("x = 1\n", "y = 1\n"),
    ("DEPTH = 1\n", "DEPTH = 1.0\n"),
    ("DEPTH = 1\n", "DEPTH = True\n"),
    ("x = 1\n", "x = 1.0\n"),
    ("x = 0.0\n", "x = -0.0\n"),
    ("x = 1\n", "x = '1'\n"),
    ("x = b'1'\n", "x = '1'\n"),
    ("B = (1, 2)\n", "B = [1, 2]\n"),
    ("b = (1, 2)\n", "b = [1, 2]\n"),
    ("x = a - b\n", "x = b - a\n"),
    ("x = a + b\n", "x = a - b\n"),
    ("x = a < b\n", "x = a <= b\n"),
    ("f(a, b=1)\n", "f(a, c=1)\n"),
    ("f(a)(b)\n", "f(a, b)\n"),
    ("def f():\n    pass\n", "async def f():\n    pass\n"),
    ("def f():\n    'a'\n", "def f():\n    pass\n"),
    ("def f(a, b): pass\n", "def f(a, /, b): pass\n"),
    ("x = 1\ny = 2\n", "y = 2\nx = 1\n"),
    ("DEPTH = 1\nWIDTH = 2\n", "WIDTH = 2\nDEPTH = 1\n"),
    ("A = 1\nB = 2\n", "A = 2\nB = 1\n"),
    ("if a:\n    b\n    c\n", "if a:\n    b\nc\n"),
    ("x = 'a'\n", "x = f'a{b}'\n"),
    ("x = f'{a!r}'\n", "x = f'{a!s}'\n"),
    ("x: int = 1\n", "x = 1\n"),
    ("X: int = 1\n", "X = 1\n"),
    ("X = 1\n", "X = 1\nX = 1\n"),
    ("from a import b\n", "from a import b as c\n"),
    ("from a import b\n", "from .a import b\n"),
    ("x = 'é'\n", "x = '\\\\xe9'\n"),
    ("d = {**a, 1: 2}\n", "d = {1: 2, **a}\n"),
    ("lambda a, *, b, c=1: 0\n", "lambda a, *, b=1, c: 0\n"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_equivalent_sources_have_one_fingerprint(first: str, second: str) -> None:
    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_sources_that_differ_otherwise_have_two_fingerprints(first: str, second: str) -> None:
    assert fingerprint(first) != fingerprint(second)


@given(st.data())
def test_comments_and_blank_lines_leave_the_fingerprint_unchanged(data: st.DataObject) -> None:
    """Draw a source with a comment or a blank line after any line that ends a logical one."""
    tokens = tokenize.generate_tokens(io.StringIO(SCRIPT).readline)
    ends = sorted({token.start[0] for token in tokens if token.type == tokenize.NEWLINE})
    lines = SCRIPT.splitlines()
    for number in sorted(data.draw(st.sets(st.sampled_from(ends))), reverse=True):
        lines.insert(number, data.draw(st.sampled_from(["", "# a note", "        # deep", "\t", "\f"])))
    assert fingerprint("\n".join(lines)) == fingerprint(SCRIPT)


def test_the_unparsed_tree_has_the_fingerprint_of_the_source() -> None:
    assert fingerprint(ast.unparse(ast.parse(SCRIPT))) == fingerprint(SCRIPT)


@given(st.integers(0, 2**40), st.floats(allow_nan=False, allow_infinity=False), st.text("SL"))
def test_the_fingerprint_after_setting_constants_follows_from_the_outline(
    depth: int, rate: float, pattern: str
) -> None:
    values: dict[str, Value] = {"DEPTH": depth, "MATRIX_LR": rate, "WINDOW_PATTERN": pattern}
    after = set_constants(SCRIPT, values)
    assert fingerprint(after) == combine(outline(SCRIPT), {**find_constants(SCRIPT), **values})


def test_a_constant_and_an_edit_that_set_the_same_value_have_one_fingerprint() -> None:
    edited = apply_edits(SCRIPT, [Edit("TOTAL_BATCH_SIZE = 2**19 # ~524K", "TOTAL_BATCH_SIZE = 2**18 # half")])
    assert fingerprint(edited) == fingerprint(set_constants(SCRIPT, {"TOTAL_BATCH_SIZE": 262144}))


def test_a_source_that_does_not_compile_has_no_fingerprint() -> None:
    with pytest.raises(VariantError, match="does not compile"):
        fingerprint("x = (\n")


@pytest.mark.parametrize(
    ("source", "prints"),
    [
        ("score = 1\n", False),
        ('"""Its score is computed elsewhere."""\nscore = 1\n', False),
        ("def f(score):\n    return score  # the score\n", False),
        ("print('score:', 1)\n", True),
        ("print(f'score={1}')\n", True),
    ],
)
def test_a_file_that_names_the_metric_in_its_code_alone_need_not_print_it(source: str, prints: bool) -> None:
    rules = Rules("strategy.py", (), Metric("score"))
    assert contracts({"strategy.py": source, "warrior.red": "score"}, rules) == (
        {"strategy.py": "score"} if prints else {}
    )
    check_texts({"strategy.py": source}, {"strategy.py": source}, rules)
