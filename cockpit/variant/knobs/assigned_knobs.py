"""Find the knobs of texts without a reader here: named values, one to a line, by the shape of their assignment.

| in the file | its kind |
|---|---|
| `LR=0.04`, `export LR="0.04"`, `LR=${LR:-0.04}`, `: ${LR:=0.04}` | a shell script, `.env` |
| `lr = 0.04` | `.ini`, `.cfg`, `.conf`, `.properties` |
| `train.lr = 0.04` | `.gin` |
| `LR ?= 0.04` | a makefile |
| `#define BLOCK 64`, `constexpr int BLOCK = 64;` | C, C++, CUDA |
| `const BLOCK: usize = 64;` | Rust, Go, JavaScript, Zig, Julia |
| `static final int BLOCK = 64;`, `const val BLOCK = 64` | Java, C#, Kotlin |
| `lr <- 0.04` | R |
| `real, parameter :: lr = 0.04` | Fortran |

A value is a number, or true or false. A name that is assigned twice is left out; where each stands in a section of its
own, as in an `.ini` file, they are `train.lr` and `eval.lr`.
"""

import re
from bisect import bisect
from collections import Counter
from pathlib import PurePosixPath

from cockpit.core.model import Scalar, Value
from cockpit.variant.knobs.placed_values import PlacedKnobs, Span
from cockpit.variant.knobs.typed_values import storable

_NUMBER = r"[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_VALUE = rf"(?P<value>{_NUMBER}|true|false)"
_NAME = r"(?P<name>[A-Za-z_]\w*)"
_SHELL = (
    rf"^[ \t]*(?:export[ \t]+|readonly[ \t]+)?{_NAME}=\"?(?:\$\{{\w+:?-)?\"?{_VALUE}"
    r"(?=\"?\}?\"?[ \t\r]*(?:[;#].*)?$)"
    rf"|^[ \t]*:[ \t]+\"?\$\{{(?P<named>[A-Za-z_]\w*):=(?P<default>{_NUMBER}|true|false)(?=\}}\"?[ \t\r]*$)"
)
_SETTINGS = rf"^{_NAME}[ \t]*[=:][ \t]*{_VALUE}(?=[ \t\r]*(?:[#;].*)?$)"
_GIN = (
    r"^(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)[ \t]*=[ \t]*"
    rf"(?P<value>{_NUMBER}|True|False)(?=[ \t\r]*(?:#.*)?$)"
)
_SECTION = re.compile(r"^\[([\w. -]{1,40})\]", re.MULTILINE)
_MAKE = rf"^(?:export[ \t]+)?{_NAME}[ \t]*[:?]?=[ \t]*{_VALUE}(?=[ \t\r]*(?:#.*)?$)"
_C = (
    rf"^[ \t]*(?:#[ \t]*define[ \t]+|(?:(?:static|inline|const|constexpr|__constant__|__device__)[ \t]+)+[\w:]+[ \t]+)"
    rf"{_NAME}(?:[ \t]*=[ \t]*|[ \t]+\(?){_VALUE}(?=[fFuUlL]*\)?[ \t\r]*(?:;|/[/*].*|$))"
)
_CODE = (
    r"^(?:export[ \t]+|pub(?:\(\w+\))?[ \t]+)?(?:const|static|let|var|local)[ \t]+"
    rf"{_NAME}(?:[ \t]*:[ \t]*\w+|[ \t]+\w+)?"
    rf"[ \t]*=[ \t]*{_VALUE}(?=(?:_?[fiu](?:8|16|32|64|size))?[ \t\r]*(?:;|//|#|--|$))"
)
_FIELD = (
    r"^[ \t]*(?:(?:public|private|protected|internal|static|final|const|readonly)[ \t]+)+"
    rf"(?:va[lr][ \t]+)?(?:\w+[ \t]+)?{_NAME}(?:[ \t]*:[ \t]*\w+)?"
    rf"[ \t]*=[ \t]*{_VALUE}(?=[fFdDlLmM]?[ \t\r]*;?[ \t]*(?://.*)?[ \t\r]*$)"
)
_ARROW = rf"^{_NAME}[ \t]*(?:<-|=)[ \t]*{_VALUE}(?=L?[ \t\r]*(?:#.*)?$)"
_PARAMETER = (
    rf"^[ \t]*[\w()*= ]+,[ \t]*parameter[ \t]*::[ \t]*{_NAME}[ \t]*=[ \t]*{_VALUE}(?=(?:_\w+)?[ \t\r]*(?:!.*)?$)"
)
_SHAPES = {
    _SHELL: (".sh", ".bash", ".env"),
    _SETTINGS: (".ini", ".cfg", ".conf", ".properties"),
    _GIN: (".gin",),
    _MAKE: (".mk",),
    _C: (".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".h", ".hpp", ".metal", ".cl"),
    _CODE: (".rs", ".go", ".js", ".mjs", ".cjs", ".ts", ".zig", ".jl", ".lua", ".swift"),
    _FIELD: (".java", ".cs", ".kt"),
    _ARROW: (".r",),
    _PARAMETER: (".f90", ".f95", ".f03", ".f08"),
}
_BY_SUFFIX = {suffix: shape for shape, suffixes in _SHAPES.items() for suffix in suffixes}


def shape_of(path: str) -> str:
    """Return the pattern of an assignment in a file of this kind; empty if none is known."""
    name = PurePosixPath(path).name.lower()
    if name in ("makefile", "gnumakefile"):
        return _MAKE
    if name == ".env" or name.startswith(".env."):
        return _SHELL
    return _BY_SUFFIX.get(PurePosixPath(name).suffix, "")


def find_knobs(source: str, path: str) -> PlacedKnobs:
    """Return the knobs of a text."""
    knobs = PlacedKnobs(source, _spelled)
    found: list[tuple[str, Scalar | None, Span]] = []
    for match in re.finditer(shape_of(path), source, re.MULTILINE):
        groups = match.groupdict()
        name_group, value_group = ("named", "default") if groups.get("named") else ("name", "value")
        found.append((match[name_group], _value(match[value_group]), match.span(value_group)))
    times = Counter(name for name, _, _ in found)
    sections = list(_SECTION.finditer(source)) if shape_of(path) == _SETTINGS else []
    starts = [section.start() for section in sections]
    named: list[tuple[str, Scalar | None, Span]] = []
    for name, value, span in found:
        section = bisect(starts, span[0])
        is_qualified = times[name] > 1 and section
        named.append((f"{sections[section - 1][1]}.{name}" if is_qualified else name, value, span))
    times = Counter(name for name, _, _ in named)
    for name, value, span in named:
        if times[name] == 1:
            knobs.add(name, value, span, [])
    return knobs


def _value(word: str) -> Scalar | None:
    """Return a number or a switch; None for a number of another base, such as `010`."""
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    digits = word.replace("_", "").lstrip("+-")
    if digits.isdigit():
        return None if len(digits) > 1 and digits[0] == "0" else storable(int(word))
    return storable(float(word))


def _spelled(value: Value, old: str) -> str:
    word = repr(value)
    return word if isinstance(value, bool) and old[:1].isupper() else word.lower()
