"""Named numbers in shell scripts, settings, makefiles and code of other languages are knobs, set in place."""

import pytest

from cockpit.core.model import Value
from cockpit.variant.editable import outline_of
from cockpit.variant.knobs.constants import find_constants, set_constants

FOUND = [
    ("run.sh", "#!/bin/bash\nLR=0.04  # rate\n", "LR", 0.04, 0.1, "#!/bin/bash\nLR=0.1  # rate\n"),
    ("run.sh", "LR=${LR:-0.04}\n", "LR", 0.04, 0.1, "LR=${LR:-0.1}\n"),
    ("run.sh", 'export LR="${LR:-0.04}"\n', "LR", 0.04, 0.1, 'export LR="${LR:-0.1}"\n'),
    (".env", 'DEPTH="8"\r\nLR=1\r\n', "DEPTH", 8, 9, 'DEPTH="9"\r\nLR=1\r\n'),
    (".env.example", "FAST=true\n", "FAST", True, False, "FAST=false\n"),
    ("a.ini", "[train]\nlr = 0.04 ; rate\n", "lr", 0.04, 1e-5, "[train]\nlr = 1e-05 ; rate\n"),
    ("a.ini", "[train]\nlr = 1\n[eval]\nlr = 5\n", "eval.lr", 5, 6, "[train]\nlr = 1\n[eval]\nlr = 6\n"),
    ("a.gin", "m.lr = 3e-4  # rate\nm.act = @gelu\n", "m.lr", 3e-4, 0.1, "m.lr = 0.1  # rate\nm.act = @gelu\n"),
    ("a.gin", "m.bias = True\n", "m.bias", True, False, "m.bias = False\n"),
    ("Makefile", "LR ?= 0.04\nrun:\n\tpython train.py\n", "LR", 0.04, 0.1, "LR ?= 0.1\nrun:\n\tpython train.py\n"),
    ("k.cu", "#define BLOCK 64  // wide\n", "BLOCK", 64, 128, "#define BLOCK 128  // wide\n"),
    ("k.cpp", "  static constexpr int BLOCK = 64;\n", "BLOCK", 64, 128, "  static constexpr int BLOCK = 128;\n"),
    ("k.h", "const float RATE = 1.5f;\n", "RATE", 1.5, 2.0, "const float RATE = 2.0f;\n"),
    ("k.rs", "pub const BLOCK: usize = 64;\n", "BLOCK", 64, 128, "pub const BLOCK: usize = 128;\n"),
    ("k.rs", "const RATE: f32 = 1.5_f32;\n", "RATE", 1.5, 2.0, "const RATE: f32 = 2.0_f32;\n"),
    ("k.go", "const block = 64\n", "block", 64, 128, "const block = 128\n"),
    ("k.js", "export const BLOCK = 64;\n", "BLOCK", 64, 128, "export const BLOCK = 128;\n"),
    ("run.sh", ': "${LR:=0.04}"\n', "LR", 0.04, 0.1, ': "${LR:=0.1}"\n'),
    (
        "K.java",
        "  private static final double RATE = 1.5d;\n",
        "RATE",
        1.5,
        2.0,
        "  private static final double RATE = 2.0d;\n",
    ),
    ("K.cs", "public const int Block = 64; // wide\n", "Block", 64, 128, "public const int Block = 128; // wide\n"),
    ("k.kt", "const val BLOCK: Int = 64\n", "BLOCK", 64, 128, "const val BLOCK: Int = 128\n"),
    ("a.R", "rate <- 0.04  # slow\n", "rate", 0.04, 0.1, "rate <- 0.1  # slow\n"),
    ("a.f90", "  real, parameter :: rate = 1.5 ! wide\n", "rate", 1.5, 2.0, "  real, parameter :: rate = 2.0 ! wide\n"),
    ("k.jl", "const BLOCK = 64 # wide\n", "BLOCK", 64, 128, "const BLOCK = 128 # wide\n"),
]


@pytest.mark.parametrize(("path", "text", "name", "value", "new", "after"), FOUND)
def test_a_named_number_is_found_and_set(path: str, text: str, name: str, value: Value, new: Value, after: str) -> None:
    assert find_constants(text, path)[name] == value
    assert set_constants(text, {name: new}, path) == after
    assert find_constants(after, path) == {**find_constants(text, path), name: new}
    assert outline_of(path, text) == outline_of(path, after) != outline_of(path, f"{text}x\n")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run.sh", "LR=0.1\nLR=0.2\n"),
        ("a.ini", "lr = 1\nlr = 2\n[a]\nlr = 3\nlr = 4\n"),
        ("a.gin", "m.width = %WIDTH\nscope/m.lr = 0.1\nm.lr = f()\n"),
        ("run.sh", "LR=0.1 python train.py\n"),
        ("run.sh", "if [ $LR = 0.1 ]\n"),
        ("run.sh", "MODE=010\n"),
        (".env", "NAME=a b\nVERSION=1.2.3\n"),
        ("Makefile", "run:\n\tLR = 0.04\n"),
        ("k.cu", "#define N (M * 2)\nint n = 64;\n#define F(x) 3\n"),
        ("k.cpp", "#ifdef A\n#define BLOCK 64\n#else\n#define BLOCK 32\n#endif\n"),
        ("k.rs", "    let block = 64;\nconst N: usize = M * 2;\n"),
        ("K.java", "int block = 64;\nfinal int n = M * 2;\n"),
        ("a.R", "f(rate = 0.1)\nrate <- 2 * x\n"),
        ("a.f90", "rate = 1.5\n"),
        ("prompt.txt", "LR=0.1\n"),
    ],
)
def test_a_line_that_may_mean_something_else_is_left_alone(path: str, text: str) -> None:
    assert find_constants(text, path) == {}
