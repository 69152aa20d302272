"""The guard: the checks that every variant must pass before it may run.

It catches a change that breaks the contract or that reaches for prepare.py by mistake or openly. The proof that
prepare.py was unchanged in a run is the hashes of that run, not this guard.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from cockpit.core.metric import DEFAULT_NAME
from cockpit.variant.errors import VariantError
from cockpit.variant.syntax import SCRIPT, Parsed, names_bound, parse, without_docstring

_COLOR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_WRITTEN_ESCAPE = re.compile(r"\\(?:x1b|033|u001b|N\{ESCAPE\})\[[0-9;]*[A-Za-z]|\\[abfnrtv]", re.IGNORECASE)
"""An escape as Python code writes it. Its last letter does not belong to the word that follows."""

_WRITING_METHODS = {"write_text", "write_bytes", "unlink", "touch", "symlink_to", "hardlink_to"}
_WRITING_CALLS = {"remove", "unlink", "rename", "replace", "move", "truncate", "symlink", "link"}
_COPYING_CALLS = {"copy", "copy2", "copyfile", "copyfileobj"}


def check_variant(source: str, metric: str = DEFAULT_NAME, path: str = SCRIPT) -> None:
    """Raise VariantError unless `source` compiles, still prints its metric and leaves prepare.py unchanged.

    An empty `metric` stands for one that another file prints, or a pattern or a command reads.
    """
    parsed = parse(source, path)
    try:
        if metric:
            _check_contract(parsed.module, metric, path)
        _check_prepare(parsed, path)
    except RecursionError:
        raise VariantError(f"{path} is nested too deeply to be checked; write it flatter.") from None


def prints_metric(source: str, metric: str, path: str = SCRIPT) -> bool:
    """Return True if a text of Python code names the metric. Raises VariantError for code that does not compile."""
    if not source_names_metric(source, metric):
        return False
    module = parse(source, path).module
    try:
        _check_contract(module, metric, path)
    except VariantError:
        return False
    return True


def names_metric(text: str, metric: str) -> bool:
    """Return True if `text`, once printed, names the metric: `val_bpb:`, `val_bpb=`, `VAL_BPB `, `"val_bpb"`."""
    return _name(metric).search(_COLOR.sub("", text)) is not None


def source_names_metric(source: str, metric: str) -> bool:
    """Return True if Python code names the metric, in a text of it or elsewhere."""
    return names_metric(_WRITTEN_ESCAPE.sub(" ", source), metric)


@lru_cache
def _name(metric: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(metric)}(?!\w)", re.ASCII | re.IGNORECASE)


def _check_contract(tree: ast.Module, metric: str, path: str) -> None:
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and names_metric(node.value, metric):
            return
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(without_docstring(node, node.body))
        else:
            pending.extend(ast.iter_child_nodes(node))
    raise VariantError(f"{path} prints no '{metric}:' line; it must end with the summary that holds its score.")


def _check_prepare(parsed: Parsed, path: str) -> None:
    modules, names = _imported(parsed)
    for statement in parsed.module.body:
        for name, node in names_bound(statement):
            if name in names and not (isinstance(node, ast.ImportFrom) and node.module == "prepare"):
                raise _reaches(path, statement.lineno, f"gives {name}, which comes from prepare.py, another value")
    for node in parsed.nodes:
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                owner = _root(node)
                if owner in modules or (owner in names and isinstance(node, ast.Attribute)):
                    raise _reaches(path, node.lineno, f"changes {ast.unparse(node)[:60]}")
                if _is_module_table_entry(node):
                    raise _reaches(path, node.lineno, "puts another module in its place")
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[target, *_]):
                if _root(target) in modules | names:
                    raise _reaches(path, node.lineno, f"changes {ast.unparse(target)[:60]}")
            case ast.Call() if _writes_prepare(node):
                raise _reaches(path, node.lineno, "writes to it")


def _reaches(path: str, line: int, what: str) -> VariantError:
    return VariantError(f"Line {line} of {path} {what}; prepare.py must stay as it is.")


def _imported(parsed: Parsed) -> tuple[set[str], set[str]]:
    """Return the local names of the module prepare, and the names imported from it."""
    modules: set[str] = set()
    names: set[str] = set()
    for node in parsed.nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "prepare"}
        elif isinstance(node, ast.ImportFrom) and node.module == "prepare":
            names |= {alias.asname or alias.name for alias in node.names}
    return modules, names


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_module_table_entry(node: ast.expr) -> bool:
    match node:
        case ast.Subscript(value=ast.Attribute(attr="modules"), slice=ast.Constant(value="prepare")):
            return True
    return False


def _writes_prepare(call: ast.Call) -> bool:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    match call.func:
        case ast.Name(id="open"):
            return _names_prepare(arguments) and _opens_to_write(call, mode_position=1)
        case ast.Attribute(attr="open", value=owner):
            of_path = _names_prepare([owner])
            return (of_path and _opens_to_write(call, mode_position=0)) or (
                _names_prepare(arguments) and _opens_to_write(call, mode_position=1)
            )
        case ast.Attribute(attr=name, value=ast.Name(id="os" | "shutil")):
            return (name in _WRITING_CALLS and _names_prepare(arguments)) or (
                name in _COPYING_CALLS and _names_prepare(arguments[1:])
            )
        case ast.Attribute(attr=name, value=owner):
            # Path.replace takes one argument, str.replace two.
            if name in ("rename", "replace") and len(arguments) == 1:
                return _names_prepare([owner, *arguments])
            return name in _WRITING_METHODS and _names_prepare([owner])
    return False


def _opens_to_write(call: ast.Call, mode_position: int) -> bool:
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    modes += call.args[mode_position : mode_position + 1]
    return any(not _reads_only(mode) for mode in modes)


def _reads_only(mode: ast.expr) -> bool:
    match mode:
        case ast.Constant(value=str() as text):
            return not set(text) & set("wax+")
    return False


def _names_prepare(nodes: Iterable[ast.expr]) -> bool:
    return any(PurePosixPath(text).name == "prepare.py" for node in nodes for text in _texts(node))


def _texts(node: ast.expr) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
        elif isinstance(child, ast.Attribute) and child.attr == "__file__" and _root(child) == "prepare":
            yield "prepare.py"
