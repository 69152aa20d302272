"""Compare the parts of two versions of a script that use some constants: the code behind a finding. Pure."""

import ast
from collections.abc import Collection, Iterator

import msgspec

from cockpit.variant.syntax import tree_of

TOP_LEVEL = "top-level code"
WHOLE_FILE = "the file"


class CodeParts(msgspec.Struct, frozen=True):
    """A script in parts: its functions, its methods, its classes' own lines, and its top-level statements."""

    text: str
    parts: tuple[tuple[str, str, frozenset[str]], ...] | None
    """(name, text without comments, names used) of each; None for a text that is not Python."""


def code_parts(text: str) -> CodeParts:
    """Split a script into its parts. A text that is not Python is one part."""
    tree = tree_of(text)
    try:
        return CodeParts(text, tuple(_parts(tree.body)) if tree is not None else None)
    except RecursionError:  # an expression that is nested too deeply to be written out
        return CodeParts(text, None)


def changed_parts(old: CodeParts, new: CodeParts, constants: Collection[str]) -> list[str]:
    """Return the names of the parts that use one of the constants and differ, or are in one text alone.

    The lines that assign the constants are left out: `cockpit.read.prior` compares their values.
    """
    if old.parts is None or new.parts is None:
        return [WHOLE_FILE] if old.text != new.text else []
    before, after = _using(old.parts, constants), _using(new.parts, constants)
    return [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]


def _using(parts: tuple[tuple[str, str, frozenset[str]], ...], constants: Collection[str]) -> dict[str, list[str]]:
    """Return the parts that use a constant by name, with the texts of each."""
    names = {constant for constant in constants if "." not in constant}
    owners = {constant.partition(".")[0] for constant in constants if "." in constant}
    fields = {constant.rpartition(".")[2] for constant in constants if "." in constant}
    found: dict[str, list[str]] = {}
    for name, text, used in parts:
        if name in names:
            continue
        if used & names or name.partition(".")[0] in owners or {f".{field}" for field in fields} & used:
            found.setdefault(name, []).append(text)
    return found


def _parts(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, str, frozenset[str]]]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield _part(owner + statement.name, statement)
        elif isinstance(statement, ast.ClassDef) and not owner:
            yield from _parts(statement.body, f"{statement.name}.")
        elif owner:
            yield _part(owner.rstrip("."), statement)
        else:
            yield _part(_assigned(statement), statement)


def _part(name: str, node: ast.stmt) -> tuple[str, str, frozenset[str]]:
    used = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            used.add(each.id)
        elif isinstance(each, ast.Attribute):
            used.add(f".{each.attr}")
    return name, ast.unparse(node), frozenset(used)


def _assigned(statement: ast.stmt) -> str:
    """Return the one name that a top-level statement assigns; TOP_LEVEL for any other statement."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        targets = [statement.target] if isinstance(statement, ast.AnnAssign | ast.AugAssign) else []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names[0] if len(names) == 1 else TOP_LEVEL
