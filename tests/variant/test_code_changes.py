"""The code under a constant, compared between two texts of a script."""

import pytest

from cockpit.variant.code_changes import TOP_LEVEL, WHOLE_FILE, changed_parts, code_parts

SCRIPT = """
DEPTH = 8
MATRIX_LR = 0.04

class Model:
    width = 64

    def forward(self, x):
        return x * DEPTH

def step(rate=MATRIX_LR):
    return rate  # a comment

def log():
    return 1

model = Model()
for number in range(DEPTH):
    step(MATRIX_LR)
"""


@pytest.mark.parametrize(
    ("old", "new", "names", "parts"),
    [
        ("return rate", "return rate * 2", ["MATRIX_LR"], ["step"]),
        ("return rate", "return rate * 2", ["DEPTH"], []),
        ("return x * DEPTH", "return x + DEPTH", ["DEPTH"], ["Model.forward"]),
        ("    step(MATRIX_LR)", "    step(MATRIX_LR * 2)", ["MATRIX_LR", "DEPTH"], [TOP_LEVEL]),
        ("MATRIX_LR = 0.04", "MATRIX_LR = 0.05", ["MATRIX_LR"], []),
        ("# a comment", "# another", ["MATRIX_LR"], []),
        ("return 1", "return 2", ["DEPTH", "MATRIX_LR"], []),
        ("width = 64", "width = 32", ["Model.width"], ["Model"]),
        ("\ndef step(rate=MATRIX_LR):\n    return rate  # a comment\n", "", ["MATRIX_LR"], ["step"]),
    ],
)
def test_only_the_parts_that_use_a_constant_count(old: str, new: str, names: list[str], parts: list[str]) -> None:
    assert SCRIPT.count(old) == 1
    assert changed_parts(code_parts(SCRIPT), code_parts(SCRIPT.replace(old, new)), names) == parts


def test_a_text_that_is_not_python_is_compared_as_a_whole() -> None:
    assert changed_parts(code_parts("lr: [1"), code_parts("lr: [2"), ["lr"]) == [WHOLE_FILE]
    assert changed_parts(code_parts("lr: [1"), code_parts("lr: [1"), ["lr"]) == []


def test_an_expression_that_is_nested_too_deeply_is_compared_as_a_whole_file() -> None:
    deep = "total = " + " + ".join(["DEPTH"] * 2_000) + "\n"
    assert changed_parts(code_parts(deep), code_parts(SCRIPT), ["DEPTH"]) == [WHOLE_FILE]
