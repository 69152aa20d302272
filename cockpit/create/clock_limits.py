"""Find the seconds after which code ends a loop by a clock: `while time.time() - t0 < 300`."""

import ast
from collections.abc import Iterator, Mapping

from cockpit.variant.syntax import nodes_in

CLOCKS = frozenset({"time", "perf_counter", "monotonic", "process_time"})


def clock_limits(source: str, values: Mapping[str, float]) -> set[float]:
    """Return the limits in the conditions of loops and of their breaks; none for code that this Python cannot read.

    `values` are the constants by name.
    """
    nodes = nodes_in(source)
    elapsed, known = _assigned(nodes, values)
    found = set()
    for compared in _conditions(nodes):
        sides = (compared.left, *compared.comparators)
        if any(_is_clock(side, elapsed) for side in sides):
            found |= {_limit(side, known) for side in sides if not _is_clock(side, elapsed)}
    return found - {0.0}


def _assigned(nodes: list[ast.AST], values: Mapping[str, float]) -> tuple[set[str], dict[str, float]]:
    """Return the names of elapsed times, and the numbers by name: `values`, and deadlines as seconds from a start."""
    elapsed: set[str] = set()
    known = dict(values)
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(op=ast.Sub()) as value) if _reads_clock(value):
                elapsed.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(op=ast.Add()) as value) if _reads_clock(value):
                known[name] = _limit(value, values)
    return elapsed, known


def _conditions(nodes: list[ast.AST]) -> Iterator[ast.Compare]:
    for node in nodes:
        if isinstance(node, ast.If) and not any(isinstance(one, ast.Break) for one in node.body):
            continue
        if isinstance(node, ast.While | ast.If):
            yield from (one for one in ast.walk(node.test) if isinstance(one, ast.Compare))


def _is_clock(node: ast.expr, elapsed: set[str]) -> bool:
    return _reads_clock(node) or (isinstance(node, ast.Name) and node.id in elapsed)


def _reads_clock(node: ast.expr) -> bool:
    calls = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return any(getattr(call, "attr", getattr(call, "id", "")) in CLOCKS for call in calls)


def _limit(node: ast.expr, values: Mapping[str, float]) -> float:
    """Return the number of a limit: written, by a constant's name, or as what is added to a start; 0 for any other."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _limit(node.right, values) or _limit(node.left, values)
    if isinstance(node, ast.Constant):
        value = node.value
        return max(0.0, float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    return values.get(ast.unparse(node), 0.0) if isinstance(node, ast.Name | ast.Attribute) else 0.0
