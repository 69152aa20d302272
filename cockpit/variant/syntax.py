"""Parse a Python file once for all its readers, and evaluate its literals."""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from cockpit.core.model import Scalar
from cockpit.core.python_syntax import making_trees
from cockpit.variant.errors import VariantError, shown
from cockpit.variant.own_python import OwnPython

SCRIPT = "train.py"
"""The file that variants edit where no setting names others."""

MAX_SOURCE_BYTES = 1_000_000
"""A longer file is a mistake: upstream's has 26,000 bytes."""

_FILENAME = "<script>"
"""The name in angle brackets keeps Python from looking for the line of an error in a file of that name."""

_PARSED_KEPT = 4
"""Trees that are cached: each is 100,000 objects for the garbage collector to visit."""

_MAX_INT_BITS = 4096
_MAX_TEXT_CHARS = 10_000
_BYTE_ORDER_MARK = "\ufeff"
_LINE_ENDING = re.compile(rb"\r\n|\r|\n")

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


class Parsed(NamedTuple):
    """The syntax of a source. It is shared and must not be changed."""

    module: ast.Module
    nodes: list[ast.AST]
    """Every node but the contexts of names, the module first."""
    global_lines: dict[str, int]
    """Names that some function declares global, with the line."""


def check_text(source: str, path: str = SCRIPT) -> None:
    """Raise VariantError for text that cannot be a program at all."""
    if "\0" in source:
        raise VariantError(f"{path} holds a NUL character; it must be plain text.")
    try:
        size_bytes = len(source.encode())
    except UnicodeEncodeError:
        raise VariantError(f"{path} holds a lone surrogate; it must be plain text.") from None
    if size_bytes > MAX_SOURCE_BYTES:
        raise VariantError(
            f"{path} has {size_bytes:,} bytes, and a file that is edited has at most {MAX_SOURCE_BYTES:,}."
        )


def tree_of(source: str) -> ast.Module | None:
    """Return the tree of a source; None if Cockpit's own Python cannot read it."""
    try:
        with making_trees():
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def expression_of(text: str) -> ast.expr | None:
    """Return the tree of one expression; None if Cockpit's own Python cannot read it."""
    try:
        with making_trees():
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def nodes_in(source: str) -> list[ast.AST]:
    """Return every node of a source's tree; none if Cockpit's own Python cannot read it."""
    tree = tree_of(source)
    return list(ast.walk(tree)) if tree is not None else []


class _Judge:
    """The Python that parses the texts of this process, which serves one repository."""

    own: OwnPython | None = None


def parse_with(python: OwnPython | None) -> None:
    """Parse with the repository's own Python from now on; None for Cockpit's."""
    if python is not _Judge.own:
        _Judge.own = python
        parse.cache_clear()


@lru_cache(maxsize=_PARSED_KEPT)
def parse(source: str, path: str = SCRIPT) -> Parsed:
    """Parse `source`. Raises VariantError if the repository's Python would not compile it."""
    check_text(source, path)
    body = source.removeprefix(_BYTE_ORDER_MARK)
    try:
        tree = _Judge.own.tree_of(body) if _Judge.own else None
        if tree is None:
            with making_trees():
                tree = ast.parse(body, filename=_FILENAME)
                compile(tree, _FILENAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        by = " under Python {}.{}".format(*_Judge.own.version) if _Judge.own else ""
        raise VariantError(f"{path} does not compile{by}: {error.msg}{_place(body, error.lineno)}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise VariantError(f"{path} does not compile: {error or 'it is nested too deeply'}.") from None
    nodes = _nodes(tree)
    declared = {name: node.lineno for node in nodes if isinstance(node, ast.Global) for name in node.names}
    return Parsed(tree, nodes, declared)


def _nodes(tree: ast.Module) -> list[ast.AST]:
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                nodes.extend(element for element in value if isinstance(element, ast.AST))
            elif isinstance(value, ast.AST) and field != "ctx":
                nodes.append(value)
    return nodes


def _place(body: str, line: int | None) -> str:
    if not line:
        return ""
    texts = _LINE_ENDING.split(body.encode())
    return f" at line {line} ({shown(texts[line - 1].decode())})" if line <= len(texts) else f" at line {line}"


def byte_offsets(source: str) -> Callable[[int, int], int]:
    """Return a function from a position in the tree of `source` (line from 1, column in bytes) to a byte of its UTF-8
    text."""
    mark = len(_BYTE_ORDER_MARK.encode()) if source.startswith(_BYTE_ORDER_MARK) else 0
    starts = [mark, *(ending.end() for ending in _LINE_ENDING.finditer(source.encode()))]
    return lambda line, column: starts[line - 1] + column


def literal_value(node: ast.expr) -> Scalar | None:
    """Return the value of a literal, or of arithmetic on literals such as 2**19; None for anything else.

    Results that Python would refuse, that are not finite, or that would be huge count as anything else.
    """
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return None if isinstance(value, float) and not math.isfinite(value) else value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = literal_value(operand)
            if isinstance(number, bool | str) or number is None:
                return None
            return -number if isinstance(sign, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            first = literal_value(left)
            second = None if first is None else literal_value(right)
            return None if first is None or second is None else _arithmetic(first, op, second)
    return None


def _arithmetic(first: Scalar, op: ast.operator, second: Scalar) -> Scalar | None:
    if isinstance(first, bool) or isinstance(second, bool):
        return None
    if isinstance(first, str):
        return _text_arithmetic(first, op, second)
    if isinstance(second, str):
        return _text_arithmetic(second, op, first) if isinstance(op, ast.Mult) else None
    if isinstance(op, ast.LShift) and isinstance(first, int) and isinstance(second, int):
        small = second >= 0 and first.bit_length() + second <= _MAX_INT_BITS
        return first << second if small else None
    function = _ARITHMETIC.get(type(op))
    if function is None:
        return None
    whole = isinstance(first, int) and isinstance(second, int)
    if isinstance(op, ast.Pow) and whole and int(first).bit_length() * abs(second) > _MAX_INT_BITS:
        return None
    try:
        value = function(first, second)
    except (ArithmeticError, ValueError):
        return None
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_INT_BITS else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _text_arithmetic(text: str, op: ast.operator, other: Scalar) -> str | None:
    if isinstance(op, ast.Add) and isinstance(other, str):
        return text + other if len(text) + len(other) <= _MAX_TEXT_CHARS else None
    if isinstance(op, ast.Mult) and isinstance(other, int):
        return text * other if len(text) * other <= _MAX_TEXT_CHARS else None
    return None


def is_docstring(statement: ast.stmt) -> bool:
    """Return True if it is a bare string. The first statement of a module, class or function that is one is its
    docstring."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def without_docstring(node: ast.AST, body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of `node` without its docstring, if it is a node that can have one."""
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    return body[1:] if documented and body and is_docstring(body[0]) else body


_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def names_bound(statement: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    """Yield each name that a top-level statement binds or deletes in the module's scope, with the node that does so."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name, node
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name.partition(".")[0], node
            case ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name):
                yield name, node
            case ast.MatchStar(name=str() as name) | ast.MatchMapping(rest=str() as name):
                yield name, node
        if not isinstance(node, _SCOPES):
            pending.extend(ast.iter_child_nodes(node))
