"""Parse files with the repository's own Python, where its version differs from Cockpit's.

It compiles a text without running it, and hands over the syntax tree. A process judges one repository.
"""

import ast
import errno
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from cockpit.core.python_syntax import literal
from cockpit.session.plain_file import OUT_OF_FILES, read_if_there

OLDEST = (3, 8)
"""Older Pythons do not report where a literal ends."""
TIMEOUT_S = 30.0
_SCRIPT = """
import ast, json, sys, warnings
warnings.simplefilter("ignore")
sys.setrecursionlimit(5000)
def plain(value):
    if isinstance(value, ast.AST):
        names = [name for name in (*value._fields, *value._attributes) if hasattr(value, name)]
        return {"kind": type(value).__name__, "fields": {name: plain(getattr(value, name)) for name in names}}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and value.isprintable()):
        return value
    return {"literal": repr(value)}
try:
    tree = ast.parse(sys.stdin.buffer.read())
    compile(tree, "<script>", "exec", dont_inherit=True)
    said = plain(tree)
except SyntaxError as error:
    said = {"error": error.msg, "line": error.lineno}
except (ValueError, RecursionError, MemoryError) as error:
    said = {"error": str(error) or "it is nested too deeply", "line": None}
print(json.dumps(said))
"""


class OwnPython:
    """One Python and its version."""

    def __init__(self, python: Path, version: tuple[int, int]) -> None:
        self._python = python
        self.version = version

    def tree_of(self, body: str) -> ast.Module | None:
        """Return the tree of a text; None if this Python cannot be started. Raises SyntaxError for a refused one.

        Raises OSError where this process can open no file, or start no process, for now.
        """
        try:
            done = subprocess.run(
                [str(self._python), "-I", "-c", _SCRIPT],
                input=body.encode(), capture_output=True, timeout=TIMEOUT_S, check=True,
            )  # fmt: skip
            said = json.loads(done.stdout)
        except OSError as error:
            if error.errno in (errno.EAGAIN, *OUT_OF_FILES):
                raise
            return None
        except (subprocess.SubprocessError, ValueError):
            return None
        if "error" in said:
            raise SyntaxError(said["error"], ("<script>", said["line"], None, None))
        tree = _node(said)
        return tree if isinstance(tree, ast.Module) else None


def own_python(repo: Path) -> OwnPython | None:
    """Return the Python of a repository's `.venv`; None if it has none, or one of Cockpit's own version.

    Raises OSError where this process can open no file for now.
    """
    folder = repo / ".venv"
    settings = read_if_there(folder / "pyvenv.cfg").decode("utf-8", "replace")
    if not settings:
        return None
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", settings, re.MULTILINE)
    version = (int(found[1]), int(found[2])) if found else sys.version_info[:2]
    if version == sys.version_info[:2] or version < OLDEST:
        return None
    return OwnPython(folder / "bin" / "python", version)


def _node(value: Any) -> Any:
    """Return a value of the tree. A kind of node that this Python lacks becomes a plain node of that name."""
    if isinstance(value, list):
        return [_node(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "literal" in value:
        return literal(value["literal"])
    fields = {name: _node(field) for name, field in value["fields"].items()}
    if value["kind"] == "Index":  # Python 3.8 wraps the subscript
        return fields["value"]
    kind = getattr(ast, value["kind"], None) or type(value["kind"], (ast.AST,), {"_fields": tuple(fields)})
    node = kind()
    for name, field in fields.items():
        setattr(node, name, field)
    return node
