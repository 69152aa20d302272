"""Find the names that code prints before a number: `print(f"val_acc: {acc:.4f}")`."""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cockpit.variant.syntax import nodes_in, tree_of

NAMES_AT_MOST = 200
EXPRESSION_CHARACTERS = 60
NAME = (
    r"(?:(?:train|val|valid|test|eval|mean|avg|final)\w{0,7} )?"
    r"[A-Za-z][\w.@/^-]{0,40} (?:per|under) [A-Za-z][\w.@/^-]{0,40}"
    r"|[A-Za-z][\w.@/^-]{0,60}(?: [A-Za-z][\w.@/^-]{0,60})?"
)
"""One or two words, or those of a rate: `val bits per byte`."""
_SLOT_TEXT = r"%[\d.+-]*l?[fged]|\$?\{[^{}]{0,60}\}"
_BEFORE = re.compile(rf"({NAME})[\"']?(?: ?\([^()\d]{{1,40}}\)\s*[:=])?\s*[:=]?\s*$", re.ASCII)
"""The name at the end of a text that a number follows. A remark in brackets may stand between them."""
_IN_TEMPLATE = re.compile(
    rf"({NAME})\s*[:=]\s*(?:{_SLOT_TEXT}|%[\d.+-]*s|[-+]?\.?\d)"
    rf"|((?:[A-Za-z][\w/-]* )?(?:rate|accuracy|score|reward|return|time))\s(?:{_SLOT_TEXT})",
    re.ASCII | re.IGNORECASE,
)
_PRINTS = re.compile(r"print|console\.log|\becho\b|\bputs\b|cout|ReportMetric|fmt\.|write", re.IGNORECASE)
_SLOT = re.compile(r"%[\d.+-]*[fgedsr]|\{[^{}]{0,30}\}")
_COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
STEP = re.compile(r"(?<![a-z])(?:step|iter|epoch)", re.IGNORECASE)
_SHOWS = re.compile(r"print\w*|info|warning|log|write|debug|echo|secho")
_FORMAT_SPEC = re.compile(r"[<>^+,.\d]*[fgeE%]?$")


class Printed(NamedTuple):
    name: str
    line: int
    in_step: bool
    """It is in a line about a step or an epoch, not in a summary."""
    value: str = ""
    """The expression of its number; empty if it is unknown."""
    before: str = ""
    """The word before it on its line; empty for none."""


def printed_names(source: str) -> list[Printed]:
    """Return the names in the order of the text; none for code that this Python cannot read."""
    tree = tree_of(source)
    if tree is None:
        return []
    try:
        found = sorted(_all(tree), key=lambda one: one.line)
    except RecursionError:  # an expression that is nested too deeply to be written out
        return []
    return found[:NAMES_AT_MOST]


def printed_in_text(source: str) -> list[Printed]:
    """Return the names in code of any language: on lines that print, a name before a slot such as `${acc}` or `%f`."""
    lines = ((number, line[: EXPRESSION_CHARACTERS * 8]) for number, line in enumerate(source.splitlines(), 1))
    printing = ((number, line) for number, line in lines if _PRINTS.search(line))
    return [one for number, line in printing for one in _in_template(line, number)][:NAMES_AT_MOST]


def named_scripts(source: str) -> list[tuple[int, str]]:
    """Return (line, text) of each text in the code that names a Python file."""
    texts = (node for node in nodes_in(source) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return sorted(
        (node.lineno, str(node.value)) for node in texts if re.fullmatch(r"[\w./-]{1,120}\.py", str(node.value))
    )


def imported_modules(source: str) -> set[str]:
    """Return the modules that code imports, by their whole names; none for code that this Python cannot read."""
    found: set[str] = set()
    for node in nodes_in(source):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def _all(tree: ast.Module) -> Iterator[Printed]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _SHOWS.fullmatch(_called(node)):
            for argument in node.args:
                yield from _in_argument(argument, node)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _in_argument(node: ast.expr, call: ast.Call) -> Iterator[Printed]:
    match node:
        case ast.JoinedStr(values=values):
            yield from _in_parts(values, node.lineno)
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod(), right=right):
            yield from _in_template(text, node.lineno, right.elts if isinstance(right, ast.Tuple) else [right])
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format"), args=values):
            yield from _in_template(text, node.lineno, values)
        case ast.Call(func=ast.Attribute(attr="dumps"), args=[ast.Dict(keys=keys), *_]):
            for key in keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield Printed(key.value, node.lineno, False)
        case ast.Constant(value=str(text)):
            at = call.args.index(node)
            if "%" not in text and at + 1 < len(call.args) and not isinstance(call.args[at + 1], ast.Constant):
                yield from _named(text, "", node.lineno, call.args[at + 1])
            yield from _in_template(text, node.lineno)


def _in_parts(values: list[ast.expr], line: int) -> Iterator[Printed]:
    before = whole = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            before = value.value
            whole += before
        elif isinstance(value, ast.FormattedValue):
            if _is_number(value):
                yield from _named(before, whole, line, value.value)
            before = ""


def _is_number(value: ast.FormattedValue) -> bool:
    """Return True if a value may be a number: it has no format, or that of a number."""
    if value.format_spec is None or not isinstance(value.format_spec, ast.JoinedStr):
        return True
    texts = [part.value for part in value.format_spec.values if isinstance(part, ast.Constant)]
    return len(texts) != len(value.format_spec.values) or bool(_FORMAT_SPEC.fullmatch("".join(map(str, texts))))


def _named(before: str, whole: str, line: int, value: ast.expr) -> Iterator[Printed]:
    text = re.split(r"[\r\n]", _COLOR.sub("", before[-120:]))[-1]
    if found := _BEFORE.search(text):
        prefix = (whole or before)[: -len(found[0]) or None]
        yield Printed(found[1], line, bool(STEP.search(prefix)), _expression(value), _last_word(text[: found.start()]))


def _in_template(text: str, line: int, values: Sequence[ast.expr] = ()) -> Iterator[Printed]:
    text = _COLOR.sub("", text[:4_000])
    for found in _IN_TEMPLATE.finditer(text):
        at = len(_SLOT.findall(text, 0, found.end())) - 1
        value = _expression(values[at]) if 0 <= at < len(values) else ""
        before = text[: found.start()]
        yield Printed(found[1] or found[2], line, bool(STEP.search(before)), value, _last_word(before))


def _last_word(text: str) -> str:
    words = re.split(r"[\r\n]", text)[-1].split()
    return words[-1] if words else ""


def _expression(node: ast.expr) -> str:
    return ast.unparse(node)[:EXPRESSION_CHARACTERS] if not isinstance(node, ast.Constant) else ""
